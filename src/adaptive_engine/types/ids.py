"""Ids and moments."""

from __future__ import annotations

import os
import time
from uuid import UUID

_DRAW_BYTES = 10
_DRAWS = 400
_RANDOM = (1 << 80) - 1 ^ 0xF << 76 ^ 0x3 << 62
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
    return now_ms() << 80 | _draw()


def _draw() -> int:
    """The lower 80 bits: random, but for version and variant."""
    try:
        return _drawn.pop()
    except IndexError:
        fresh = os.urandom(_DRAW_BYTES * _DRAWS)
        numbers = [int.from_bytes(fresh[at : at + _DRAW_BYTES]) for at in range(0, len(fresh), _DRAW_BYTES)]
        first, *others = [number & _RANDOM | 0x7 << 76 | 0x2 << 62 for number in numbers]
        _drawn.extend(others)
        return first


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
