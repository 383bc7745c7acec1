"""Messages on a socket: a head of nine bytes, JSON, and bytes that JSON cannot hold."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

_HEAD = struct.Struct(">BII")
_MESSAGE, _DELTAS = 0, 1
# Beyond any request: the images of one have some tens of megabytes.
_MOST_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Frame:
    """One message as it arrived."""

    content: Any
    """An object with a `type`, or the deltas of a step as a list."""
    payload: bytes = b""


class BadFrame(Exception):
    """The other side does not speak this protocol."""


def message(content: dict[str, Any], payload: bytes = b"") -> list[bytes]:
    """The pieces of a frame."""
    # Not orjson: a client's schema may have numbers of any size.
    text = json.dumps(content, separators=(",", ":")).encode()
    return [_HEAD.pack(_MESSAGE, len(text), len(payload)) + text, payload]


def deltas(content: list[Any]) -> bytes:
    """A frame of `messages.delta_entry`s."""
    text = orjson.dumps(content)
    return _HEAD.pack(_DELTAS, len(text), 0) + text


class FrameReader:
    """Makes frames of what arrives."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._wanted = _HEAD.size

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """The frames that are whole now. Raises BadFrame."""
        self._bytes += piece
        while len(self._bytes) >= self._wanted:
            kind, size, extra = _HEAD.unpack_from(self._bytes)
            if kind not in (_MESSAGE, _DELTAS) or size + extra > _MOST_BYTES:
                raise BadFrame(f"kind {kind} with {size} and {extra} bytes")
            self._wanted = _HEAD.size + size + extra
            if len(self._bytes) < self._wanted:
                return
            with memoryview(self._bytes) as view:
                text = bytes(view[_HEAD.size : _HEAD.size + size])
                payload = bytes(view[_HEAD.size + size : self._wanted])
            del self._bytes[: self._wanted]
            self._wanted = _HEAD.size
            yield Frame(orjson.loads(text) if kind == _DELTAS else json.loads(text), payload)
