"""Idefics3 and SmolVLM: an image is cut into square tiles, with the whole of it as a last one.

As `Idefics3ImageProcessor` and `Idefics3Processor` of transformers do it
(https://huggingface.co/docs/transformers/model_doc/idefics3).
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from adaptive_engine.engine.vision.family import Family, Tiles, VisionConfig, side
from adaptive_engine.engine.vision.pixels import Pixels, picture_of
from adaptive_engine.types import Image

_AROUND, _WHOLE = "<fake_token_around_image>", "<global-img>"


class Idefics3(Family):
    def __init__(self, config: VisionConfig) -> None:
        processor, vision = config.image_processor, config.model["vision_config"]
        self._pixels = Pixels(processor, resample=PIL.Image.Resampling.LANCZOS)
        self._tile = side(processor.get("max_image_size", {"longest_edge": 364}), "longest_edge")
        self._longest = side(processor.get("size", {"longest_edge": 4 * 364}), "longest_edge")
        self._resize = bool(processor.get("do_resize", True))
        self._split = bool(processor.get("do_image_splitting", True))
        self._patches = self._tile // int(vision["patch_size"])
        if self._patches != int(vision["image_size"]) // int(vision["patch_size"]):
            raise ValueError(f"tiles of {self._tile} pixels are not what the vision encoder was trained for")
        self._tokens = (self._patches // int(config.model["scale_factor"])) ** 2

    @property
    def tokens_per_tile(self) -> int:
        return self._tokens

    @property
    def tile_pixels(self) -> int:
        return self._tile**2

    def text(self, width: int, height: int) -> str:
        image = self.image_token * self._tokens
        rows, columns = self._grid(width, height)
        parts = []
        for row in range(1, rows + 1):
            parts += [f"{_AROUND}<row_{row}_col_{column}>{image}" for column in range(1, columns + 1)]
            parts.append("\n")
        if rows:
            parts.append("\n")
        return "".join([*parts, _AROUND, _WHOLE, image, _AROUND])

    def tiles(self, image: Image) -> Tiles:
        picture = picture_of(image)
        if self._resize:
            picture = self._pixels.resize(picture, *self._resized(*picture.size))
        rows, columns = self._grid(image.width, image.height)
        tiles = []
        if self._split:
            picture = self._pixels.resize(picture, *self._whole_tiles(*picture.size))
        if rows:
            for row, column in product(range(rows), range(columns)):
                left, top = column * self._tile, row * self._tile
                tiles.append(picture.crop((left, top, left + self._tile, top + self._tile)))
        if picture.size != (self._tile, self._tile):
            picture = self._pixels.resize(picture, self._tile, self._tile)
        return self._pixels.tensor([*tiles, picture])

    def inputs(self, tiles: Tiles) -> dict[str, NDArray[Any]]:
        """Every tile is full, so its n-th patch has position n, as the published models were trained."""
        count, patches = len(tiles), self._patches
        return {
            "pixel_values": tiles,
            "patch_attention_mask": np.ones((count, patches, patches), np.bool_),
            "patch_position_ids": np.tile(np.arange(patches * patches), (count, 1)),
        }

    def _grid(self, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of tiles; none where the whole image is the only one."""
        if not self._split:
            return 0, 0
        size = self._resized(width, height) if self._resize else (width, height)
        columns, rows = (length // self._tile for length in self._whole_tiles(*size))
        return (0, 0) if rows == columns == 1 else (rows, columns)

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        """The longest edge as the processor has it, the other one in proportion and even."""
        ratio = width / height
        if width >= height:
            width, height = self._longest, _even(int(self._longest / ratio))
        else:
            width, height = _even(int(self._longest * ratio)), self._longest
        return max(width, 1), max(height, 1)

    def _whole_tiles(self, width: int, height: int) -> tuple[int, int]:
        """The next size that tiles cover, without regard to the proportions."""
        ratio = width / height
        if width >= height:
            width = self._up(width)
            return width, self._up(int(width / ratio))
        height = self._up(height)
        return self._up(int(height * ratio)), height

    def _up(self, length: int) -> int:
        return max(math.ceil(length / self._tile), 1) * self._tile


def _even(length: int) -> int:
    return length + length % 2


FAMILY = Idefics3
