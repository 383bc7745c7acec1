"""Times between the wire, where they are datetimes, and all that is behind it, where they are epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def from_ms(ms: int) -> datetime: ...


@overload
def from_ms(ms: None) -> None: ...


def from_ms(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)


@overload
def to_ms(moment: datetime) -> int: ...


@overload
def to_ms(moment: None) -> None: ...


def to_ms(moment: datetime | None) -> int | None:
    """A time without a zone is UTC."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
