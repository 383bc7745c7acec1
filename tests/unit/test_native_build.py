"""The decoder in C is compiled where wheels are made, as far as the machine can."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from dist import exports

ROOT = Path(__file__).parents[2]
NATIVE = "src/adaptive_engine/native"
LIBRARY = "adaptive_engine/native/libdecoder.so"
SOURCE = """
#include <pthread.h>
#include <stdlib.h>
__attribute__((visibility("default"))) void *decoder_new(void) { return malloc(8); }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What makes the package, with one short source."""
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    native = tmp_path / NATIVE
    native.mkdir(parents=True)
    shutil.copy(ROOT / "src/adaptive_engine/_version.py", tmp_path / "src/adaptive_engine")
    (native / "decoder.c").write_text(SOURCE)
    (native / "decoder.h").write_text("")
    return tmp_path


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    told = subprocess.PIPE
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, stdout=told, stderr=subprocess.STDOUT, text=True
    )


def build(folder: Path, target: str = "wheel", **variables: str) -> tuple[Path, str]:
    """What hatch makes of the project, and what it says."""
    ended = run(folder, "-m", "hatchling", "build", "--target", target, **variables)
    assert ended.returncode == 0, ended.stdout
    (made,) = (folder / "dist").iterdir()
    return made, ended.stdout


def files_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as opened:
        return {name for name in opened.namelist() if ".dist-info/" not in name}


def test_a_wheel_has_the_library_and_is_for_systems_that_can_load_it(project: Path) -> None:
    wheel, _ = build(project)
    assert "-py3-none-manylinux_2_" in wheel.name
    assert wheel.name.endswith("_x86_64.whl")
    assert files_of(wheel) == {"adaptive_engine/_version.py", LIBRARY}
    # pip takes it here, where it was compiled.
    target = str(project / "installed")
    ended = run(project, "-m", "pip", "install", "--no-deps", "--no-index", "--target", target, str(wheel))
    assert ended.returncode == 0, ended.stdout
    assert exports(project / "installed" / LIBRARY) == ["decoder_new"]


def test_a_source_distribution_has_the_sources_and_no_library(project: Path) -> None:
    assert run(project, "hatch_build.py").returncode == 0
    made, _ = build(project, "sdist")
    with tarfile.open(made) as opened:
        found = {name.partition("/")[2] for name in opened.getnames()}
    assert {"hatch_build.py", f"{NATIVE}/decoder.c", f"{NATIVE}/decoder.h"} <= found
    assert f"src/{LIBRARY}" not in found


def test_without_a_compiler_the_wheel_is_pure_and_one_line_says_so(project: Path) -> None:
    wheel, said = build(project, CC="no-such-compiler -m64")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert files_of(wheel) == {"adaptive_engine/_version.py"}
    (line,) = [line for line in said.splitlines() if "decoder" in line]
    assert "there is no C compiler `no-such-compiler`" in line
    assert "slower" in line


def test_a_pure_wheel_can_be_asked_for_beside_a_library_that_is_there(project: Path) -> None:
    assert run(project, "hatch_build.py").returncode == 0
    wheel, said = build(project, ADAPTIVE_BUILD_NATIVE="0")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert files_of(wheel) == {"adaptive_engine/_version.py"}
    assert "decoder" not in said


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("int broken(void) { return nothing; }", "nothing"),
        ("int absent(void); int decoder_x(void) { return absent(); }", "undefined reference to `absent'"),
    ],
    ids=["compiler", "linker"],
)
def test_a_compiler_that_fails_ends_the_build_with_its_words(project: Path, mistake: str, told: str) -> None:
    (project / NATIVE / "broken.c").write_text(mistake)
    for command in (["-m", "hatchling", "build", "--target", "wheel"], ["hatch_build.py"]):
        ended = run(project, *command)
        assert ended.returncode == 1
        assert told in ended.stdout
        assert "set ADAPTIVE_BUILD_NATIVE=0" in ended.stdout
        assert "Traceback" not in ended.stdout
    assert {path.name for path in (project / NATIVE).iterdir()} == {"broken.c", "decoder.c", "decoder.h"}
    assert list((project / "dist").iterdir()) == []


def test_a_new_library_leaves_the_one_that_is_loaded_alone(project: Path) -> None:
    library = project / "src" / LIBRARY
    assert run(project, "hatch_build.py").returncode == 0
    with library.open("rb") as loaded:
        before = loaded.read()
        (project / NATIVE / "decoder.c").write_text(SOURCE.replace("decoder_new", "decoder_newer"))
        assert run(project, "hatch_build.py").returncode == 0
        loaded.seek(0)
        assert loaded.read() == before
    assert exports(library) == ["decoder_newer"]


def test_the_decoder_compiles_without_a_warning_and_keeps_its_names_apart(project: Path) -> None:
    shutil.copytree(ROOT / NATIVE, project / NATIVE, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.so"))
    ended = run(project, "hatch_build.py", CC="cc -Wall -Wextra -Werror")
    assert ended.returncode == 0, ended.stdout
    exported = exports(project / "src" / LIBRARY)
    assert "decoder_new" in exported
    assert [name for name in exported if not name.startswith("decoder_")] == []
