"""Pages of interactions, and how many there are."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson
import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.store import interactions as rows
from adaptive_engine.store.filters import InteractionFilter
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.store.scans import Position, Scan
from adaptive_engine.store.tables import interactions

SortField = Literal["created_at", "completed_at", "prompt_tokens", "completion_tokens"]
Direction = Literal["ASC", "DESC"]
Order = tuple[tuple[SortField, Direction], ...]
NEWEST: Order = (("created_at", "DESC"),)

# What a page may cost (s). A walk that takes longer stops, and says how far it looked.
PAGE_SECONDS = 0.12
COUNT_SECONDS = 0.1
# Matches that are counted, even where time is left.
MOST_COUNTED = 100_000
# Only `created_at` has an index; for another order all matches are read and sorted, up to this many.
MOST_SORTED = 20_000
SORT_SECONDS = 2.0

_COLUMNS: dict[SortField, sa.Column[Any]] = {
    "created_at": interactions.c.created_at,
    "completed_at": interactions.c.completed_at,
    "prompt_tokens": interactions.c.prompt_tokens,
    "completion_tokens": interactions.c.completion_tokens,
}


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`size` (1 or more) interactions behind the cursor `after` and before the cursor `before`, in `order`.

    They are the first ones of that range; `backward`, the last ones. Equal ones are in the order of their ids.
    """

    size: int
    order: Order = NEWEST
    after: str | None = None
    before: str | None = None
    backward: bool = False


@dataclass(frozen=True, slots=True)
class InteractionPage:
    items: tuple[StoredInteraction, ...]
    start_cursor: str | None
    """Where the page before this one ends; None where nothing is known to be there."""
    end_cursor: str | None
    """Where the next page starts."""
    has_previous: bool
    has_next: bool
    searched_to: int | None = None
    """Epoch ms. How far the store was looked through, where it was not to the end: there may be more behind."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many interactions match; at least so many, where it is not exact."""

    value: int
    exact: bool


def list_page(connection: Connection, wanted: InteractionFilter, page: PageRequest) -> InteractionPage:
    """Rows that are added meanwhile neither repeat nor hide others.

    Raises InvalidRequest for a cursor that is not ours, and for an order that would sort more than MOST_SORTED.
    """
    if len(page.order) == 1 and page.order[0][0] == "created_at":
        return _walked(connection, wanted, page, descending=page.order[0][1] == "DESC")
    return _sorted(connection, wanted, page)


def count(connection: Connection, wanted: InteractionFilter) -> Count:
    scan = Scan(connection, wanted, seconds=COUNT_SECONDS)
    total = 0
    for window in scan.windows():
        for query in window.selects(sa.literal(1)):
            some = query.limit(MOST_COUNTED + 1 - total).subquery()
            total += connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
        if total > MOST_COUNTED:
            break
    most = min(total, MOST_COUNTED)
    return Count(most, scan.stopped_at is None and total == most)


def cursor_of(item: StoredInteraction, order: Order = NEWEST) -> str:
    """The cursor of one interaction in a listing of that order."""
    row = item.interaction
    if len(order) == 1 and order[0][0] == "created_at":
        return _cursor(Position(row.created_at, row.id))
    values: dict[SortField, int | None] = {
        "created_at": row.created_at,
        "completed_at": row.completed_at,
        "prompt_tokens": row.usage.prompt_tokens,
        "completion_tokens": row.usage.completion_tokens,
    }
    return _sorted_cursor(order, tuple(values[name] for name, _ in order), row.id)


def _walked(
    connection: Connection, wanted: InteractionFilter, page: PageRequest, *, descending: bool
) -> InteractionPage:
    after, before = (None if text is None else read_cursor(text, name) for name, text in _cursors(page))
    if page.backward:
        after, before, descending = before, after, not descending
    scan = Scan(connection, wanted, descending, after, before, PAGE_SECONDS)
    found: list[Position] = []
    for window in scan.windows():
        # One row more than asked tells whether another page follows.
        found += scan.first(window, page.size + 1 - len(found))
        if len(found) > page.size:
            break
    more = len(found) > page.size
    found = found[: page.size]
    stopped = None if more else scan.stopped_at
    ends: list[str | None] = [_cursor(each) for each in (found[0], found[-1])] if found else [None, None]
    if stopped is not None:
        ends[1] = _cursor(stopped)
    more_follow, came_from = more or stopped is not None, after is not None
    items = rows.load(connection, [position.id for position in found])
    if page.backward:
        items, ends, more_follow, came_from = items[::-1], ends[::-1], came_from, more_follow
    searched_to = None if stopped is None else stopped.created_at
    return InteractionPage(tuple(items), ends[0], ends[1], came_from, more_follow, searched_to)


