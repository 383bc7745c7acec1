"""Finding the interactions that a filter means, in listing order, without reading the whole project.

One index is walked from the cursor on, the one whose rows are rarest there; what else the filter says is looked up row
by row. The walk goes in windows of index entries, so that it can stop in time and say how far it looked. Conditions
that only few rows meet are turned into a set of ids first.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store import filters
from adaptive_engine.store.filters import (
    And,
    Between,
    Compared,
    Equals,
    Expression,
    HasLabel,
    HasScore,
    InteractionFilter,
    Or,
)
from adaptive_engine.store.functions import labels_are_by_value
from adaptive_engine.store.tables import ENDED_BADLY, comparisons, interactions, labels

# Up to this many ids are looked up one by one: less work than walking for them, wherever they are.
RARE = 1000
# Index entries of the first window; later ones grow with the speed that was seen.
FIRST_WINDOW = 2000
# Values of one field that are walked side by side.
MOST_STREAMS = 8
GROWTH = 4
LARGEST_WINDOW = 100_000
STRETCH_SECONDS = 0.5

_ROWS = interactions.c


class Position(NamedTuple):
    """The place of an interaction among those of its project."""

    created_at: int
    """Epoch ms."""
    id: UUID


@dataclass(frozen=True, slots=True)
class _Walk:
    """Rows of one index that include every match, in streams: each is in listing order, and no two have a row."""

    created_at: sa.Column[Any]
    id: sa.Column[Any]
    streams: tuple[tuple[sa.ColumnElement[bool], ...], ...]
    covers: tuple[Expression, ...] = ()
    """What of the filter is true for each of these rows."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the walk: the matches in it."""

    created_at: sa.Column[Any]
    id: sa.Column[Any]
    streams: tuple[tuple[sa.ColumnElement[bool], ...], ...]
    limits: tuple[sa.ColumnElement[bool], ...]
    rest: sa.ColumnElement[bool] | None

    def selects(self, *columns: Any, rows: bool = False) -> Iterator[sa.Select[Any]]:
        """`columns` of the matches, a query for each stream; `rows` where one is a column of `interactions`."""
        for stream in self.streams:
            query = sa.select(*columns).where(*stream, *self.limits)
            if self.id is interactions.c.id:
                query = query.select_from(interactions)
            elif rows or self.rest is not None:
                query = query.select_from(labels.join(interactions, interactions.c.id == labels.c.interaction_id))
            else:
                query = query.select_from(labels)
            yield query if self.rest is None else query.where(self.rest)


