"""Images as parts of messages."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal, Protocol


class PilImage(Protocol):
    """What is needed of a `PIL.Image.Image`."""

    format: str | None
    mode: str

    def convert(self, mode: str) -> Any: ...

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None: ...  # noqa: A002 - Pillow's word


def image(
    source: str | Path | bytes | PilImage, *, detail: Literal["auto", "low", "high"] | None = None
) -> dict[str, Any]:
    """An image as a part of a message, from a path, the bytes of a file, a PIL image or a data URI.

        messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image("photo.jpg")]}]

    JPEG, PNG, WebP and GIF are taken as they are. The OpenAI library takes the same part.

    Raises ValueError for other data and for the address of an image elsewhere, and OSError for a file that cannot be
    read.
    """
    url = {"url": _data_uri(source)}
    return {"type": "image_url", "image_url": url if detail is None else {**url, "detail": detail}}


def _data_uri(source: str | Path | bytes | PilImage) -> str:
    from adaptive_engine.wire.images import data_uri

    if isinstance(source, str):
        if source[:5].lower() == "data:":
            return source
        if source[:8].lower().startswith(("http://", "https://")):
            raise ValueError(
                f"{source[:200]!r} is an address, and the server fetches nothing; download the image first"
            )
    if isinstance(source, str | Path):
        try:
            return data_uri(Path(source).read_bytes())
        except ValueError as exc:
            raise ValueError(f"{source}: {exc}") from None
    if isinstance(source, bytes | bytearray | memoryview):
        return data_uri(source)
    if not hasattr(source, "save"):
        kind = type(source).__name__
        raise ValueError(f"An image of type {kind}; give a path, the bytes of a file, a PIL image or a data URI")
    return data_uri(_file(source))


def _file(made: PilImage) -> bytes:
    """Photographs stay JPEG, which takes a tenth of the bytes; everything else is kept without loss."""
    target = io.BytesIO()
    if made.format == "JPEG" and made.mode in ("RGB", "L"):
        made.save(target, "JPEG", quality=95)
    else:
        known = made.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
        (made if known else made.convert("RGB")).save(target, "PNG")
    return target.getvalue()