def _sorted(connection: Connection, wanted: InteractionFilter, page: PageRequest) -> InteractionPage:
    keys = [_Key(page.order, values, id_) for *values, id_ in _matches(connection, wanted, page.order)]
    keys.sort()
    after, before = (
        None if text is None else _read_sorted_cursor(page.order, text, name) for name, text in _cursors(page)
    )
    within = [key for key in keys if (after is None or after < key) and (before is None or key < before)]
    chosen = within[-page.size :] if page.backward else within[: page.size]
    more = len(within) > len(chosen)
    ends = (
        [_sorted_cursor(page.order, key.values, key.id) for key in (chosen[0], chosen[-1])] if chosen else [None, None]
    )
    has_previous, has_next = (more, before is not None) if page.backward else (after is not None, more)
    items = rows.load(connection, [key.id for key in chosen])
    return InteractionPage(tuple(items), ends[0], ends[1], has_previous, has_next)


def _matches(connection: Connection, wanted: InteractionFilter, order: Order) -> list[Any]:
    """For each match the values to sort by, and its id."""
    scan = Scan(connection, wanted, seconds=SORT_SECONDS)
    found: list[Any] = []
    for window in scan.windows():
        for query in window.selects(*[_COLUMNS[name] for name, _ in order], window.id, rows=True):
            found += connection.execute(query.limit(MOST_SORTED + 1))
        if len(found) > MOST_SORTED:
            break
    if len(found) > MOST_SORTED or scan.stopped_at is not None:
        raise InvalidRequest(
            f"Only created_at orders any number of interactions; for another field at most {MOST_SORTED} may match, "
            f"and must be found within {SORT_SECONDS:g} s. Narrow the filter, for instance by a time range.",
            param="order",
        )
    return found


class _Key:
    """Compares as `order` says, then by id. A missing value counts as less than any."""

    __slots__ = ("_directions", "id", "values")

    def __init__(self, order: Order, values: Sequence[int | None], id_: UUID) -> None:
        self.values = tuple(values)
        self.id = id_
        self._directions = [direction for _, direction in order]

    def __lt__(self, other: _Key) -> bool:
        for direction, mine, theirs in zip(self._directions, self.values, other.values, strict=True):
            if mine != theirs:
                less = theirs is not None and (mine is None or mine < theirs)
                return less if direction == "ASC" else not less
        return self.id < other.id if self._directions[0] == "ASC" else self.id > other.id


def _cursors(page: PageRequest) -> tuple[tuple[str, str | None], tuple[str, str | None]]:
    return ("after", page.after), ("before", page.before)


def _cursor(position: Position) -> str:
    raw = position.created_at.to_bytes(8, "big", signed=True) + position.id.bytes
    return base64.urlsafe_b64encode(raw).decode()


def read_cursor(cursor: str, param: str) -> Position:
    """The place that a cursor of the order by `created_at` names. Raises InvalidRequest."""
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        return Position(int.from_bytes(raw[:8], "big", signed=True), UUID(bytes=raw[8:]))
    except (ValueError, binascii.Error) as error:
        raise _foreign(param) from error


def _sorted_cursor(order: Order, values: Sequence[int | None], id_: UUID) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([order, values, id_])).decode()


def _read_sorted_cursor(order: Order, cursor: str, param: str) -> _Key:
    try:
        of, values, id_ = orjson.loads(base64.b64decode(cursor, altchars=b"-_", validate=True))
        if of != [list(each) for each in order] or not all(v is None or type(v) is int for v in values):
            raise ValueError
        if len(values) != len(order):
            raise ValueError
        return _Key(order, values, UUID(id_))
    except (ValueError, TypeError, AttributeError, binascii.Error) as error:
        raise _foreign(param) from error


def _foreign(param: str) -> InvalidRequest:
    return InvalidRequest(
        "Not a cursor of this listing; pass the `next_cursor` of an earlier page in the same order.", param=param
    )
