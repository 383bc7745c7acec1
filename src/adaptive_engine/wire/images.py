"""Images on the wire: data URIs such as `data:image/png;base64,iVBORw0KGgo...`.

`data:`, one of the types below, `;base64,` and base64 in its usual alphabet, padded and without blanks. Case counts in
the base64 alone; there are no parameters.
"""

from __future__ import annotations

import base64
import re
from typing import Literal, NamedTuple

MEDIA_TYPES = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WebP", "image/gif": "GIF"}
"""What is taken, with the names that people know."""
# Not registered, and yet written.
_ALIASES = {"image/jpg": "image/jpeg"}
_HEAD = re.compile(r"data:(?P<type>[^,;]*)(?P<rest>[^,]*),", re.IGNORECASE)
_LONGEST_HEAD = 256
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*:)|//", re.IGNORECASE)

ImageProblem = Literal[
    "remote_images_disabled", "unsupported_image_type", "invalid_image", "image_too_large", "too_many_frames"
]


class ImageRefused(Exception):
    """Why something is no image that is taken."""

    def __init__(self, code: ImageProblem, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class DataUri(NamedTuple):
    media_type: str
    uri: str
    start: int
    """Where the base64 begins. Its length is right; whether its characters are, shows when it is decoded."""

    @property
    def encoded(self) -> str:
        return self.uri[self.start :]

    @property
    def size(self) -> int:
        """Bytes, decoded."""
        return (len(self.uri) - self.start) // 4 * 3 - self.uri[-2:].count("=")


def parse_data_uri(uri: str) -> DataUri:
    """Raises ImageRefused."""
    if uri[:5].lower() != "data:":
        if _SCHEME.match(uri):
            raise ImageRefused(
                "remote_images_disabled",
                "This server fetches nothing from elsewhere. Download the image and send it as a data URI, "
                "data:image/png;base64,...",
            )
        raise ImageRefused("invalid_image", "This is no data URI; send data:image/png;base64,...")
    head = _HEAD.match(uri[:_LONGEST_HEAD])
    if head is None:
        raise ImageRefused("invalid_image", "The data URI has no comma behind its type; send data:image/png;base64,...")
    kind = head["type"].lower()
    media_type = _ALIASES.get(kind, kind)
    if media_type not in MEDIA_TYPES:
        taken = ", ".join(MEDIA_TYPES)
        raise ImageRefused("unsupported_image_type", f"Type '{head['type'][:64]}' is not taken; {taken} are.")
    if head["rest"].lower() != ";base64":
        raise ImageRefused(
            "invalid_image", f"Behind the type stands ';base64,' and nothing else, not '{head['rest'][:64]},'."
        )
    length = len(uri) - head.end()
    if not length:
        raise ImageRefused("invalid_image", "The data URI is empty.")
    if any(uri.find(blank, head.end()) >= 0 for blank in "\n\r "):
        raise ImageRefused("invalid_image", "The base64 has line breaks or blanks; send it without them, in one line.")
    if length % 4 or uri.endswith("==="):
        raise ImageRefused("invalid_image", "The base64 is cut off, or its padding is wrong.")
    return DataUri(media_type, uri, head.end())


def data_uri(data: bytes) -> str:
    """Raises ValueError for what is no image of a known type."""
    media_type = sniff(data)
    if media_type is None:
        raise ValueError(f"The data is no image that the server takes; it takes {', '.join(MEDIA_TYPES.values())}")
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def sniff(data: bytes) -> str | None:
    """The type that the first bytes say, None for any other."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None
