"""A prompt: tokens, and the images that some of them stand for."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from dataclasses import dataclass

from adaptive_engine.types import Image


@dataclass(frozen=True, slots=True)
class PlacedImage:
    """An image in a prompt. Between its tokens others may stand, which say where in the image they are."""

    image: Image
    start: int
    """Its first token."""
    stop: int
    """Behind its last token."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a sequence begins with."""

    tokens: tuple[int, ...]
    images: tuple[PlacedImage, ...] = ()
    """In the order of the tokens. Equal tokens stand for all of them, so only this tells two images apart."""

    def __len__(self) -> int:
        return len(self.tokens)


def content(tokens: Seq[int], images: Seq[PlacedImage], start: int, stop: int) -> list[object]:
    """`tokens[start:stop]` in a form that is equal only where the images are equal too."""
    found: list[object] = list(tokens[start:stop])
    for placed in images:
        for at in range(max(placed.start, start), min(placed.stop, stop)):
            found[at - start] = (tokens[at], placed.image.digest, at - placed.start)
    return found
