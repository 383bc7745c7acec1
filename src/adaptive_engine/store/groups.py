"""Interactions grouped by model or by prompt: how many, and how they were scored."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store import filters
from adaptive_engine.store.filters import And, Between, Equals, InteractionFilter
from adaptive_engine.store.scans import Scan
from adaptive_engine.store.tables import interactions, metrics, scores

GroupBy = Literal["model", "prompt"]
GroupOrder = Literal["group", "count"]
Direction = Literal["ASC", "DESC"]

# Grouping reads every match. What it has not seen by then (s) it does not count, and says so.
GROUP_SECONDS = 1.0

_FIELDS: dict[GroupBy, filters.Field] = {"model": "model", "prompt": "prompt_hash"}


@dataclass(frozen=True, slots=True)
class ScoreStatistics:
    """The scores of one metric in a group. `stddev` is that of the values themselves, not of a sample."""

    metric_id: UUID
    metric_key: str
    count: int
    mean: float
    min: float
    max: float
    stddev: float
    sum: float


@dataclass(frozen=True, slots=True)
class Group:
    """Interactions with the same model key or the same prompt hash; those without one are a group too."""

    key: str | None
    count: int
    scores: tuple[ScoreStatistics, ...] = ()


@dataclass(frozen=True, slots=True)
class Groups:
    items: tuple[Group, ...]
    total: int
    """Groups on all pages."""
    searched_to: int | None
    """Epoch ms: only interactions from then on were counted; None: all."""


def list_groups(
    connection: Connection,
    wanted: InteractionFilter,
    by: GroupBy,
    *,
    order: tuple[GroupOrder, Direction] = ("group", "ASC"),
    limit: int,
    offset: int = 0,
) -> Groups:
    """Groups with the same count are in the order of their keys; no key comes before any other."""
    times = [part for part in filters.conjuncts(wanted.where) if isinstance(part, Between)]
    if len(times) == len(filters.conjuncts(wanted.where)):
        return _of_index(connection, wanted.project_id, times, by, order, limit, offset)
    return _of_matches(connection, wanted, by, order, limit, offset)


def within(wanted: InteractionFilter, by: GroupBy, key: str | None) -> InteractionFilter:
    """The interactions of one group."""
    field = _FIELDS[by]
    own = filters.Missing(field) if key is None else Equals(field, (key,))
    return InteractionFilter(wanted.project_id, And((wanted.where, own)))


def _of_index(
    connection: Connection,
    project_id: UUID,
    times: Sequence[Between],
    by: GroupBy,
    order: tuple[GroupOrder, Direction],
    limit: int,
    offset: int,
) -> Groups:
    """Of everything: the index of the column has all that is needed, in the order of the groups."""
    column = filters.COLUMNS[_FIELDS[by]]
    rows: list[sa.ColumnElement[bool]] = [interactions.c.project_id == project_id]
    for part in times:
        rows += [] if part.start is None else [interactions.c.created_at >= part.start]
        rows += [] if part.end is None else [interactions.c.created_at < part.end]
    many = sa.func.count()
    grouped = sa.select(column, many).where(*rows).group_by(column)
    total = connection.execute(sa.select(sa.func.count()).select_from(grouped.subquery())).scalar_one()
    by_key = column.asc().nulls_first() if order != ("group", "DESC") else column.desc().nulls_last()
    by_count = [] if order[0] == "group" else [many.asc() if order[1] == "ASC" else many.desc()]
    found = connection.execute(grouped.order_by(*by_count, by_key).limit(limit).offset(offset)).all()
    keys = [row[0] for row in found]
    query = sa.select(column, scores.c.metric_id, scores.c.value)
    query = query.join(interactions, interactions.c.id == scores.c.interaction_id)
    tallies = _Tallies(connection, project_id)
    if by == "prompt":
        tallies.add(query.where(*rows, sa.or_(column.in_([key for key in keys if key is not None]), column.is_(None))))
    else:
        # Fewer scores than interactions: the scores are walked.
        ours = filters.unindexed(interactions.c.project_id) == project_id
        within_times = filters.condition(And(tuple(times)))
        tallies.add(query.where(scores.c.metric_id.in_(tallies.metrics), ours, within_times))
    return Groups(tuple(Group(key, count, tallies.of(key)) for key, count in found), total, None)


def _of_matches(
    connection: Connection,
    wanted: InteractionFilter,
    by: GroupBy,
    order: tuple[GroupOrder, Direction],
    limit: int,
    offset: int,
) -> Groups:
    """Of what a filter leaves, as far as it is found in time."""
    column = filters.COLUMNS[_FIELDS[by]]
    counts: Counter[str | None] = Counter()
    tallies = _Tallies(connection, wanted.project_id)
    scan = Scan(connection, wanted, seconds=GROUP_SECONDS)
    for window in scan.windows():
        for query in window.selects(column, sa.func.count(), rows=True):
            counts.update({row[0]: row[1] for row in connection.execute(query.group_by(column))})
        for query in window.selects(column, scores.c.metric_id, scores.c.value, rows=True):
            tallies.add(query.join(scores, scores.c.interaction_id == interactions.c.id))
    found = sorted(counts.items(), key=lambda each: (each[0] is not None, each[0] or ""))
    descending = order[1] == "DESC"
    if order[0] == "count":
        found.sort(key=lambda each: each[1], reverse=descending)
    elif descending:
        found.reverse()
    items = tuple(Group(key, count, tallies.of(key)) for key, count in found[offset : offset + limit])
    return Groups(items, len(counts), None if scan.stopped_at is None else scan.stopped_at.created_at)


@dataclass(slots=True)
class _Tally:
    """Welford's way to a variance: sums of squares would lose the differences of large values."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    sum: float = 0.0
    min: float = math.inf
    max: float = -math.inf

    def add(self, value: float) -> None:
        self.count += 1
        away = value - self.mean
        self.mean += away / self.count
        self.squares += away * (value - self.mean)
        self.sum += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)

    def summary(self, metric_id: UUID, metric_key: str) -> ScoreStatistics:
        stddev = math.sqrt(self.squares / self.count)
        return ScoreStatistics(metric_id, metric_key, self.count, self.mean, self.min, self.max, stddev, self.sum)


class _Tallies:
    """The scores of each group, by metric."""

    def __init__(self, connection: Connection, project_id: UUID) -> None:
        self._connection = connection
        known = sa.select(metrics.c.id, metrics.c.key).where(metrics.c.project_id == project_id)
        self.metrics: dict[UUID, str] = {row[0]: row[1] for row in connection.execute(known.order_by(metrics.c.key))}
        self._found: dict[tuple[str | None, UUID], _Tally] = {}

    def add(self, query: sa.Select[Any]) -> None:
        """Rows of group, metric and value."""
        for key, metric_id, value in self._connection.execute(query):
            self._found.setdefault((key, metric_id), _Tally()).add(value)

    def of(self, key: str | None) -> tuple[ScoreStatistics, ...]:
        tallies = [(metric_id, name, self._found.get((key, metric_id))) for metric_id, name in self.metrics.items()]
        return tuple(each.summary(metric_id, name) for metric_id, name, each in tallies if each is not None)
