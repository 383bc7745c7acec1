"""Pairs of completions of which one was preferred, for training. Ties are no pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store import filters
from adaptive_engine.store import interactions as rows
from adaptive_engine.store.filters import InteractionFilter
from adaptive_engine.store.scans import Position
from adaptive_engine.store.tables import comparisons, interactions, metrics
from adaptive_engine.types import Interaction


@dataclass(frozen=True, slots=True)
class Pair:
    """Which comparison, and of what."""

    id: UUID
    metric_key: str
    created_at: int
    preferred_id: UUID
    other_id: UUID


@dataclass(frozen=True, slots=True)
class Preference:
    """One comparison that has a winner."""

    id: UUID
    metric_key: str
    created_at: int
    chosen: Interaction
    rejected: Interaction


def list_after(
    connection: Connection, wanted: InteractionFilter, *, metric_id: UUID | None, after: Position | None, limit: int
) -> tuple[list[Pair], Position | None]:
    """At most `limit` pairs whose chosen interaction matches, oldest first, and where to go on; None at the end."""
    of = comparisons.c
    place = sa.tuple_(of.created_at, of.id)
    query = (
        sa.select(of.id, metrics.c.key, of.created_at, of.preferred_id, of.other_id)
        .join(metrics, metrics.c.id == of.metric_id)
        .join(interactions, interactions.c.id == of.preferred_id)
        .where(of.project_id == wanted.project_id, of.tied.is_(None), filters.condition(wanted.where))
    )
    if metric_id is not None:
        query = query.where(filters.unindexed(of.metric_id) == metric_id)
    if after is not None:
        query = query.where(place > sa.tuple_(*after))
    found = [Pair(*row) for row in connection.execute(query.order_by(of.created_at, of.id).limit(limit))]
    return found, Position(found[-1].created_at, found[-1].id) if len(found) == limit else None


def load(connection: Connection, pairs: Sequence[Pair]) -> list[Preference]:
    """Those that exist still, in this order."""
    sides = rows.load(connection, list({side for pair in pairs for side in (pair.preferred_id, pair.other_id)}))
    by_id = {each.interaction.id: each.interaction for each in sides}
    return [
        Preference(pair.id, pair.metric_key, pair.created_at, by_id[pair.preferred_id], by_id[pair.other_id])
        for pair in pairs
        if pair.preferred_id in by_id and pair.other_id in by_id
    ]


def position(connection: Connection, project_id: UUID, comparison_id: UUID) -> Position | None:
    """The place of one pair among those of its project."""
    of = comparisons.c
    row = connection.execute(
        sa.select(of.created_at, of.id).where(of.id == comparison_id, of.project_id == project_id)
    ).one_or_none()
    return None if row is None else Position(*row)
