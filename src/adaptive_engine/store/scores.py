"""Scores: the values that metrics have for completions. A completion may be scored by one metric many times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import metrics, scores
from adaptive_engine.types import Score

# Typed by us: a row of more than ten columns is more than the type checker can follow.
_COLUMNS: tuple[sa.Column[Any], ...] = (
    scores.c.id,
    scores.c.interaction_id,
    scores.c.metric_id,
    metrics.c.key,
    scores.c.value,
    scores.c.created_at,
    scores.c.reason,
    scores.c.details,
    scores.c.user,
    scores.c.source,
)
_SELECT = sa.select(*_COLUMNS).join(metrics, metrics.c.id == scores.c.metric_id)


def add(connection: Connection, rows: Sequence[Score]) -> None:
    """Raises Conflict when a completion or a metric is unknown; `metric_key` is not stored, the metric has it."""
    if not rows:
        return
    with duplicates_refused("A score names a completion or a metric that does not exist."):
        connection.execute(
            scores.insert(),
            [
                {
                    "id": row.id,
                    "interaction_id": row.interaction_id,
                    "metric_id": row.metric_id,
                    "value": row.value,
                    "reason": row.reason,
                    "details": row.details,
                    "user": row.user,
                    "created_at": row.created_at,
                    "source": row.source,
                }
                for row in rows
            ],
        )


def list_for_interactions(connection: Connection, interaction_ids: Collection[UUID]) -> dict[UUID, tuple[Score, ...]]:
    """The scores of each interaction that has any, oldest first."""
    query = _SELECT.where(scores.c.interaction_id.in_(interaction_ids)).order_by(scores.c.created_at, scores.c.id)
    found: defaultdict[UUID, list[Score]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.interaction_id].append(Score(*row))
    return {interaction_id: tuple(rows) for interaction_id, rows in found.items()}
