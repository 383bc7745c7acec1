"""Statistics of a metric over the interactions of its project, computed by the database."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.functions import json_number, span_start
from adaptive_engine.store.tables import interactions, labels, scores
from adaptive_engine.types import Metric

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

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


def of_metric(
    connection: Connection, metric: Metric, grouping: Grouping, created_from: int | None, created_to: int | None
) -> list[MetricGroup]:
    """Sorted by group, then by model. Times are epoch ms, the last exclusive, and those of the interactions."""
    value, conditions, source = _values(metric)
    if created_from is not None:
        conditions.append(interactions.c.created_at >= created_from)
    if created_to is not None:
        conditions.append(interactions.c.created_at < created_to)
    value = sa.cast(value, sa.Double)
    # The distance from any value near all others: squares of large values would drown their differences.
    centre = connection.execute(sa.select(sa.func.avg(value)).select_from(source).where(*conditions)).scalar()
    if centre is None:
        return []
    group: sa.ColumnElement[Any] = sa.null()
    if grouping.by == "model":
        group = interactions.c.model_key
    elif grouping.by == "label":
        group = labels.c.value
        source = source.join(labels, (labels.c.interaction_id == interactions.c.id) & (labels.c.key == grouping.label))
        if metric.category != "SYSTEM":
            # Interactions with the label come first, and then no index of the metric may be used, for the same reason.
            conditions[0] = sa.func.coalesce(scores.c.metric_id, scores.c.metric_id) == metric.id
    elif grouping.by is not None:
        group = span_start(interactions.c.created_at, HOUR_MS if grouping.by == "hour" else DAY_MS)
    model: sa.ColumnElement[Any] = interactions.c.model_key if grouping.by_model else sa.null()
    distance = value - float(centre)
    query = (
        sa.select(
            group,
            model,
            sa.func.count(),
            sa.func.avg(value),
            sa.func.min(value),
            sa.func.max(value),
            sa.func.sum(value),
            sa.func.sum(distance),
            sa.func.sum(distance * distance),
        )
        .select_from(source)
        .where(*conditions)
    )
    if grouping.by is not None:
        query = query.group_by(group, *([model] if grouping.by_model else []))
    rows = [_group(*row) for row in connection.execute(query)]
    return sorted(rows, key=lambda row: (row.group is None, row.group, row.model is None, row.model))


def _values(metric: Metric) -> tuple[sa.ColumnElement[Any], list[sa.ColumnElement[bool]], sa.FromClause]:
    if metric.category == "SYSTEM":
        value = _SYSTEM[metric.key]
        in_project = interactions.c.project_id == metric.project_id
        finished = interactions.c.state.in_(("complete", "length"))
        return value, [in_project, finished, interactions.c.source == "LIVE", value.is_not(None)], interactions
    source = interactions.join(scores, scores.c.interaction_id == interactions.c.id)
    # A metric is of one project. With that condition too, SQLite goes through the project's interactions in order of
    # their groups, and for each through all scores of the metric.
    return scores.c.value, [scores.c.metric_id == metric.id], source


def _group(
    group: str | int | None,
    model: str | None,
    count: int,
    mean: float,
    smallest: float,
    largest: float,
    total: float,
    distances: float,
    squares: float,
) -> MetricGroup:
    spread = max(0.0, squares - distances * distances / count)
    stddev = math.sqrt(spread / (count - 1)) if count > 1 else None
    return MetricGroup(group, model, count, mean, smallest, largest, stddev, total)
