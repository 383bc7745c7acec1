"""Statistics of a metric over the interactions of its project, computed by the database."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.filters import And, Between, Equals, InteractionFilter
from adaptive_engine.store.functions import json_number, span_start
from adaptive_engine.store.scans import Scan
from adaptive_engine.store.tables import interactions, labels, scores
from adaptive_engine.types import Metric

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# What the server measures, of interactions that were not seen by then (s), is not counted, and the answer says so.
STATISTICS_SECONDS = 1.0

_SYSTEM: dict[str, sa.ColumnElement[Any]] = {
    "time_to_first_token": json_number(interactions.c.timings, "ttft_ms"),
    "latency": json_number(interactions.c.timings, "total_ms"),
    "queue_time": json_number(interactions.c.timings, "queue_ms"),
    "prompt_tokens": interactions.c.prompt_tokens,
    "cached_tokens": interactions.c.cached_tokens,
    "completion_tokens": interactions.c.completion_tokens,
    "total_tokens": interactions.c.prompt_tokens + interactions.c.completion_tokens,
}


@dataclass(frozen=True, slots=True)
class Grouping:
    """What interactions are grouped by; `label` is a label's key where that is what counts."""

    by: Literal["model", "label", "hour", "day"] | None = None
    label: str | None = None
    by_model: bool = False
    """And within that by model."""


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """`group` is a model's key, a label's value, or when a span of time begins in epoch ms; None where it has none.

    `model` is a model's key where groups are by that too, else None.
    """

    group: str | int | None
    model: str | None
    count: int
    mean: float
    min: float
    max: float
    stddev: float | None
    """Of the values, as of a sample; None for one value."""
    sum: float


@dataclass(frozen=True, slots=True)
class MetricReport:
    groups: list[MetricGroup]
    searched_to: int | None
    """Epoch ms: of what the server measures, only what was asked from then on is counted; None: all."""


def of_metric(
    connection: Connection, metric: Metric, grouping: Grouping, created_from: int | None, created_to: int | None
) -> MetricReport:
    """Sorted by group, then by model. Times are epoch ms, the last exclusive, and those of the interactions."""
    span = Between(created_from, created_to)
    scan = _scan(connection, metric, span) if metric.category == "SYSTEM" else None
    sums: dict[tuple[Any, str | None], _Sums] = {}
    centre: float | None = None
    for values in _values(metric, grouping, span) if scan is None else _measured(scan, metric, grouping):
        value = values.selected_columns["value"]
        if centre is None:
            # The distance from any value near all others: squares of large values would drown their differences.
            centre = connection.scalar(values.with_only_columns(sa.func.avg(value)))
            if centre is None:
                continue
        for group, model, count, *row in connection.execute(_summed(values, grouping, value - float(centre))):
            # Without groups there is a row also of nothing.
            if count:
                sums.setdefault((group, model), _Sums()).add(count, *row)
    groups = [_group(group, model, found) for (group, model), found in sums.items()]
    groups.sort(key=lambda each: (each.group is None, each.group, each.model is None, each.model))
    return MetricReport(groups, None if scan is None or scan.stopped_at is None else scan.stopped_at.created_at)


def _scan(connection: Connection, metric: Metric, span: Between) -> Scan:
    live = And((Equals("source", ("LIVE",)), span))
    return Scan(connection, InteractionFilter(metric.project_id, live), seconds=STATISTICS_SECONDS)


def _measured(scan: Scan, metric: Metric, grouping: Grouping) -> Iterator[sa.Select[Any]]:
    """What the server measured, by and by, as `_values`."""
    value = _SYSTEM[metric.key]
    finished = interactions.c.state.in_(("complete", "length"))
    for window in scan.windows():
        for seen in window.selects(*_columns(grouping, value), rows=True):
            query = seen.where(finished, value.is_not(None))
            yield query.join(labels, _of_label(grouping)) if grouping.by == "label" else query


def _values(metric: Metric, grouping: Grouping, span: Between) -> Iterator[sa.Select[Any]]:
    """Group, model and value of all scores."""
    source = interactions.join(scores, scores.c.interaction_id == interactions.c.id)
    # A metric is of one project. With that condition too, SQLite goes through the project's interactions in order of
    # their groups, and for each through all scores of the metric.
    own = scores.c.metric_id == metric.id
    if grouping.by == "label":
        source = source.join(labels, _of_label(grouping))
        # Interactions with the label come first, and then no index of the metric may be used, for the same reason.
        own = sa.func.coalesce(scores.c.metric_id, scores.c.metric_id) == metric.id
    query = sa.select(*_columns(grouping, scores.c.value)).select_from(source).where(own)
    if span.start is not None:
        query = query.where(interactions.c.created_at >= span.start)
    if span.end is not None:
        query = query.where(interactions.c.created_at < span.end)
    yield query


def _of_label(grouping: Grouping) -> sa.ColumnElement[bool]:
    return (labels.c.interaction_id == interactions.c.id) & (labels.c.key == grouping.label)


def _columns(grouping: Grouping, value: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    group: sa.ColumnElement[Any] = sa.null()
    if grouping.by == "model":
        group = interactions.c.model_key
    elif grouping.by == "label":
        group = labels.c.value
    elif grouping.by is not None:
        group = span_start(interactions.c.created_at, HOUR_MS if grouping.by == "hour" else DAY_MS)
    model: sa.ColumnElement[Any] = interactions.c.model_key if grouping.by_model else sa.null()
    return group.label("group"), model.label("model"), sa.cast(value, sa.Double).label("value")


def _summed(values: sa.Select[Any], grouping: Grouping, distance: sa.ColumnElement[Any]) -> sa.Select[Any]:
    group, model, value = values.selected_columns
    query = values.with_only_columns(
        group,
        model,
        sa.func.count(),
        sa.func.min(value),
        sa.func.max(value),
        sa.func.sum(value),
        sa.func.sum(distance),
        sa.func.sum(distance * distance),
    )
    if grouping.by is None:
        return query
    return query.group_by(group, *([model] if grouping.by_model else []))


@dataclass(slots=True)
class _Sums:
    """Of the values of one group."""

    count: int = 0
    min: float = math.inf
    max: float = -math.inf
    sum: float = 0.0
    distances: float = 0.0
    """From one value near all of them, and their squares."""
    squares: float = 0.0

    def add(self, count: int, least: float, greatest: float, total: float, distances: float, squares: float) -> None:
        self.count += count
        self.min, self.max = min(self.min, least), max(self.max, greatest)
        self.sum += total
        self.distances += distances
        self.squares += squares


def _group(group: str | int | None, model: str | None, found: _Sums) -> MetricGroup:
    count = found.count
    spread = max(0.0, found.squares - found.distances * found.distances / count)
    stddev = math.sqrt(spread / (count - 1)) if count > 1 else None
    return MetricGroup(group, model, count, found.sum / count, found.min, found.max, stddev, found.sum)
