"""Images."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Image:
    """A decoded image: RGB, 8 bits for each colour."""

    digest: bytes
    """SHA-256 over width, height and pixels: the same for the same image, whatever file it came in."""
    width: int
    height: int
    pixels: bytes = field(repr=False)
    """Row by row from the top, three bytes for each pixel."""

    @classmethod
    def of(cls, width: int, height: int, pixels: bytes) -> Image:
        """Raises ValueError where the number of pixels is another than the size says."""
        if width < 1 or height < 1 or len(pixels) != 3 * width * height:
            raise ValueError(f"{len(pixels)} bytes are no image of {width} x {height} pixels in RGB")
        digest = hashlib.sha256(width.to_bytes(8, "big") + height.to_bytes(8, "big"))
        digest.update(pixels)
        return cls(digest.digest(), width, height, pixels)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in the messages of interactions, as a file."""

    name: str
    """Of its content, with the ending of its type: the same image has the same name."""
    media_type: str
    width: int
    height: int
    data: bytes = field(repr=False)
