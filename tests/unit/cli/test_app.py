from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adaptive_engine import __version__, cli
from adaptive_engine.cli.app import COMMANDS
from adaptive_engine.cli.lazy import Command, _load
from budgets import least, seconds_of_children

# Whatever takes long to import and is not needed to print a help text.
HEAVY = {"numpy", "openvino", "openvino_genai", "pydantic", "sqlalchemy", "tokenizers", "fastapi", "httpx2"}

HELP_SECONDS = 0.5


def adaptive(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from adaptive_engine.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


def test_help_is_fast_and_names_every_command() -> None:
    def seconds() -> float:
        before = seconds_of_children()
        done = adaptive("--help")
        assert done.returncode == 0
        assert all(f"\n  {name} " in done.stdout for name in COMMANDS)
        return seconds_of_children() - before

    assert least(seconds, HELP_SECONDS) < HELP_SECONDS


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, contextlib\nfrom adaptive_engine.cli import main\nsys.argv[1:] = ['--help']\n"
        "with contextlib.suppress(SystemExit): main()\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not HEAVY & set(done.stderr.split())


def test_version() -> None:
    assert adaptive("--version").stdout == f"adaptive-engine {__version__}\n"


def test_a_misspelled_command_gets_a_suggestion() -> None:
    done = adaptive("modles")
    assert done.returncode == 2
    assert "Did you mean 'models'" in done.stderr


def test_a_failure_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    done = adaptive("models", "import", str(tmp_path / "nothing.gguf"))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: There is no file")
    assert done.stderr.count("\n") == 1


def test_an_unexpected_failure_shows_its_traceback_only_on_request(tmp_path: Path) -> None:
    (tmp_path / "models").touch()
    arguments = ("models", "import", "smollm2-135m-instruct", "--data-dir", str(tmp_path))
    done = adaptive(*arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert "Traceback" in adaptive(*arguments, ADAPTIVE_DEBUG="1").stderr


def test_the_bare_install_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "adaptive_engine.cli.app")
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit, match=r"needs 'typer'.*pip install 'adaptive-engine\[server\]'"):
        cli.main()


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_every_command_can_be_loaded(name: str, command: Command) -> None:
    assert _load(name, command).name == name
