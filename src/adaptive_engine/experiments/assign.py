"""Assignment by hash: the same unit gets the same arm, always and on every server, and nothing has to be remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from uuid import UUID

MAX_ARMS = 8

# The digest of a test and a unit: 8 bytes decide about entry, 4 for each position weigh that arm, 8 name the unit.
_ENTRY, _WEIGHT = 8, 4


def draw(test_id: UUID, unit: str) -> bytes:
    """The lot of a unit, whatever shall stay with one arm (a session, a user), in one test. Tests are independent."""
    return hashlib.blake2b(unit.encode("utf-8", "replace"), key=test_id.bytes).digest()


def admits(lot: bytes, traffic_split: float) -> bool:
    """Whether the unit is among the share `traffic_split` of all units that enter the test."""
    return int.from_bytes(lot[:_ENTRY]) < traffic_split * 2**64


def choose(lot: bytes, positions: Iterable[int]) -> int:
    """One of these positions (each below MAX_ARMS), all equally likely.

    Highest random weight: when an arm falls out, the units of the others stay where they are (Thaler and Ravishankar,
    "Using name-based mappings to increase hit rates", 1998).
    """
    return max((lot[_ENTRY + _WEIGHT * at : _ENTRY + _WEIGHT + _WEIGHT * at], at) for at in positions)[1]


def unit_number(lot: bytes) -> int:
    """What tells scores of one unit from those of others; not negative, and below 2**63."""
    return int.from_bytes(lot[-8:]) >> 1
