"""Families of vision models: how an image becomes tiles for the vision encoder, and tokens in the prompt."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.errors import EngineFailed
from adaptive_engine.types import Image

Tiles = NDArray[np.float32]
"""`[tiles, 3, height, width]`, as the vision encoder takes them. Each becomes the same number of tokens."""

MAX_SIDE = 4096
"""No image is resized to more. Idefics3 has the same limit in transformers."""

FAMILIES = {
    "idefics3": "idefics3",
    "smolvlm": "idefics3",
    "llava": "llava",
}
"""`model_type` of `config.json`, and the module with its `Family`."""


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """What a family is built from: the model's own files, as Hugging Face names them."""

    model: Mapping[str, Any]
    """`config.json`"""
    image_processor: Mapping[str, Any]
    """`preprocessor_config.json`, or its place in `processor_config.json`"""
    processor: Mapping[str, Any]
    """`processor_config.json`, if there is one"""

    @classmethod
    def read(cls, directory: Path) -> VisionConfig:
        processor = _read_json(directory / "processor_config.json")
        images = _read_json(directory / "preprocessor_config.json") or processor.get("image_processor")
        if not images:
            raise EngineFailed(
                f"Model '{directory.name}' has no preprocessor_config.json, which says how it sees.",
                code="no_image_processor",
            )
        return cls(_read_json(directory / "config.json"), images, processor)


class Family(ABC):
    """One model's way to see. Its methods may be called from any thread."""

    image_token: ClassVar[str] = "<image>"
    """What the chat template writes for an image, and a prompt has for each vector of it."""

    @abstractmethod
    def __init__(self, config: VisionConfig) -> None:
        """Raises EngineFailed for what it cannot do, KeyError or ValueError for what is not there."""

    @property
    @abstractmethod
    def tokens_per_tile(self) -> int: ...

    @property
    @abstractmethod
    def tile_pixels(self) -> int: ...

    @abstractmethod
    def text(self, width: int, height: int) -> str:
        """What stands in a prompt for an image of that size: `image_token` for each vector, and what is around."""

    def tokens(self, width: int, height: int) -> int:
        """How many vectors an image of that size becomes."""
        return self.text(width, height).count(self.image_token)

    @abstractmethod
    def tiles(self, image: Image) -> Tiles:
        """The tiles of an image, in the order of their tokens in `text`."""

    def inputs(self, tiles: Tiles) -> dict[str, NDArray[Any]]:
        """The inputs of the vision encoder, by name."""
        return {"pixel_values": tiles}


def load_family(directory: Path) -> Family:
    """Raises EngineFailed where the model is of no family, or its files are not what the family needs."""
    config = VisionConfig.read(directory)
    name = str(config.model.get("model_type"))
    if name not in FAMILIES:
        raise EngineFailed(
            f"Models of the family '{name}' cannot be given images; {', '.join(FAMILIES)} can.", code="vision_family"
        )
    family: type[Family] = import_module(f"{__package__}.{FAMILIES[name]}").FAMILY
    try:
        return family(config)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as exc:
        raise EngineFailed(
            f"Model '{directory.name}' does not say how it sees: {type(exc).__name__}: {exc}.", code="vision_config"
        ) from exc


def side(size: object, name: str) -> int:
    """An edge of a processor's size, which is a number or an object of named edges. Raises ValueError."""
    value = size.get(name) if isinstance(size, Mapping) else size
    if type(value) is not int or not 1 <= value <= MAX_SIDE:
        raise ValueError(f"the size {size!r} has no {name} from 1 to {MAX_SIDE}")
    return value


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content
