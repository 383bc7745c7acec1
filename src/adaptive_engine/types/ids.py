"""Ids and moments."""

from __future__ import annotations

import os
import time
from uuid import UUID


def uuid7() -> UUID:
    """A time-ordered UUID (RFC 9562, version 7): rows inserted in order, ids that cannot be guessed."""
    value = bytearray(int(time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10))
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return UUID(bytes=bytes(value))


def uuid_or_none(text: str) -> UUID | None:
    """For what is named by id or by key."""
    try:
        return UUID(text)
    except ValueError:
        return None


def made_at(id_: UUID) -> int:
    """When `uuid7` made this id, in epoch ms."""
    return id_.int >> 80


def now_ms() -> int:
    """Milliseconds since the Unix epoch, the unit of every stored time."""
    return time.time_ns() // 1_000_000
