"""Images in prompts: what stands for them, and where."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Seq
from itertools import accumulate, pairwise

import numpy as np

from adaptive_engine.engine.prompt import PlacedImage, Prompt
from adaptive_engine.engine.vision.family import Family
from adaptive_engine.engine.vision.views import ImageKey, Vectors, View
from adaptive_engine.errors import EngineFailed, InvalidRequest
from adaptive_engine.types import Image


class Sight:
    """A model's family and the number of its image token. Any thread may use it."""

    def __init__(self, family: Family, image_token_id: int) -> None:
        self.family = family
        self._image_token_id = image_token_id

    def expand(self, rendered: str, images: Seq[Image]) -> str:
        """What the template rendered, with all that stands for `images`. Raises InvalidRequest."""
        texts = rendered.split(self.family.image_token)
        if len(texts) != len(images) + 1:
            raise InvalidRequest(
                f"The model's chat template has {len(texts) - 1} places for {len(images)} images in these messages. "
                "Send images in messages of the user only.",
                code="template_failed",
                param="messages",
            )
        shown = [self.family.text(image.width, image.height) for image in images]
        return texts[0] + "".join(view + text for view, text in zip(shown, texts[1:], strict=True))

    def place(self, tokens: Seq[int], images: Seq[Image]) -> tuple[PlacedImage, ...]:
        """Where `images` are in the tokens of an expanded text."""
        at = [index for index, token in enumerate(tokens) if token == self._image_token_id]
        counts = [self.family.tokens(image.width, image.height) for image in images]
        ranges = pairwise(accumulate(counts, initial=0))
        return tuple(
            PlacedImage(image, at[first], at[last - 1] + 1) for image, (first, last) in zip(images, ranges, strict=True)
        )

    def views(self, prompt: Prompt, salt: bytes, vectors: Mapping[ImageKey, Vectors]) -> tuple[View, ...]:
        """The `vectors` of all images of `prompt`, in the place of their tokens. Raises EngineFailed."""
        return tuple(self._view(prompt, placed, vectors[salt, placed.image.digest]) for placed in prompt.images)

    def _view(self, prompt: Prompt, placed: PlacedImage, seen: Vectors) -> View:
        tokens = np.array(prompt.tokens[placed.start : placed.stop], np.int64)
        positions = placed.start + np.flatnonzero(tokens == self._image_token_id)
        if len(positions) != len(seen):
            raise EngineFailed(f"An image has {len(positions)} tokens in the prompt for {len(seen)} vectors.")
        return View(positions, seen)
