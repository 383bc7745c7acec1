"""Metrics and scores: what may be scored, and with what."""

from __future__ import annotations

import math
from collections.abc import Sequence as Seq
from dataclasses import dataclass

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.store import Connection, metrics, scores
from adaptive_engine.types import Interaction, Metric, Score, now_ms, uuid7


@dataclass(frozen=True, slots=True)
class Scoring:
    """One value to be logged."""

    metric: str
    value: bool | float
    reason: str | None = None
    details: str | None = None
    user: str | None = None


def register(connection: Connection, metric: Metric) -> Metric:
    """The metric as it is stored: scripts register what they use each time they run.

    Raises Conflict when the project has another kind of metric of that key.
    """
    known = metrics.get_by_key(connection, metric.project_id, metric.key)
    if known is None:
        metrics.create(connection, metric)
        return metric
    if (known.kind, known.scoring_type) != (metric.kind, metric.scoring_type):
        raise Conflict(
            f"Metric '{metric.key}' exists already as {known.kind}, {known.scoring_type}. Choose another key.",
            code="metric_exists",
            param="key",
        )
    return known


def score(connection: Connection, interaction: Interaction, given: Seq[Scoring]) -> list[Score]:
    """Attach values to an interaction; all of them or, when one is wrong, none.

    Raises NotFound for a metric the project does not have, InvalidRequest for a value that its kind does not take.
    """
    rows = [_checked(connection, interaction, one) for one in given]
    scores.add(connection, rows)
    return rows


def _checked(connection: Connection, interaction: Interaction, given: Scoring) -> Score:
    metric = metrics.get_by_key(connection, interaction.project_id, given.metric)
    if metric is None:
        raise NotFound(
            f"Metric '{given.metric}' is not registered in this project; POST /api/v1/metrics registers it.",
            code="metric_not_found",
            param="metric",
        )
    return Score(
        id=uuid7(),
        interaction_id=interaction.id,
        metric_id=metric.id,
        metric_key=metric.key,
        value=_value(metric, given.value),
        created_at=now_ms(),
        reason=given.reason,
        details=given.details,
        user=given.user,
    )


def _value(metric: Metric, value: bool | float) -> float:
    if metric.kind == "BOOL" and value not in (0, 1):
        raise InvalidRequest(f"Metric '{metric.key}' is a bool: send true, false, 1 or 0.", param="value")
    if metric.kind == "SCALAR" and isinstance(value, bool):
        raise InvalidRequest(f"Metric '{metric.key}' is a scalar: send a number.", param="value")
    if not math.isfinite(value):
        raise InvalidRequest("A score must be a finite number.", param="value")
    return float(value)
