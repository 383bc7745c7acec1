"""Pictures made by code: good ones, and such as attack a decoder."""

from __future__ import annotations

import base64
import io
import random
import struct
import zlib
from typing import Any

from PIL import Image

RED, GREEN, BLUE = (255, 0, 0), (0, 128, 0), (0, 0, 255)


def plain(size: tuple[int, int] = (24, 16), colour: Any = RED, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height))


def file(picture: Image.Image | None = None, kind: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    (picture or plain()).save(target, kind, **options)
    return target.getvalue()


def uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def part(data: bytes | None = None, media_type: str = "image/png") -> dict[str, Any]:
    """A part of a message, as OpenAI spells it."""
    return {"type": "image_url", "image_url": {"url": uri(file() if data is None else data, media_type)}}


def asking(*images: dict[str, Any], text: str = "What is this?", role: str = "user") -> list[dict[str, Any]]:
    """Messages with a text and then pictures."""
    return [{"role": role, "content": [{"type": "text", "text": text}, *images]}]


def padded(size: int) -> bytes:
    """A PNG file of just so many bytes."""
    base = file()
    return base[:-12] + chunk(b"fiLl", bytes(size - len(base) - 12)) + base[-12:]


def chunk(kind: bytes, data: bytes) -> bytes:
    """Of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *, depth: int = 8, colour: int = 0, before: bytes = b"", data: bytes = b"") -> bytes:
    """A PNG file that says this of itself, whatever its data are."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    )


def jpeg_head(width: int, height: int) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, 3) + b"\x01\x11\x00\x02\x11\x00\x03\x11\x00"
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"


def webp_head(width: int, height: int) -> bytes:
    bits = (width - 1) | (height - 1) << 14
    data = b"\x2f" + struct.pack("<I", bits) + bytes(7)
    body = b"WEBPVP8L" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(width: int, height: int, frames: int = 1) -> bytes:
    """Frames of one pixel on a canvas."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\xff\x00\x00\x00\x00\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frames * frame + b"\x3b"


def animated_webp(frames: int) -> bytes:
    head = b"\x02\x00\x00\x00" + (15).to_bytes(3, "little") * 2
    body = b"WEBPVP8X" + struct.pack("<I", len(head)) + head + frames * (b"ANMF" + struct.pack("<I", 16) + bytes(16))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bombs() -> dict[str, bytes]:
    """Small files of enormous pictures."""
    return {
        "png 9000": png(9000, 9000, depth=1, data=bytes(9000 * (9000 // 8 + 1))),
        "png 12000": png(12_000, 12_000, depth=1),
        "png 65535": png(65_535, 65_535),
        "png 16 bit": png(30_000, 30_000, depth=16, colour=6),
        "png 2**31": png(2**31 - 1, 2**31 - 1),
        "jpeg 65500": jpeg_head(65_500, 65_500),
        "webp 16383": webp_head(16_383, 16_383),
        "gif 65535": gif(65_535, 65_535),
    }
