"""Pixels as Hugging Face's image processors make them, without torch: Pillow resizes, numpy does the rest.

https://huggingface.co/docs/transformers/main_classes/image_processor documents the fields of
`preprocessor_config.json`. What comes out is equal bit for bit to the processors that use Pillow (`use_fast=False`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from adaptive_engine.types import Image

Picture = PIL.Image.Image
Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge, in pixels."""


class Pixels:
    """`resample`, `do_rescale`, `rescale_factor`, `do_normalize`, `image_mean` and `image_std` of a processor."""

    def __init__(self, config: Mapping[str, Any], *, resample: PIL.Image.Resampling) -> None:
        """`resample` is the filter of processors that name none. Raises ValueError."""
        named = config.get("resample")
        self._filter = resample if named is None else PIL.Image.Resampling(named)
        self._values = _values(config)

    def resize(self, picture: Picture, width: int, height: int, box: Box | None = None) -> Picture:
        """The picture, or what is of it in `box`."""
        return picture.resize((width, height), self._filter, box)

    def tensor(self, pictures: list[Picture]) -> NDArray[np.float32]:
        """`[pictures, 3, height, width]`; all of one size."""
        levels = np.stack([np.asarray(picture) for picture in pictures]).transpose(0, 3, 1, 2)
        return np.stack([values[levels[:, colour]] for colour, values in enumerate(self._values)], axis=1)


def picture_of(image: Image) -> Picture:
    return PIL.Image.frombytes("RGB", (image.width, image.height), image.pixels)


def _values(config: Mapping[str, Any]) -> NDArray[np.float32]:
    """`[3, 256]`: what each level of each colour becomes."""
    levels = np.arange(256, dtype=np.float64)
    if config.get("do_rescale", True):
        levels *= float(config.get("rescale_factor", 1 / 255))
    values = np.tile(levels.astype(np.float32), (3, 1))
    if config.get("do_normalize", True):
        mean, std = (np.array(config[name], np.float32).reshape(3, 1) for name in ("image_mean", "image_std"))
        with np.errstate(all="ignore"):
            values = (values - mean) / std
    if not np.isfinite(values).all():
        raise ValueError("image_mean and image_std give numbers that are not finite")
    return values
