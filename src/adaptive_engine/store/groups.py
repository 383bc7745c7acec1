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
from adaptive_engine.store.scans import Position, Scan
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
    counts, stopped = _counts(connection, wanted, by)
    descending = order[1] == "DESC"
    found = sorted(counts.items(), key=lambda each: (each[0] is not None, each[0] or ""))
    if order[0] == "count":
        found.sort(key=lambda each: each[1], reverse=descending)
    elif descending:
        found.reverse()
    chosen = found[offset : offset + limit]
    since = None if stopped is None else stopped.created_at
    statistics = _statistics(connection, wanted, by, [key for key, _ in chosen], since)
    items = tuple(Group(key, many, statistics.get(key, ())) for key, many in chosen)
    return Groups(items, len(counts), since)


def within(wanted: InteractionFilter, by: GroupBy, key: str | None) -> InteractionFilter:
    """The interactions of one group."""
    return InteractionFilter(wanted.project_id, And((wanted.where, _is_in(by, [key]))))


def _counts(
    connection: Connection, wanted: InteractionFilter, by: GroupBy
) -> tuple[Counter[str | None], Position | None]:
    column = filters.COLUMNS[_FIELDS[by]]
    counts: Counter[str | None] = Counter()
    if all(isinstance(part, Between) for part in filters.conjuncts(wanted.where)):
        # The index of the column has all that is needed, in the order of the groups.
        query = sa.select(column, sa.func.count()).where(interactions.c.project_id == wanted.project_id)
        for part in filters.conjuncts(wanted.where):
            assert isinstance(part, Between)
            query = query.where(interactions.c.created_at >= part.start) if part.start is not None else query
            query = query.where(interactions.c.created_at < part.end) if part.end is not None else query
        counts.update({row[0]: row[1] for row in connection.execute(query.group_by(column))})
        return counts, None
    scan = Scan(connection, wanted, seconds=GROUP_SECONDS)
    for window in scan.windows():
        for query in window.selects(column, sa.func.count(), rows=True):
            counts.update({row[0]: row[1] for row in connection.execute(query.group_by(column))})
    return counts, scan.stopped_at


def _is_in(by: GroupBy, keys: Sequence[str | None]) -> filters.Expression:
    field = _FIELDS[by]
    named = Equals(field, tuple(key for key in keys if key is not None))
    return named if None not in keys else filters.Or((named, filters.Missing(field)))


def _statistics(
    connection: Connection, wanted: InteractionFilter, by: GroupBy, keys: Sequence[str | None], since: int | None
) -> dict[str | None, tuple[ScoreStatistics, ...]]:
    """Of each group's metrics, by key."""
    group = filters.COLUMNS[_FIELDS[by]]
    known = sa.select(metrics.c.id, metrics.c.key).where(metrics.c.project_id == wanted.project_id)
    found: dict[str | None, list[ScoreStatistics]] = {}
    for metric_id, metric_key in connection.execute(known.order_by(metrics.c.key)).all():
        first = sa.select(scores.c.value).where(scores.c.metric_id == metric_id).order_by(scores.c.value).limit(1)
        shift = connection.scalar(first)
        if shift is None:
            continue
        # Counted from a value nearby: the squares of large values would swallow their differences.
        value = scores.c.value - shift
        totals = (sa.func.count(), sa.func.sum(value), sa.func.sum(value * value))
        query = (
            sa.select(group, *totals, sa.func.min(scores.c.value), sa.func.max(scores.c.value))
            .select_from(scores.join(interactions, interactions.c.id == scores.c.interaction_id))
            .where(scores.c.metric_id == metric_id)
            .where(filters.unindexed(interactions.c.project_id) == wanted.project_id)
            .where(filters.condition(And((wanted.where, _is_in(by, keys), Between(since)))))
            .group_by(group)
        )
        for row in connection.execute(query):
            found.setdefault(row[0], []).append(_summary(metric_id, metric_key, shift, *row[1:]))
    return {key: tuple(each) for key, each in found.items()}


def _summary(
    metric_id: UUID, metric_key: str, shift: float, count: int, total: float, squares: float, least: Any, most: Any
) -> ScoreStatistics:
    mean = total / count
    variance = max(0.0, squares / count - mean * mean)
    # The sum of all may be more than a float holds, where each value is not.
    return ScoreStatistics(
        metric_id, metric_key, count, shift + mean, least, most, math.sqrt(variance), shift * count + total
    )
