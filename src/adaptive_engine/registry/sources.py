"""What can be imported: a GGUF file or a directory with an OpenVINO IR. A source is examined before it is trusted."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import orjson

from adaptive_engine._version import __version__
from adaptive_engine.native import FILE as NATIVE_FILE
from adaptive_engine.native.library import why_not as why_not_here
from adaptive_engine.registry.directory import MODEL_FILES, VISION_FILE, required_files
from adaptive_engine.registry.errors import InvalidModel
from adaptive_engine.registry.family import (
    VISION_FAMILIES,
    check_convertible,
    check_readable,
    generation_config,
    model_config,
    quantization,
)
from adaptive_engine.registry.gguf import read_gguf
from adaptive_engine.registry.progress import Progress

CHUNK = 4 << 20
MAX_JSON_BYTES = 16 << 20
MAX_TEMPLATE_BYTES = 1 << 20
# No model that the engine can hold comes near; a larger number is a broken file.
MAX_CONTEXT = 1 << 24

_MODEL_TYPE = re.compile(r"[a-z0-9_.-]{1,64}", re.ASCII)

# Files that Python would have to execute to read.
PICKLES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"})

# 1 MB/s is far below what any disk and the converter reach together.
CONVERT_SECONDS, CONVERT_BYTES_PER_SECOND = 300, 1 << 20


ModelEngine = Literal["native", "openvino"]


class ModelSource(Protocol):
    """Something examined that can write itself into an empty directory as a complete model, manifest excepted."""

    kind: Literal["gguf", "openvino"]
    path: Path
    sha256: str
    name: str
    family: str
    context_length: int
    capabilities: tuple[str, ...]
    quantization: str | None
    format: Literal["native", "openvino-ir"]
    converter: str

    def write(self, directory: Path, progress: Progress) -> None: ...


def examine(path: Path, progress: Progress, engine: ModelEngine | None = None) -> ModelSource:
    """The source at `path`, its metadata read and checked, for `engine` or whichever can run it.

    Raises `InvalidModel` with the reason and the way out.
    """
    # Links are followed here only: the caller named this very path, and download caches are made of links.
    try:
        resolved = path.resolve(strict=True)
    except (OSError, ValueError) as exc:
        raise InvalidModel(f"'{path}' cannot be opened: {getattr(exc, 'strerror', None) or exc}.") from exc
    if resolved.is_dir():
        if engine == "native":
            raise InvalidModel(f"'{path}' is a directory; the native engine runs GGUF files.")
        return OpenVinoSource(resolved, progress)
    if path.suffix.lower() != ".gguf":
        raise InvalidModel(f"'{path}' is neither a GGUF file nor a directory with an OpenVINO model.")
    return GGUFSource(resolved, path.stem, progress, engine)


class GGUFSource:
    """A GGUF file of a family that our own runtime computes, or that `openvino_genai` converts."""

    kind: Literal["gguf", "openvino"] = "gguf"
    capabilities: tuple[str, ...] = ("TextGeneration",)

    def __init__(self, path: Path, stem: str, progress: Progress, engine: ModelEngine | None = None) -> None:
        self.path = path
        with open_regular(path) as file:
            self.sha256 = _hash(file, os.fstat(file.fileno()).st_size, "read", progress)
        self._gguf = read_gguf(path)
        self.family = check_readable(self._gguf)
        self._config = model_config(self._gguf, self.family)
        self.format: Literal["native", "openvino-ir"] = self._choose(engine)
        self.context_length = check_context(self._config["max_position_embeddings"])
        self.quantization: str | None = quantization(self._gguf)
        self.name = self._gguf.text("general.name") or stem
        native = self.format == "native"
        self.converter = f"adaptive-engine {__version__}" if native else f"openvino-genai {version('openvino-genai')}"

    def _choose(self, engine: ModelEngine | None) -> Literal["native", "openvino-ir"]:
        """What it is to become for `engine`, or on this machine. Raises `InvalidModel`."""
        from adaptive_engine.registry.native import why_not_native

        if engine != "openvino":
            reason = why_not_here() or why_not_native(self._gguf, self._config)
            if reason is None:
                return "native"
            if engine == "native":
                raise InvalidModel(f"The native engine cannot run '{self.path.name}': {reason}. OpenVINO may.")
        check_convertible(self._gguf, self.family)
        return "openvino-ir"

    def write(self, directory: Path, progress: Progress) -> None:
        # Tokenizer first: it takes a second and refuses what the slow conversion could not make up for.
        self._write_texts(directory)
        progress("convert", 0, None)
        if self.format == "native":
            from adaptive_engine.registry.native import write_native

            write_native(self.path, self._gguf, self._config, directory / NATIVE_FILE)
            return
        link = directory / "model.gguf"
        link.symlink_to(self.path)
        limit = CONVERT_SECONDS + self.path.stat().st_size // CONVERT_BYTES_PER_SECOND
        byte_level = self._gguf.text("tokenizer.ggml.model") == "gpt2"
        run_child("gguf" if byte_level else "sentencepiece-gguf", link, limit)
        link.unlink()

    def _write_texts(self, directory: Path) -> None:
        from adaptive_engine.registry.tokenizer import build_tokenizer, tokenizer_config

        build_tokenizer(self._gguf).save(str(directory / "tokenizer.json"))
        write_json(directory / "tokenizer_config.json", tokenizer_config(self._gguf))
        write_json(directory / "config.json", self._config)
        write_json(directory / "generation_config.json", generation_config(self._gguf))
        template = self._gguf.text("tokenizer.chat_template")
        if template is not None:
            (directory / "chat_template.jinja").write_bytes(template.encode())


class OpenVinoSource:
    """A directory as optimum-intel and the OpenVINO hubs write it. Only files of the allow-list are opened."""

    kind: Literal["gguf", "openvino"] = "openvino"
    capabilities: tuple[str, ...] = ("TextGeneration",)
    format: Literal["native", "openvino-ir"] = "openvino-ir"
    converter = "none (copied)"
    quantization: str | None = None

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self._files = self._allowed_files()
        self._config = self._read_json("config.json")
        self.family = self._model_type()
        self._sees = VISION_FILE in self._files
        self._language_config = self._config.get("text_config", self._config) if self._sees else self._config
        if self._sees:
            self._check_sight()
            self.capabilities = (*self.capabilities, "ImageUnderstanding")
        self.context_length = check_context(self._language_config.get("max_position_embeddings"))
        self.name = path.name
        self._tokenizer_config = (
            self._read_json("tokenizer_config.json") if "tokenizer_config.json" in self._files else {}
        )
        self._ends = self._end_tokens()
        self.sha256 = self._digest(progress)

    def write(self, directory: Path, progress: Progress) -> None:
        total = sum(self._size(name) for name in self._files)
        done = 0
        for name in self._files:
            with open_regular(self.path / name) as source, (directory / name).open("xb") as target:
                for chunk in iter(lambda: source.read(CHUNK), b""):
                    target.write(chunk)
                    done += len(chunk)
                    progress("copy", done, total)
        if "generation_config.json" not in self._files:
            write_json(directory / "generation_config.json", {"eos_token_id": self._ends})
        self._write_template(directory)
        self._check_copy(directory, progress)

    def _allowed_files(self) -> list[str]:
        entries = list(os.scandir(self.path))
        for entry in entries:
            _check_entry(entry)
        names = {entry.name for entry in entries}
        if NATIVE_FILE in names:
            raise InvalidModel(
                f"'{self.path}' holds {NATIVE_FILE}, which an import made of a GGUF file. Import that file."
            )
        self._check_complete(names)
        return sorted(names & MODEL_FILES)

    def _check_complete(self, names: set[str]) -> None:
        if not names & {"openvino_model.xml", VISION_FILE} and any(name.endswith(".safetensors") for name in names):
            sees = "preprocessor_config.json" in names
            raise InvalidModel(
                f"'{self.path}' holds a Hugging Face checkpoint. Convert it first: "
                "pip install 'adaptive-engine[convert]', then optimum-cli export openvino --model DIRECTORY "
                f"--task {'image-text-to-text' if sees else 'text-generation-with-past'} OUTPUT"
            )
        if "tokenizer.json" not in names and "openvino_tokenizer.xml" in names:
            raise InvalidModel(
                f"'{self.path}' has openvino_tokenizer.xml but no tokenizer.json, which the engine needs. "
                "Copy tokenizer.json from the original model into the directory."
            )
        # What ends an answer may be said in another file.
        missing = required_files(names) - {"generation_config.json"} - names
        if missing:
            raise InvalidModel(f"'{self.path}' is no OpenVINO model directory: it lacks {', '.join(sorted(missing))}.")

    def _read_json(self, name: str) -> dict[str, Any]:
        value = read_json(self.path / name)
        if names_code(value):
            raise InvalidModel(f"'{self.path}/{name}' asks to run code of the model (auto_map or trust_remote_code).")
        return value

    def _model_type(self) -> str:
        family = self._config.get("model_type")
        if not isinstance(family, str) or not _MODEL_TYPE.fullmatch(family):
            raise InvalidModel(f"'{self.path}/config.json' has no usable model_type.")
        return family

    def _check_sight(self) -> None:
        if self.family not in VISION_FAMILIES:
            raise InvalidModel(
                f"Models of the family '{self.family}' cannot be given images here; "
                f"{', '.join(sorted(VISION_FAMILIES))} can."
            )
        files = [name for name in ("preprocessor_config.json", "processor_config.json") if name in self._files]
        found = {name: self._read_json(name) for name in files}
        if "preprocessor_config.json" not in found and "image_processor" not in found.get("processor_config.json", {}):
            raise InvalidModel(f"'{self.path}' has no preprocessor_config.json, which says how images are prepared.")
        if not isinstance(self._language_config, dict):
            raise InvalidModel(f"'{self.path}/config.json' has no usable text_config.")

    def _end_tokens(self) -> list[int]:
        """Ids that end an answer, from `generation_config.json` or else from `config.json`."""
        configs = [self._config, self._language_config]
        if "generation_config.json" in self._files:
            configs = [self._read_json("generation_config.json")]
        ends = next((config["eos_token_id"] for config in configs if "eos_token_id" in config), None)
        ids: list[Any] = ends if isinstance(ends, list) else [ends]
        if not ids or not all(type(index) is int and index >= 0 for index in ids):
            raise InvalidModel(f"'{self.path}' names no token that ends an answer (eos_token_id).")
        return ids

    def _digest(self, progress: Progress) -> str:
        """One checksum over the names and contents of all files that would be copied."""
        digest = hashlib.sha256()
        for name in self._files:
            with open_regular(self.path / name) as file:
                digest.update(f"{name}\0{_hash(file, self._size(name), 'read', progress)}\n".encode())
        return digest.hexdigest()

    def _size(self, name: str) -> int:
        return (self.path / name).stat(follow_symlinks=False).st_size

    def _write_template(self, directory: Path) -> None:
        """Older exports keep the chat template in a file of its own with another name, or inside
        `tokenizer_config.json`, alone or as one of several by name."""
        template = self._tokenizer_config.get("chat_template")
        if "chat_template.json" in self._files:
            template = self._read_json("chat_template.json").get("chat_template")
        if isinstance(template, list):
            named = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
            template = named.get("default")
        target = directory / "chat_template.jinja"
        if isinstance(template, str) and not target.exists():
            target.write_bytes(template.encode())
        if target.exists() and target.stat().st_size > MAX_TEMPLATE_BYTES:
            raise InvalidModel(f"The chat template of '{self.path}' is larger than {MAX_TEMPLATE_BYTES} bytes.")

    def _check_copy(self, directory: Path, progress: Progress) -> None:
        from tokenizers import Tokenizer

        progress("check", 0, None)
        try:
            Tokenizer.from_file(str(directory / "tokenizer.json"))
        except Exception as exc:  # tokenizers raises plain Exception for every fault of the file
            raise InvalidModel(f"'{self.path}/tokenizer.json' cannot be read: {exc}") from exc
        if self._sees:
            run_child("check-vision", directory, CONVERT_SECONDS)
        else:
            run_child("check", directory / "openvino_model.xml", CONVERT_SECONDS)


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Opens a regular file for reading; a link, a FIFO or a device is refused without waiting for it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise InvalidModel(f"'{path}' cannot be opened: {exc.strerror}.") from exc
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidModel(f"'{path}' is not a regular file.")
        yield file


def read_json(path: Path) -> dict[str, Any]:
    with open_regular(path) as file:
        raw = file.read(MAX_JSON_BYTES + 1)
    if len(raw) > MAX_JSON_BYTES:
        raise InvalidModel(f"'{path}' is larger than {MAX_JSON_BYTES} bytes.")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        raise InvalidModel(f"'{path}' is not JSON: {exc}.") from exc
    if not isinstance(value, dict):
        raise InvalidModel(f"'{path}' must hold a JSON object.")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")


def names_code(value: object) -> bool:
    """Whether a configuration, at any depth, asks its reader to run code that comes with the model."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if {"auto_map", "trust_remote_code"} & item.keys():
                return True
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return False