@dataclass(slots=True)
class Scan:
    """Windows from `after` to `before`, both left out, newest first or oldest first.

    With `seconds`, it stops when they have passed; `stopped_at` then says where, and is None otherwise.
    """

    connection: Connection
    wanted: InteractionFilter
    descending: bool = True
    after: Position | None = None
    before: Position | None = None
    seconds: float | None = None
    stopped_at: Position | None = field(default=None, init=False)
    _walk: _Walk | None = field(default=None, init=False)
    _rest: sa.ColumnElement[bool] | None = field(default=None, init=False)
    _ids: Collection[UUID] | None = field(default=None, init=False)
    _range: tuple[Between, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        parts = [self._with_values(part) for part in filters.conjuncts(self.wanted.where)]
        walked = [part for part in parts if self._walk_of(part) is not None]
        others = tuple(part for part in parts if part not in walked)
        self._ids = _few(self.connection, self.wanted.project_id, And(others))
        if self._ids is not None:
            self._rest = filters.condition(self.wanted.where)
            return
        self._range = tuple(part for part in parts if isinstance(part, Between))
        self._walk = self._choose(parts)
        rest = [part for part in parts if part not in self._walk.covers and part not in self._range]
        self._rest = filters.condition(And(tuple(rest))) if rest else None

    @property
    def indexed(self) -> bool:
        """Whether the walked index alone decides: nothing else is looked up for a row."""
        return self._ids is None and self._rest is None

    def windows(self) -> Iterator[Window]:
        if self._ids is not None:
            if self._ids:
                # The project's index would be walked instead, if the database were shown that it could be.
                own = filters.unindexed(_ROWS.project_id) == self.wanted.project_id
                looked_up = _Walk(_ROWS.created_at, _ROWS.id, ((_ROWS.id.in_(self._ids), own),))
                yield self._window(looked_up, self.after, None)
            return
        assert self._walk is not None
        begun = time.perf_counter()
        start, size = self.after, FIRST_WINDOW
        while True:
            end = None if self.indexed else self._end(self._walk, start, size)
            opened = time.perf_counter()
            yield self._window(self._walk, start, end)
            if end is None:
                return
            now = time.perf_counter()
            left = None if self.seconds is None else self.seconds - (now - begun)
            if left is not None and left <= 0:
                self.stopped_at = end
                return
            start, size = end, min(size * GROWTH, LARGEST_WINDOW)
            if left is not None:
                affordable = int(size / GROWTH / max(now - opened, 1e-6) * left)
                size = min(size, max(affordable, FIRST_WINDOW))

    def first(self, window: Window, limit: int) -> list[Position]:
        """The first matches of a window."""
        order = [column.desc() if self.descending else column.asc() for column in (window.created_at, window.id)]
        found = [
            Position(*row)
            for query in window.selects(window.created_at, window.id)
            for row in self.connection.execute(query.order_by(*order).limit(limit))
        ]
        # Sorting several streams is left to us: a database would rather walk an index in that order, however long.
        return sorted(found, reverse=self.descending)[:limit] if len(window.streams) > 1 else found

    def _window(self, walk: _Walk, start: Position | None, end: Position | None) -> Window:
        limits = self._limits(walk.created_at, walk.id, start)
        if end is not None:
            position, last = sa.tuple_(walk.created_at, walk.id), sa.tuple_(*end)
            limits.append(position >= last if self.descending else position <= last)
        return Window(walk.created_at, walk.id, walk.streams, tuple(limits), self._rest)

    def _limits(
        self, created_at: sa.Column[Any], id_: sa.Column[Any], start: Position | None
    ) -> list[sa.ColumnElement[bool]]:
        position = sa.tuple_(created_at, id_)
        limits: list[sa.ColumnElement[bool]] = []
        older, newer = (start, self.before) if self.descending else (self.before, start)
        if older is not None:
            limits.append(position < sa.tuple_(*older))
        if newer is not None:
            limits.append(position > sa.tuple_(*newer))
        for part in self._range:
            limits += [] if part.start is None else [created_at >= part.start]
            limits += [] if part.end is None else [created_at < part.end]
        return limits

    def _end(self, walk: _Walk, start: Position | None, size: int) -> Position | None:
        """The last position of a window of about `size` entries; None when fewer are left."""
        ends = []
        order = [column.desc() if self.descending else column.asc() for column in (walk.created_at, walk.id)]
        limits = self._limits(walk.created_at, walk.id, start)
        for stream in walk.streams:
            query = sa.select(walk.created_at, walk.id).where(*stream, *limits).order_by(*order)
            row = self.connection.execute(query.limit(1).offset(size // len(walk.streams))).one_or_none()
            if row is not None:
                ends.append(Position(*row))
        if not ends:
            return None
        # The nearest: up to there no stream has more than its share.
        return max(ends) if self.descending else min(ends)

    def _with_values(self, part: Expression) -> Expression:
        """A label of any value as one of the values it has, if they are few: those have an order."""
        if not isinstance(part, HasLabel) or part.values is not None or not labels_are_by_value(self.connection):
            return part
        of_key = (labels.c.project_id == self.wanted.project_id, labels.c.key == part.key)
        values: list[str] = []
        following = sa.select(sa.func.min(labels.c.value)).where(*of_key)
        value = self.connection.scalar(following)
        while value is not None:
            values.append(value)
            if len(values) > MOST_STREAMS:
                return part
            value = self.connection.scalar(following.where(labels.c.value > value))
        return HasLabel(part.key, tuple(values))

    def _walk_of(self, part: Expression) -> _Walk | None:
        """How to walk the rows of this part in listing order, if an index has them so, for a few values each apart."""
        project_id = self.wanted.project_id
        own = _ROWS.project_id == project_id
        if isinstance(part, HasLabel) and part.values is None and not labels_are_by_value(self.connection):
            of_key = (labels.c.project_id == project_id, labels.c.key == part.key)
            return _Walk(labels.c.created_at, labels.c.interaction_id, (of_key,), (part,))
        values = dict.fromkeys((part.values or ()) if isinstance(part, Equals | HasLabel) else ())
        if not 0 < len(values) <= MOST_STREAMS:
            return None
        streams: tuple[tuple[sa.ColumnElement[bool], ...], ...]
        match part:
            case Equals("model" | "prompt_hash" | "user" as name):
                column = filters.COLUMNS[name]
                streams = tuple((own, column == value) for value in values)
                return _Walk(_ROWS.created_at, _ROWS.id, streams, (part,))
            case Equals("state") if set(values) <= set(ENDED_BADLY):
                # As in the index's own condition: SQLite takes it for no other.
                few: Any = sa.text(f"state IN {ENDED_BADLY}")
                streams = tuple((own, _ROWS.state == value, few) for value in values)
                return _Walk(_ROWS.created_at, _ROWS.id, streams, (part,))
            case Equals("session_id"):
                # A session is shorter than its project.
                own = filters.unindexed(_ROWS.project_id) == project_id
                streams = tuple((_ROWS.session_id == value, own) for value in values)
                return _Walk(_ROWS.created_at, _ROWS.id, streams, (part,))
            case HasLabel(key):
                tag = (labels.c.project_id == project_id, labels.c.key == key)
                streams = tuple((*tag, labels.c.value == value) for value in values)
                return _Walk(labels.c.created_at, labels.c.interaction_id, streams, (part,))
        return None

    def _choose(self, parts: Sequence[Expression]) -> _Walk:
        """The walk that gets farthest with the same number of entries."""
        project_id = self.wanted.project_id
        walks = [walk for part in parts if (walk := self._walk_of(part)) is not None]
        if not walks:
            own = (_ROWS.project_id == project_id,)
            return _Walk(_ROWS.created_at, _ROWS.id, (own,))
        if len(walks) == 1:
            return walks[0]
        ends = [(self._end(walk, self.after, RARE), walk) for walk in walks]
        for end, walk in ends:
            if end is None:
                return walk
        farthest = min if self.descending else max
        return farthest(ends, key=lambda each: each[0] or ())[1]


def positions(
    connection: Connection,
    wanted: InteractionFilter,
    *,
    limit: int,
    after: Position | None = None,
    descending: bool = False,
) -> tuple[list[Position], Position | None]:
    """At most `limit` matches behind `after`, and where to go on; None at the end.

    For those who want all of them, each time in a short transaction: it returns after STRETCH_SECONDS, perhaps with
    none.
    """
    scan = Scan(connection, wanted, descending, after, seconds=STRETCH_SECONDS)
    found: list[Position] = []
    for window in scan.windows():
        found += scan.first(window, limit - len(found))
        if len(found) == limit:
            return found, found[-1]
    return found, scan.stopped_at


def _few(connection: Connection, project_id: UUID, part: Expression) -> set[UUID] | None:
    """At most RARE ids that include every match of the project; None where more are possible."""
    if isinstance(part, And):
        for each in part.parts:
            found = _few(connection, project_id, each)
            if found is not None:
                return found
        return None
    if isinstance(part, Or):
        together: set[UUID] = set()
        for each in part.parts:
            found = _few(connection, project_id, each)
            if found is None or len(together := together | found) > RARE:
                return None
        return together
    query = _ids_of(project_id, part)
    if isinstance(query, set):
        return query
    if query is None:
        return None
    ids = connection.scalars(query.limit(RARE + 1)).all()
    return set(ids) if len(ids) <= RARE else None


def _ids_of(project_id: UUID, part: Expression) -> sa.Select[Any] | sa.CompoundSelect[Any] | set[UUID] | None:
    """A query for the ids that an index finds."""
    match part:
        case Equals("completion_id", values):
            return {value for value in values if isinstance(value, UUID)}
        case Equals("ab_test", values):
            return sa.select(_ROWS.id).where(_ROWS.ab_test_id.in_(values))
        case Equals("session_id", values):
            return sa.select(_ROWS.id).where(_ROWS.session_id.in_(values))
        case Equals("model" | "prompt_hash" | "user" as name, values):
            return sa.select(_ROWS.id).where(_ROWS.project_id == project_id, filters.COLUMNS[name].in_(values))
        case HasLabel():
            return filters.has_label(part).where(labels.c.project_id == project_id)
        case HasScore():
            return filters.has_score(part)
        case Compared(metric_id):
            by_metric = comparisons.c.metric_id == metric_id
            sides = [sa.select(side).where(by_metric) for side in (comparisons.c.preferred_id, comparisons.c.other_id)]
            return sa.union(*sides)
    return None
