"""Models that vLLM runs: `<data_dir>/models/<key>/adaptive_vllm.json` says where each is and how it is started.

The files stay where they are, or are fetched by vLLM itself: they are large, and what is imported is only the wish to
run them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from adaptive_engine.errors import Conflict, InvalidRequest
from adaptive_engine.registry.directory import MANIFEST as OPENVINO_MANIFEST
from adaptive_engine.registry.directory import derive_key, locate
from adaptive_engine.registry.errors import CorruptModel, InvalidModel
from adaptive_engine.registry.manifests import read_manifest
from adaptive_engine.types import now_ms

MANIFEST = "adaptive_vllm.json"
_VERSION = 1
# Of Hugging Face: an owner and a name. https://huggingface.co/docs/huggingface_hub/package_reference/utilities
_HUB_NAME = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
_MAX_CONFIG_BYTES = 16 << 20
_MAX_ARGUMENTS = 200
_MAX_ARGUMENT_CHARACTERS = 10_000
# How the server speaks to vLLM, and where; and ways to start it that are no server for requests.
_RESERVED = (
    *("--host", "--port", "--uds", "--fd", "--api-key", "--root-path", "--served-model-name", "--model", "--model-tag"),
    *("--ssl-keyfile", "--ssl-certfile", "--ssl-ca-certs", "--ssl-cert-reqs", "--scheduling-policy"),
    *("--enable-prompt-tokens-details", "--headless", "--grpc", "--omni"),
)


@dataclass(frozen=True, slots=True)
class VllmModel:
    """What `adaptive_vllm.json` says."""

    version: int
    key: str
    name: str
    source: str
    """An absolute path, or a name of Hugging Face's hub."""
    arguments: tuple[str, ...]
    """Further ones of `vllm serve`."""
    capabilities: tuple[str, ...]
    context_length: int
    """Most tokens of prompt and answer together, as the model's own files say; 0: vLLM will know."""
    created_at: int
    """Epoch milliseconds."""

    @classmethod
    def load(cls, path: Path) -> VllmModel:
        """Raises CorruptModel."""
        file = path / MANIFEST
        model = read_manifest(file, VllmModel)
        if (model.version, model.key) != (_VERSION, path.name):
            raise CorruptModel(f"'{file}' is of another model or release. Import the model again.")
        return model


def import_for_vllm(
    source: str,
    models_dir: Path,
    key: str | None,
    arguments: Iterable[str],
    *,
    images: bool | None = None,
    before_writing: Callable[[VllmModel], object] = lambda _: None,
) -> VllmModel:
    """Writes the manifest. A key that has the same source gets the new arguments.

    `source` is a directory in Hugging Face's format, or a name of its hub. `images` says whether the model takes some;
    None reads that from its files. What `before_writing` raises keeps the manifest from being written. Raises
    InvalidModel for a source that vLLM cannot load, InvalidRequest for a wrong key or argument, Conflict when the key
    belongs to another model.
    """
    arguments = check_arguments(arguments)
    directory = Path(source).expanduser()
    config: dict[str, Any] = {}
    if directory.exists():
        directory = directory.resolve()
        config, source = _config(directory), str(directory)
    elif not _HUB_NAME.fullmatch(source) or ".." in source:
        raise InvalidModel(
            f"There is no directory '{source}', and it is no name of Hugging Face's hub, such as 'Qwen/Qwen3-0.6B'.",
            param="source",
        )
    name = source.rstrip("/").rpartition("/")[2]
    target = locate(models_dir, derive_key(name) if key is None else key)
    if (target / OPENVINO_MANIFEST).exists() or (target.exists() and VllmModel.load(target).source != source):
        raise Conflict(f"The key '{target.name}' belongs to another model; choose another key.", param="key")
    sees = "vision_config" in config if images is None else images
    capabilities = ("TextGeneration", "ImageUnderstanding") if sees else ("TextGeneration",)
    model = VllmModel(_VERSION, target.name, name, source, arguments, capabilities, _context_length(config), now_ms())
    before_writing(model)
    target.mkdir(parents=True, exist_ok=True)
    _write(target / MANIFEST, model)
    return model


def vllm_models(models_dir: Path) -> list[Path]:
    """The directories of models that vLLM runs, by key."""
    return sorted(path.parent for path in models_dir.glob(f"[a-z0-9]*/{MANIFEST}"))


def check_arguments(arguments: Iterable[str]) -> tuple[str, ...]:
    """Raises InvalidRequest for what no model may be started with."""
    found = tuple(arguments)
    if len(found) > _MAX_ARGUMENTS:
        raise InvalidRequest(f"vLLM is given {_MAX_ARGUMENTS} arguments at most.", param="arguments")
    if found and not found[0].startswith("-"):
        raise InvalidRequest(
            f"'{found[0][:100]}' is no option of vLLM: write them behind `--`, such as -- --tensor-parallel-size 2.",
            param="arguments",
        )
    for argument in found:
        if len(argument) > _MAX_ARGUMENT_CHARACTERS or not argument.isprintable():
            raise InvalidRequest(f"{argument[:60]!r} is no argument: it is too long, or not text.", param="arguments")
        # vLLM takes underscores for hyphens.
        name = argument.partition("=")[0].replace("_", "-")
        if name in _RESERVED:
            raise InvalidRequest(f"{name} is the server's to choose; leave it out.", param="arguments")
    return found


def _config(directory: Path) -> dict[str, Any]:
    """Of a model's directory. Raises InvalidModel for one that is none."""
    file = directory / "config.json"
    if not file.is_file() or file.stat().st_size > _MAX_CONFIG_BYTES:
        raise InvalidModel(
            f"'{directory}' is no directory in Hugging Face's format: it has no config.json. For GGUF files and "
            "OpenVINO directories leave --engine out.",
            param="source",
        )
    if not any(directory.glob("*.safetensors")):
        # Pickles run whatever code they contain.
        raise InvalidModel(f"'{directory}' has no weights in *.safetensors; no others are loaded.", param="source")
    try:
        config = json.loads(file.read_text("utf-8"))
    except ValueError as exc:
        raise InvalidModel(f"'{file}' is no JSON.", param="source") from exc
    if not isinstance(config, dict):
        raise InvalidModel(f"'{file}' is no JSON object.", param="source")
    return config


def _context_length(config: dict[str, Any]) -> int:
    """0 where it does not say."""
    for place in (config, config.get("text_config")):
        length = place.get("max_position_embeddings") if isinstance(place, dict) else None
        if type(length) is int and 0 < length < 2**31:
            return length
    return 0


def _write(file: Path, model: VllmModel) -> None:
    """All of it or nothing."""
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_bytes(orjson.dumps(asdict(model), option=orjson.OPT_INDENT_2) + b"\n")
    draft.replace(file)