def check_context(tokens: object) -> int:
    if type(tokens) is not int or not 1 <= tokens <= MAX_CONTEXT:
        raise InvalidModel(f"The model says that its context holds {tokens!r} tokens; expected 1 to {MAX_CONTEXT}.")
    return tokens


def run_child(work: str, path: Path, timeout: int) -> None:
    """Runs `convert.py`; a failure, a crash or `timeout` seconds without an end become `InvalidModel`."""
    command = [sys.executable, "-m", "adaptive_engine.registry.convert", work, str(path)]
    try:
        child = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=timeout
        )
    except subprocess.TimeoutExpired as exc:
        raise InvalidModel(f"The model could not be converted within {timeout} s.") from exc
    if child.returncode < 0:
        raise InvalidModel(f"The model file is damaged: reading it ended with signal {-child.returncode}.")
    if child.returncode:
        reason = child.stderr.decode(errors="replace").strip()[-2000:]
        raise InvalidModel(f"The model could not be read: {reason or 'no reason given'}")


def _check_entry(entry: os.DirEntry[str]) -> None:
    """A foreign file is ignored, but what could lead outside the directory or hide code is refused by name."""
    if entry.is_dir(follow_symlinks=False):
        return
    info = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
        raise InvalidModel(
            f"'{entry.path}' is a link, a FIFO or a device. Import a plain copy of the directory (cp -rL SOURCE COPY)."
        )
    suffix = Path(entry.name).suffix.lower()
    if suffix in PICKLES or (suffix == ".bin" and not entry.name.startswith("openvino_")):
        raise InvalidModel(
            f"'{entry.path}' is a pickle, which can run code when it is read. Remove it from the source."
        )


def _hash(file: BinaryIO, size: int, stage: str, progress: Progress) -> str:
    digest = hashlib.sha256()
    done = 0
    for chunk in iter(lambda: file.read(CHUNK), b""):
        digest.update(chunk)
        done += len(chunk)
        progress(stage, done, size)
    return digest.hexdigest()
