"""Ids and moments."""

from __future__ import annotations

import os
import time
from uuid import UUID

_DRAW_BYTES = 10
_DRAWS = 400
# Many at a time: each call of the system gives other threads the interpreter. `pop` and `extend` are atomic, so that no
# two threads get the same.
_drawn: list[int] = []
os.register_at_fork(after_in_child=_drawn.clear)


def uuid7() -> UUID:
    """A time-ordered UUID (RFC 9562, version 7): rows inserted in order, ids that cannot be guessed."""
    return UUID(int=_number())


def hex7() -> str:
    """The same as 32 digits, for names that nobody takes apart."""
    return f"{_number():032x}"


def _number() -> int:
    chance = _draw()
    return now_ms() << 80 | 0x7 << 76 | (chance >> 62 & 0xFFF) << 64 | 0x2 << 62 | chance & (1 << 62) - 1


def _draw() -> int:
    """80 random bits."""
    try:
        return _drawn.pop()
    except IndexError:
        fresh = os.urandom(_DRAW_BYTES * _DRAWS)
        _drawn.extend(
            int.from_bytes(fresh[at : at + _DRAW_BYTES]) for at in range(_DRAW_BYTES, len(fresh), _DRAW_BYTES)
        )
        return int.from_bytes(fresh[:_DRAW_BYTES])


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
