from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from adaptive_engine.cli.app import build
from adaptive_engine.cli.options import resolve_data_dir
from adaptive_engine.cli.progress import Lines, show_progress
from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.store import Database, deployments
from adaptive_engine.store import models as store
from unit.registry.gguf_builder import tiny_model


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ADAPTIVE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("ADAPTIVE_URL", raising=False)
    return tmp_path / "data"


def adaptive(*arguments: str) -> int:
    """Runs a command in this process and returns its exit status; failures of ours are raised."""
    with pytest.raises(SystemExit) as caught:
        build()(list(arguments), prog_name="adaptive")
    return int(str(caught.value.code))


def test_imports_a_file_and_registers_it(tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(tiny_model(tmp_path / "Tiny.gguf"))
    assert adaptive("models", "import", source) == 0
    out, err = capsys.readouterr()
    described = "llama, F16, runs on OpenVINO, context 256, 0 MB, Text"
    assert out == f"Model 'tiny' ({described}) is in {data_dir / 'models' / 'tiny'}\n"
    assert "Converting\n" in err
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.read() as connection:
        registered = store.get_by_key(connection, "tiny")
    assert registered is not None
    assert (registered.name, registered.provider, registered.context_length) == ("Tiny", "internal", 256)
    assert registered.capabilities == ("TextGeneration",)
    assert data_dir.stat().st_mode & 0o077 == 0


def test_importing_again_is_harmless(tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(tiny_model(tmp_path / "tiny.gguf"))
    for _ in range(2):
        assert adaptive("models", "import", source, "--key", "mine", "--json") == 0
        assert json.loads(capsys.readouterr().out)["key"] == "mine"
    other = str(tiny_model(tmp_path / "other.gguf", "qwen2"))
    with pytest.raises(Conflict, match="choose another key"):
        adaptive("models", "import", other, "--key", "mine")


def test_lists_what_was_imported(tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert adaptive("models", "list") == 0
    assert "No models yet" in capsys.readouterr().err
    adaptive("models", "import", str(tiny_model(tmp_path / "tiny.gguf")))
    capsys.readouterr()
    assert adaptive("models", "list") == 0
    assert capsys.readouterr().out == "tiny  llama, F16, runs on OpenVINO, context 256, 0 MB, Text\n"
    assert adaptive("models", "list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["key"], listed["path"]) == ("tiny", str(data_dir / "models" / "tiny"))


def test_a_damaged_model_is_named_beside_the_others(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(tiny_model(tmp_path / "tiny.gguf"))
    adaptive("models", "import", source, "--key", "good")
    adaptive("models", "import", source, "--key", "bad")
    (data_dir / "models" / "bad" / "config.json").write_text("{}")
    capsys.readouterr()
    assert adaptive("models", "list") == 1
    out, err = capsys.readouterr()
    assert out.startswith("good ")
    assert err.startswith("Damaged: ")


def test_a_bad_key_is_refused_before_anything_is_fetched(data_dir: Path) -> None:
    with pytest.raises(InvalidRequest, match="is not a model key"):
        adaptive("models", "import", "smollm2-135m-instruct", "--key", "../x")


def test_the_data_directory_comes_from_the_option_or_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert resolve_data_dir(None) == Path("/home/someone/.local/share/adaptive-engine")
    assert resolve_data_dir(Path("~/x")) == Path("/home/someone/x")
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/data")
    assert resolve_data_dir(None) == Path("/srv/data/adaptive-engine")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with show_progress() as progress:
        progress("download", 50_000_000, 100_000_000)
        progress("convert", 0, None)
    err = capsys.readouterr().err
    assert "50.0/100.0 MB" in err
    assert "Converting" in err
    assert "? bytes" not in err


def test_plain_progress_stays_short(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for done in range(101):
        lines("download", done * 1_000_000, 100_000_000)
    assert capsys.readouterr().err.count("\n") == 5


def test_deploys_an_imported_model(tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotFound, match="import it first"):
        adaptive("models", "deploy", "tiny")
    for name in ("tiny", "other"):
        adaptive("models", "import", str(tiny_model(tmp_path / f"{name}.gguf")))
    capsys.readouterr()
    assert adaptive("models", "deploy", "tiny") == 0
    assert "its default model" in capsys.readouterr().out
    assert adaptive("models", "deploy", "other") == 0
    assert "addressed as 'default/other'" in capsys.readouterr().out
    assert adaptive("models", "deploy", "other", "--default") == 0
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.read() as connection:
        found = {d.model.key: d.is_default for d in deployments.list_all(connection)}
    assert found == {"tiny": False, "other": True}


def test_without_a_server_it_counts_from_the_next_start(
    data_dir: Path, deploy_tiny: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    deploy_tiny()
    assert "next start" in capsys.readouterr().out
    for command in (("undeploy", "tiny"), ("terminate", "tiny")):
        assert adaptive("models", *command) == 0
        assert "is offline in" in capsys.readouterr().out
        with closing(Database.open(data_dir / "adaptive.db")) as database, database.read() as connection:
            assert [d.online for d in deployments.list_all(connection)] == [False]
        adaptive("models", "deploy", "tiny")
        capsys.readouterr()


def test_settings_of_a_model(
    data_dir: Path, deploy_tiny: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    deploy_tiny()
    assert adaptive("models", "configure", "tiny", "--kv-cache-len", "1024", "--max-seq-len", "100") == 0
    assert adaptive("models", "configure", "tiny", "--max-seq-len", "default") == 0
    capsys.readouterr()
    assert adaptive("models", "show", "tiny") == 0
    out = capsys.readouterr().out
    assert "kv_cache_len  1024\n  max_seq_len   the server's setting\n  project       default (default)" in out
    assert adaptive("models", "show", "tiny", "--json") == 0
    assert json.loads(capsys.readouterr().out)["compute_config"] == {"kv_cache_len": 1024, "max_seq_len": None}
    for options, message in [
        (("--max-seq-len", "257"), "trained for"),
        (("--kv-cache-len", "many"), "256 or more, or `default`"),
        ((), "nothing to change"),
    ]:
        with pytest.raises(InvalidRequest, match=message):
            adaptive("models", "configure", "tiny", *options)


def test_a_server_that_is_named_must_answer(
    data_dir: Path,
    deploy_tiny: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deploy_tiny()
    monkeypatch.setattr("adaptive_engine.sdk.retry.FIRST_DELAY_SECS", 0.001)
    nowhere = "http://127.0.0.1:9"
    assert adaptive("models", "terminate", "tiny", "--url", nowhere, "--api-key", "some-key-of-nobody") == 1
    assert nowhere in capsys.readouterr().err
    monkeypatch.setenv("ADAPTIVE_URL", nowhere)
    monkeypatch.setenv("ADAPTIVE_API_KEY", "some-key-of-nobody")
    assert adaptive("models", "terminate", "tiny") == 0
    out, err = capsys.readouterr()
    assert f"No server answers at {nowhere}" in err
    assert "next start" in out
