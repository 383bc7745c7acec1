"""The side of the server: hands images to the child processes that decode them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import assert_never

from adaptive_engine.sandbox import LimitExceeded, Limits, Pool
from adaptive_engine.types import Image
from adaptive_engine.wire.images import DataUri, ImageRefused

MAX_FRAMES = 1000
"""Of an animation, whose first frame alone is seen."""


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Of one image."""

    max_bytes: int = 10 * 2**20
    """Of its file."""
    max_pixels: int = 25_000_000
    max_edge: int = 2048
    """Wider and higher ones are scaled down."""


@dataclass(frozen=True, slots=True)
class DecodeLimits(Limits):
    """What the decoding of one image may cost."""

    cpu_seconds: float = 5.0
    wall_seconds: float = 15.0
    memory_bytes: int = 640 << 20
    processes: int = 2
    """Some 30 MB each."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image, and the file that it is stored as."""

    image: Image
    media_type: str
    file: bytes = field(repr=False)


class Decoder:
    """Asks the children. Any thread may call `decode`; as many as there are children at a time get through."""

    def __init__(self, limits: ImageLimits, decode_limits: DecodeLimits | None = None) -> None:
        self._limits = limits
        self._decode_limits = decode_limits or DecodeLimits()
        self._pool = Pool("adaptive_engine.images.worker", self._decode_limits)

    @property
    def processes(self) -> int:
        return self._decode_limits.processes

    def decode(self, uri: DataUri) -> Decoded:
        """Raises ImageRefused or SandboxBusy."""
        if uri.size > self._limits.max_bytes:
            raise ImageRefused(
                "image_too_large", f"The file has {uri.size} bytes; at most {self._limits.max_bytes} are taken."
            )
        try:
            encoded = uri.encoded.encode("ascii")
        except UnicodeEncodeError:
            raise ImageRefused("invalid_image", "The base64 has characters outside its alphabet.") from None
        question = {
            "media_type": uri.media_type,
            "max_pixels": self._limits.max_pixels,
            "max_frames": MAX_FRAMES,
            "max_edge": self._limits.max_edge,
        }
        try:
            said, made = self._pool.ask(json.dumps(question).encode(), encoded)
        except LimitExceeded as exc:
            raise self._too_costly(exc) from exc
        if refused := said.get("refused"):
            raise ImageRefused(**refused)
        pixels = 3 * said["width"] * said["height"]
        image = Image(bytes.fromhex(said["digest"]), said["width"], said["height"], made[:pixels])
        return Decoded(image, said["media_type"], made[pixels:])

    def _too_costly(self, exceeded: LimitExceeded) -> ImageRefused:
        match exceeded.limit:
            case "time":
                reason = f"Decoding it takes more than {self._decode_limits.cpu_seconds:g} s. Make it smaller."
                return ImageRefused("image_too_large", reason)
            case "memory":
                return ImageRefused("image_too_large", "Decoding it takes too much memory. Make it smaller.")
            case "stack":
                return ImageRefused("invalid_image", "The file is damaged: its decoder crashes.")
        assert_never(exceeded.limit)

    def close(self) -> None:
        """End the children; who waits for one gets SandboxBusy."""
        self._pool.close()
