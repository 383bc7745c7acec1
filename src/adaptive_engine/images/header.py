"""What the bytes of an image file say about it before anything is decoded.

Formats: PNG https://www.w3.org/TR/png-3/, GIF https://www.w3.org/Graphics/GIF/spec-gif89a.txt, WebP RFC 9649, JPEG
ITU-T T.81. What is cut off or wrong further on is left for the decoder to say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from adaptive_engine.wire.images import ImageRefused

# Markers of JPEG that begin a frame: all from SOF0 to SOF15 but DHT, JPG and DAC, which lie among them.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
# Markers without a length.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Header:
    width: int
    height: int
    frames: int = 1
    """As many as were counted; more than asked for are not."""
    lossy: bool = False


def read_header(data: bytes, media_type: str, most_frames: int) -> Header:
    """Of a file whose first bytes say that it is of that type. Raises ImageRefused where there is no size in it."""
    try:
        header = _READERS[media_type](data, most_frames)
    except (struct.error, IndexError):
        raise ImageRefused("invalid_image", "The file is cut off within its header.") from None
    if header.width < 1 or header.height < 1:
        raise ImageRefused("invalid_image", f"The image has {header.width} x {header.height} pixels.")
    return header


def _png(data: bytes, most_frames: int) -> Header:
    if data[12:16] != b"IHDR":
        raise ImageRefused("invalid_image", "The PNG file has no header.")
    width, height = struct.unpack_from(">II", data, 16)
    at, frames = 8, 1
    while at + 16 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind == b"acTL":
            (frames,) = struct.unpack_from(">I", data, at + 8)
        if kind == b"IDAT":
            break
        at += 12 + length
    return Header(width, height, min(frames, most_frames + 1))


def _gif(data: bytes, most_frames: int) -> Header:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + _colours(flags), 0
    while at < len(data) and frames <= most_frames:
        block = data[at]
        if block == 0x21 and at + 2 < len(data):
            at = _behind_pieces(data, at + 2)
        elif block == 0x2C and at + 10 < len(data):
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, at + 1)
            if not frames:
                width, height = max(width, left + wide), max(height, top + high)
            frames += 1
            at = _behind_pieces(data, at + 11 + _colours(flags))
        else:
            break
    return Header(width, height, frames)


def _colours(flags: int) -> int:
    """Bytes of the colour table that the flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _behind_pieces(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _webp(data: bytes, most_frames: int) -> Header:
    kind, body = data[12:16], 20
    if kind == b"VP8X":
        width = 1 + int.from_bytes(data[body + 4 : body + 7], "little")
        height = 1 + int.from_bytes(data[body + 7 : body + 10], "little")
        return Header(width, height, *_webp_frames(data, most_frames))
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, body + 1)
        return Header(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, body + 6)
        return Header(width & 0x3FFF, height & 0x3FFF, lossy=True)
    raise ImageRefused("invalid_image", "The WebP file begins with nothing that is known.")


def _webp_frames(data: bytes, most_frames: int) -> tuple[int, bool]:
    at, frames, lossy = 12, 0, False
    while at + 8 <= len(data) and frames <= most_frames:
        frames += data[at : at + 4] == b"ANMF"
        lossy = lossy or data[at : at + 4] == b"VP8 "
        (length,) = struct.unpack_from("<I", data, at + 4)
        at += 8 + length + (length & 1)
    return max(frames, 1), lossy


def _jpeg(data: bytes, _: int) -> Header:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ImageRefused("invalid_image", "The JPEG file is damaged in its header.")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Header(width, height, lossy=True)
        elif marker in (0xD9, 0xDA):
            raise ImageRefused("invalid_image", "The JPEG file has no size in its header.")
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            at += 2 + length


_READERS: dict[str, Callable[[bytes, int], Header]] = {
    "image/png": _png,
    "image/gif": _gif,
    "image/webp": _webp,
    "image/jpeg": _jpeg,
}
