"""Brings a model into the data directory: everything or nothing, one importer at a time, safe to repeat."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from adaptive_engine.errors import Conflict
from adaptive_engine.registry.directory import (
    MANIFEST_VERSION,
    FileRecord,
    Manifest,
    ModelDirectory,
    Source,
    derive_key,
    file_sha256,
    locate,
)
from adaptive_engine.registry.locks import unless_held, waiting
from adaptive_engine.registry.progress import Progress, silent
from adaptive_engine.registry.sources import ModelEngine, ModelSource, examine
from adaptive_engine.registry.vllm import MANIFEST as VLLM_MANIFEST
from adaptive_engine.types import now_ms

STAGING_PREFIX = ".importing-"


def import_model(
    source: Path,
    models_dir: Path,
    key: str | None = None,
    *,
    name: str | None = None,
    origin: str | None = None,
    sampling: Mapping[str, float] | None = None,
    engine: ModelEngine | None = None,
    progress: Progress = silent,
) -> ModelDirectory:
    """Imports a GGUF file or an OpenVINO directory as `<models_dir>/<key>`, which appears complete or not at all.

    The key is derived from the file name when it is not given. A key that holds the same source already is left as it
    is. `sampling` goes into the generation config. `engine` is what shall run it; by default our own runtime where it
    can, else OpenVINO. Raises `InvalidModel` for a source that is refused,
    `InvalidRequest` for a bad key and `Conflict` when the key belongs to another model.
    """
    target = locate(models_dir, derive_key(source.name) if key is None else key)
    examined = examine(source, progress, engine)
    target.parent.mkdir(parents=True, exist_ok=True)
    with waiting(_lock_file(target.parent, target.name), progress):
        _remove_leftovers(target)
        if target.exists():
            return _existing(target, examined, engine)
        with _staging(target) as staging:
            examined.write(staging, progress)
            _recommend(staging, sampling or {})
            _seal(staging, target.name, examined, name=name, origin=origin)
            os.rename(staging, target)
        _sync(target.parent)
    return ModelDirectory.load(target)


def _recommend(staging: Path, sampling: Mapping[str, float]) -> None:
    """Add recommended sampling parameters to those of the generation config."""
    path = staging / "generation_config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, **sampling}, indent=2) + "\n", "utf-8")


def _existing(target: Path, source: ModelSource, engine: ModelEngine | None) -> ModelDirectory:
    if (target / VLLM_MANIFEST).exists():
        raise Conflict(f"The key '{target.name}' belongs to a model of vLLM; choose another key.", param="key")
    model = ModelDirectory.load(target)
    if model.manifest.source.sha256 != source.sha256:
        raise Conflict(
            f"The key '{target.name}' belongs to another model ({model.manifest.source.file}); choose another key.",
            param="key",
        )
    if engine not in (None, model.engine):
        raise Conflict(
            f"The key '{target.name}' belongs to this model for the engine '{model.engine}'; choose another key, or "
            f"delete '{target}' first.",
            param="key",
        )
    return model


def _seal(staging: Path, key: str, source: ModelSource, *, name: str | None, origin: str | None) -> None:
    """Writes the manifest last and brings every file to the disk, so that a rename can make them visible."""
    files = {}
    for path in sorted(staging.iterdir()):
        files[path.name] = FileRecord(file_sha256(path), path.stat().st_size)
        _sync(path)
    Manifest(
        version=MANIFEST_VERSION,
        key=key,
        name=_printable(name or source.name),
        family=source.family,
        source=Source(source.kind, source.path.name, source.sha256, origin),
        format=source.format,
        quantization=source.quantization,
        context_length=source.context_length,
        capabilities=source.capabilities,
        files=files,
        created_at=now_ms(),
        converter=source.converter,
    ).write(staging)
    _sync(staging)


def _lock_file(models_dir: Path, key: str) -> Path:
    """One lock for each key, so that imports of different models do not wait for each other."""
    folder = models_dir / ".locks"
    folder.mkdir(exist_ok=True)
    return folder / f"{key}.lock"


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    path = target.parent / f"{STAGING_PREFIX}{target.name}-{os.getpid()}"
    path.mkdir()
    try:
        yield path
    finally:
        # After the rename there is nothing left to remove.
        shutil.rmtree(path, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Removes what importers that were killed left behind; whoever is alive holds the lock of its key."""
    for path in target.parent.glob(f"{STAGING_PREFIX}*"):
        key = path.name.removeprefix(STAGING_PREFIX).rpartition("-")[0]
        if key == target.name:
            shutil.rmtree(path, ignore_errors=True)
            continue
        with unless_held(_lock_file(target.parent, key)) as dead:
            if dead:
                shutil.rmtree(path, ignore_errors=True)


def _printable(name: str) -> str:
    """A display name without control characters, which would reach terminals and logs."""
    return "".join(character for character in name if character.isprintable())[:200] or "unnamed"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
