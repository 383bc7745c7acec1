"""The child process that decodes: `python -m adaptive_engine.images.worker CPU_SECONDS BYTES`.

A question has the type that the client named and the limits, its payload is the file in base64. The answer is
`{"refused": {"code", "reason"}}`, or the size and digest of the image, upright and in RGB; its payload are the pixels
and then the file to be stored. Nothing else of the client's file remains: no EXIF, no colour profile, no text.
"""

from __future__ import annotations

import binascii
import io
import sys
import warnings
from typing import Any

import PIL.Image

from adaptive_engine.images.header import Header, read_header
from adaptive_engine.sandbox.child import Answer, serve
from adaptive_engine.types import Image
from adaptive_engine.wire.images import MEDIA_TYPES, ImageRefused, sniff

JPEG_QUALITY = 90
_WHITE = (255, 255, 255)


def answer(question: dict[str, Any], encoded: bytes) -> tuple[dict[str, Any], bytes]:
    try:
        data = _bytes(encoded)
        header = _checked(data, **question)
        return _decoded(data, header, question["media_type"], question["max_edge"])
    except ImageRefused as exc:
        return {"refused": {"code": exc.code, "reason": exc.reason}}, b""
    except MemoryError:
        return {"refused": {"code": "image_too_large", "reason": "Decoding it takes too much memory."}}, b""


def _bytes(encoded: bytes) -> bytes:
    try:
        return binascii.a2b_base64(encoded, strict_mode=True)
    except binascii.Error as exc:
        raise ImageRefused("invalid_image", f"The base64 is damaged: {exc}.") from None


def _checked(data: bytes, media_type: str, max_pixels: int, max_frames: int, **_: Any) -> Header:
    """What can be known before decoding. Raises ImageRefused."""
    found = sniff(data)
    if found is None:
        raise ImageRefused("invalid_image", f"The data is no {MEDIA_TYPES[media_type]} file.")
    if found != media_type:
        raise ImageRefused(
            "invalid_image", f"The data is a {MEDIA_TYPES[found]} file, but its data URI says {media_type}."
        )
    header = read_header(data, media_type, max_frames)
    if header.width * header.height > max_pixels:
        raise ImageRefused(
            "image_too_large",
            f"The image has {header.width} x {header.height} pixels; at most {max_pixels} are taken.",
        )
    if header.frames > max_frames:
        raise ImageRefused(
            "too_many_frames", f"The animation has more than {max_frames} frames. Send one of them as an image."
        )
    return header


def _decoded(data: bytes, header: Header, media_type: str, max_edge: int) -> tuple[dict[str, Any], bytes]:
    try:
        with PIL.Image.open(io.BytesIO(data), formats=[MEDIA_TYPES[media_type]]) as file:
            if file.size != (header.width, header.height):
                raise ImageRefused("invalid_image", "The file contradicts itself about the size of the image.")
            image = _upright(file, max_edge)
    except (ImageRefused, MemoryError):
        raise
    except Exception as exc:
        # Whatever a decoder stumbles over, the file is at fault.
        reason = " ".join(str(exc).split())[:200] or type(exc).__name__
        if isinstance(exc, PIL.UnidentifiedImageError):
            # Its own words are about objects in this process.
            reason = "what it begins with cannot be read"
        raise ImageRefused("invalid_image", f"The {MEDIA_TYPES[media_type]} file is damaged: {reason}.") from exc
    # Pillow would write what it read: comments, profiles.
    image.info = {}
    seen = Image.of(image.width, image.height, image.tobytes())
    stored_type = "image/jpeg" if header.lossy else "image/png"
    stored = _file(image, stored_type)
    said = {
        "digest": seen.digest.hex(),
        "width": seen.width,
        "height": seen.height,
        "media_type": stored_type,
    }
    return said, seen.pixels + stored


def _upright(file: PIL.Image.Image, max_edge: int) -> PIL.Image.Image:
    """The first frame in RGB as it is meant to be seen, at most `max_edge` wide and high."""
    # JPEG can be decoded at a fraction of its size.
    file.draft(None, (max_edge, max_edge))
    file.load()
    orientation = _orientation(file)
    image = _flat(file)
    image.thumbnail((max_edge, max_edge), PIL.Image.Resampling.LANCZOS, reducing_gap=2.0)
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    return image


_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""What brings an image upright, by the EXIF field Orientation."""


def _orientation(file: PIL.Image.Image) -> int | None:
    try:
        found: int | None = file.getexif().get(0x0112)
    except Exception:
        # EXIF that cannot be read turns nothing.
        return None
    return found


def _flat(image: PIL.Image.Image) -> PIL.Image.Image:
    """In RGB; what can be seen through is on white."""
    if image.mode.startswith("I"):
        # 16 bits of grey, which `convert` would cut off instead of scaling.
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    flat = PIL.Image.new("RGB", seen.size, _WHITE)
    flat.paste(seen, mask=seen.getchannel("A"))
    return flat


def _file(image: PIL.Image.Image, media_type: str) -> bytes:
    target = io.BytesIO()
    if media_type == "image/jpeg":
        image.save(target, "JPEG", quality=JPEG_QUALITY)
    else:
        image.save(target, "PNG")
    return target.getvalue()


def _ready() -> Answer:
    # Ours are checked before; this is for files that say one thing in their header and another further on.
    PIL.Image.MAX_IMAGE_PIXELS = 100_000_000
    warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
    return answer


if __name__ == "__main__":
    serve(_ready, sys.argv[1:])
