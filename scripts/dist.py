"""Make a release: `python scripts/dist.py` writes packages, bills of materials and checksums to `dist/`.

Takes what is committed: it fails when the tree differs from that. A release has two wheels: one with the decoder in C,
for Linux on x86-64, and the pure one, which pip takes elsewhere. All packages are built twice, and have to be the same.
What is in them is compared with the files of the repository and of the built web application.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

from sbom import python_packages, web_packages

from adaptive_engine import __version__

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
TOOLS = ROOT / ".venvs/release/bin"
UI = "src/adaptive_engine/server/ui/"
LIBRARY = "src/adaptive_engine/native/libdecoder.so"
NATIVE = re.compile(rf"adaptive_engine-{re.escape(__version__)}-py3-none-manylinux_\d+_\d+_x86_64\.whl")
PURE = f"adaptive_engine-{__version__}-py3-none-any.whl"
SOURCE = f"adaptive_engine-{__version__}.tar.gz"
EXTRAS = {"server", "otel", "ray", "postgresql", "parquet", "convert", "dev"}


def main() -> int:
    if git("status", "--porcelain", "--untracked-files=no"):
        print("The tree has changes that are not committed. Commit or stash them: a release is a commit.")
        return 1
    shutil.rmtree(DIST, ignore_errors=True)
    build(DIST)
    native = native_wheel()
    with tempfile.TemporaryDirectory() as again:
        build(Path(again))
        for name in (native, PURE, SOURCE):
            require(digest(DIST / name) == digest(Path(again, name)), f"{name} is not the same when it is built again")
    tracked, built = set(git("ls-files").splitlines()), built_ui()
    check_wheel(native, tracked | built | {LIBRARY})
    check_exports(native)
    check_wheel(PURE, tracked | built)
    check_source(tracked, built)
    subprocess.run([TOOLS / "twine", "check", "--strict", DIST / native, DIST / PURE, DIST / SOURCE], check=True)
    bills = {
        f"adaptive-engine-{__version__}.cdx.json": python_packages(TOOLS / "cyclonedx-py", __version__),
        f"adaptive-engine-{__version__}-ui.cdx.json": web_packages(__version__),
    }
    for name, bill in bills.items():
        (DIST / name).write_text(json.dumps(bill, indent=1) + "\n")
    files = sorted(DIST.iterdir())
    (DIST / "SHA256SUMS").write_text("".join(f"{digest(path)}  {path.name}\n" for path in files))
    for path in files:
        print(f"{path.stat().st_size:>9}  {path.relative_to(ROOT)}")
    return 0


def build(target: Path) -> None:
    """The wheels are made from the source distribution, which is so known to be whole."""
    environment = {**os.environ, "SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct").strip()}
    command = [TOOLS / "python", "-m", "build", "--no-isolation", "--outdir", str(target)]
    for native in ("1", "0"):
        variables = {**environment, "ADAPTIVE_BUILD_NATIVE": native}
        subprocess.run(command, cwd=ROOT, env=variables, check=True, stdout=subprocess.DEVNULL)


def native_wheel() -> str:
    """The name of the wheel with the decoder, which says how new a C library it needs."""
    found = {path.name for path in DIST.iterdir()} - {PURE, SOURCE}
    names = [name for name in found if NATIVE.fullmatch(name)]
    require(len(names) == 1, f"it takes Linux on x86-64, glibc and a C compiler; here came {sorted(found)}")
    return names[0]


def check_wheel(wheel_name: str, sources: set[str]) -> None:
    with zipfile.ZipFile(DIST / wheel_name) as wheel:
        found = {name for name in wheel.namelist() if not name.endswith("/")}
        metadata = Parser().parsestr(wheel.read(f"adaptive_engine-{__version__}.dist-info/METADATA").decode())
    information = {name for name in found if ".dist-info/" in name}
    packaged = {name for name in sources if name.startswith("src/adaptive_engine/") and not name.endswith((".c", ".h"))}
    require_same(found - information, {name.removeprefix("src/") for name in packaged}, wheel_name)
    names = {name.partition(".dist-info/")[2] for name in information}
    require_same(names, {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}, wheel_name)
    check_metadata(metadata)


def check_exports(wheel_name: str) -> None:
    """The library shares a process with others, so its names are its own."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(DIST / wheel_name) as wheel:
        exported = exports(Path(wheel.extract(LIBRARY.removeprefix("src/"), folder)))
    strange = [name for name in exported if not name.startswith("decoder_")]
    require(bool(exported) and not strange, f"the library exports {strange or 'nothing'}")


def exports(library: Path) -> list[str]:
    command = ["nm", "--dynamic", "--defined-only", "--format=posix", library]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in told.splitlines()]


def check_metadata(metadata: Message) -> None:
    require(metadata["Name"] == "adaptive-engine", "the name is wrong")
    require(metadata["Version"] == __version__, "the version is wrong")
    require(metadata["License-Expression"] == "Apache-2.0", "the licence is not named")
    require(metadata["Requires-Python"] == ">=3.11", "the versions of Python are wrong")
    require_same(set(metadata.get_all("Provides-Extra", ())), EXTRAS, "the extras")


def check_source(tracked: set[str], built: set[str]) -> None:
    with tarfile.open(DIST / SOURCE) as source:
        members = source.getmembers()
    require(all(member.isfile() for member in members), f"{SOURCE} has something that is no file")
    found = {member.name.partition("/")[2] for member in members}
    require_same(found, tracked | built | {"PKG-INFO"}, SOURCE)


def built_ui() -> set[str]:
    """The files of the web application, which are what its page names and no others of an earlier build."""
    files = {str(path.relative_to(ROOT)) for path in (ROOT / UI).rglob("*") if path.is_file()}
    page = (ROOT / UI / "index.html").read_text()
    named = {UI + name.lstrip("/") for name in re.findall(r'(?:src|href)="([^":]+)"', page)}
    require(named <= files, f"the page of the web application names {named - files}, which is not there")
    return files


def require(condition: bool, problem: str) -> None:
    if not condition:
        sys.exit(f"{problem[0].upper()}{problem[1:]}.")


def require_same(found: set[str], wanted: set[str], where: str) -> None:
    if found != wanted:
        sys.exit(f"{where} has {sorted(found - wanted)} too much and lacks {sorted(wanted - found)}.")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
