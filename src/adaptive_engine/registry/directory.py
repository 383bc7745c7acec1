"""A model on disk: `<data_dir>/models/<key>/` with the files of the model and `adaptive_model.json`, its manifest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import orjson

from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.native import FILE as NATIVE_FILE
from adaptive_engine.registry.errors import CorruptModel
from adaptive_engine.registry.manifests import read_manifest

MANIFEST = "adaptive_model.json"
MANIFEST_VERSION = 1

_COMMON_FILES = ("tokenizer.json", "config.json", "generation_config.json")
_LANGUAGE_FILES = ("openvino_model.xml", "openvino_model.bin")
_NATIVE_FILES = (NATIVE_FILE,)
# Of a model that takes images: the language model takes vectors, which the other two make of tokens and of images.
VISION_FILE = "openvino_vision_embeddings_model.xml"
_VISION_FILES = (
    "openvino_language_model.xml",
    "openvino_language_model.bin",
    "openvino_text_embeddings_model.xml",
    "openvino_text_embeddings_model.bin",
    VISION_FILE,
    "openvino_vision_embeddings_model.bin",
)
OPTIONAL_FILES = (
    "preprocessor_config.json",
    "processor_config.json",
    "chat_template.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "openvino_config.json",
    "openvino_tokenizer.xml",
    "openvino_tokenizer.bin",
    "openvino_detokenizer.xml",
    "openvino_detokenizer.bin",
)
MODEL_FILES = frozenset(_COMMON_FILES + _LANGUAGE_FILES + _NATIVE_FILES + _VISION_FILES + OPTIONAL_FILES)

# Also the name of the directory and a part of URLs: ASCII only, no separators, never hidden.
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileRecord:
    sha256: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the model came from. Two imports with the same `sha256` are the same model."""

    kind: Literal["gguf", "openvino"]
    file: str
    """Name of the file or directory, without its path."""
    sha256: str
    origin: str | None = None
    """The catalog's package and version, for models imported by name."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `adaptive_model.json` says."""

    version: int
    key: str
    name: str
    family: str
    """`model_type` of `config.json`, such as `llama`."""
    source: Source
    format: Literal["native", "openvino-ir"]
    quantization: str | None
    context_length: int
    """Most tokens of prompt and answer together."""
    capabilities: tuple[str, ...]
    files: dict[str, FileRecord]
    created_at: int
    """Epoch milliseconds."""
    converter: str
    """Name and version of what wrote the files, such as `openvino-genai 2026.4.1.0`."""

    def write(self, directory: Path) -> None:
        (directory / MANIFEST).write_bytes(orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2) + b"\n")


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """A complete model directory. It only exists after every checksum was written."""

    path: Path
    manifest: Manifest

    @property
    def key(self) -> str:
        return self.manifest.key

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def family(self) -> str:
        return self.manifest.family

    @property
    def engine(self) -> Literal["native", "openvino"]:
        """What runs it."""
        return "native" if self.manifest.format == "native" else "openvino"

    @property
    def context_length(self) -> int:
        return self.manifest.context_length

    @property
    def capabilities(self) -> tuple[str, ...]:
        return self.manifest.capabilities

    @property
    def size(self) -> int:
        """Bytes of all files of the model."""
        return sum(record.size for record in self.manifest.files.values())

    @classmethod
    def load(cls, path: Path) -> ModelDirectory:
        """Reads the manifest and compares the sizes of the files, which costs no reading of weights.

        Raises `NotFound` when there is no such directory and `CorruptModel` when it is not a complete model directory.
        """
        if not path.is_dir():
            raise NotFound(f"There is no model directory '{path}'. Import one with 'adaptive models import'.")
        manifest = _read_manifest(path)
        if manifest.key != path.name:
            raise CorruptModel(f"The manifest in '{path}' belongs to the model '{manifest.key}'.")
        unknown = manifest.files.keys() - MODEL_FILES
        if unknown:
            raise CorruptModel(f"The manifest in '{path}' lists files that no model has: {', '.join(sorted(unknown))}.")
        missing = required_files(manifest.files) - manifest.files.keys()
        if missing:
            raise CorruptModel(f"The manifest in '{path}' lacks {', '.join(sorted(missing))}.")
        for name, record in manifest.files.items():
            file = path / name
            if file.is_symlink() or not file.is_file() or file.stat().st_size != record.size:
                raise _damaged(file)
        return cls(path, manifest)

    def verify(self) -> None:
        """Compares every checksum, reading all weights. Raises `CorruptModel` naming the first file that differs."""
        for name, record in self.manifest.files.items():
            file = self.path / name
            if not file.is_file() or file_sha256(file) != record.sha256:
                raise _damaged(file)


def required_files(names: Iterable[str]) -> set[str]:
    """What a model directory that has files of these names cannot do without."""
    found = set(names)
    for model in (_VISION_FILES, _NATIVE_FILES):
        if not found.isdisjoint(model):
            return {*_COMMON_FILES, *model}
    return {*_COMMON_FILES, *_LANGUAGE_FILES}


def check_key(key: str) -> str:
    """Returns the key, or raises `InvalidRequest` when it could not be the name of a model directory."""
    if not _KEY.fullmatch(key) or ".." in key:
        raise InvalidRequest(
            f"{key[:80]!r} is not a model key: use 1 to 64 of a-z, 0-9, '.', '_' and '-', starting with a letter or "
            "digit, without '..'.",
            code="invalid_model_key",
            param="key",
        )
    return key


def derive_key(file_name: str) -> str:
    """A key from the name of a file or directory: `SmolLM2 (new).gguf` becomes `smollm2-new`."""
    stem = file_name.lower().removesuffix(".gguf")
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", stem)
    return check_key(re.sub(r"\.{2,}", ".", cleaned).strip("._-")[:64])


def locate(models_dir: Path, key: str) -> Path:
    """Where the model with this key lives or would live: directly inside `models_dir`, never behind a link."""
    path = models_dir.resolve() / check_key(key)
    if path.is_symlink():
        raise InvalidRequest(f"'{path}' is a symbolic link; a model directory must lie in the data directory itself.")
    return path


def model_paths(models_dir: Path) -> list[Path]:
    """The model directories of a data directory by key; imports under way and foreign directories are left out."""
    if not models_dir.is_dir():
        return []
    paths = (path for path in models_dir.iterdir() if _KEY.fullmatch(path.name) and not path.is_symlink())
    return sorted(path for path in paths if (path / MANIFEST).is_file())


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    manifest = read_manifest(file, Manifest)
    if manifest.version != MANIFEST_VERSION:
        raise CorruptModel(
            f"'{file}' has version {manifest.version}, this release reads {MANIFEST_VERSION}. Import the model again."
        )
    return manifest


def _damaged(file: Path) -> CorruptModel:
    return CorruptModel(
        f"'{file}' is not the file that was imported. Remove the directory '{file.parent}' and import the model again."
    )
