"""LLaVA: an image is one tile, as CLIP or SigLIP see it.

As `CLIPImageProcessor`, `SiglipImageProcessor` and `LlavaProcessor` of transformers do it
(https://huggingface.co/docs/transformers/model_doc/llava).
"""

from __future__ import annotations

import PIL.Image

from adaptive_engine.engine.vision.family import MAX_SIDE, Family, Tiles, VisionConfig, side
from adaptive_engine.engine.vision.pixels import Box, Picture, Pixels, picture_of
from adaptive_engine.errors import EngineFailed
from adaptive_engine.types import Image

# Where it is not said: CLIP has a vector for the whole image before those of its patches.
_ADDITIONAL = {"clip_vision_model": 1}
_PROCESSORS = ("CLIPImageProcessor", "SiglipImageProcessor")


class Llava(Family):
    def __init__(self, config: VisionConfig) -> None:
        processor = config.image_processor
        kind = str(processor.get("image_processor_type", _PROCESSORS[0])).removesuffix("Fast")
        if kind not in _PROCESSORS or processor.get("do_pad"):
            raise EngineFailed(
                f"This LLaVA model prepares images by {kind}; supported are {' and '.join(_PROCESSORS)}.",
                code="vision_config",
            )
        self._pixels = Pixels(processor, resample=PIL.Image.Resampling.BICUBIC)
        self._size = processor["size"]
        self._crop = processor.get("crop_size", self._size) if processor.get("do_center_crop") else None
        if not processor.get("do_resize", True) or (self._crop is None and not _is_fixed(self._size)):
            raise ValueError("images keep sizes of their own")
        fixed = self._size if self._crop is None else self._crop
        self._width, self._height = side(fixed, "width"), side(fixed, "height")
        if not _is_fixed(self._size) and side(self._size, "shortest_edge") < max(self._width, self._height):
            raise ValueError("crop_size is larger than size")
        self._tokens = self._count(config)

    @property
    def tokens_per_tile(self) -> int:
        return self._tokens

    @property
    def tile_pixels(self) -> int:
        return self._width * self._height

    def text(self, width: int, height: int) -> str:
        return self.image_token * self._tokens

    def tiles(self, image: Image) -> Tiles:
        return self._pixels.tensor([self._fitted(picture_of(image))])

    def _fitted(self, picture: Picture) -> Picture:
        width, height = self._resized(*picture.size)
        left, top = (width - self._width) // 2, (height - self._height) // 2
        right, bottom = left + self._width, top + self._height
        if max(width, height) <= MAX_SIDE:
            return self._pixels.resize(picture, width, height).crop((left, top, right, bottom))
        # A line of pixels would become a gigabyte, of which the crop leaves next to nothing. So only that is computed,
        # across first as Pillow does; numbers differ by a level or two.
        across, down = picture.width / width, picture.height / height
        columns: Box = (left * across, 0, right * across, picture.height)
        rows: Box = (0, top * down, self._width, bottom * down)
        narrow = self._pixels.resize(picture, self._width, picture.height, columns)
        return self._pixels.resize(narrow, self._width, self._height, rows)

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if _is_fixed(self._size):
            return side(self._size, "width"), side(self._size, "height")
        short = side(self._size, "shortest_edge")
        if width <= height:
            return short, int(short * height / width)
        return int(short * width / height), short

    def _count(self, config: VisionConfig) -> int:
        """As many as the vision encoder has patches, and what its strategy leaves of the vectors beside them."""
        vision = config.model["vision_config"]
        # What the processor does not say, the model does.
        said = {**config.model, **{name: value for name, value in config.processor.items() if value is not None}}
        patch = int(said.get("patch_size") or vision["patch_size"])
        additional = said.get("num_additional_image_tokens", _ADDITIONAL.get(vision["model_type"], 0))
        dropped = said.get("vision_feature_select_strategy", "default") == "default"
        return (self._width // patch) * (self._height // patch) + int(additional) - int(dropped)


def _is_fixed(size: object) -> bool:
    return isinstance(size, dict) and "height" in size and "width" in size


FAMILY = Llava
