"""Comparisons: which of two completions is better on a metric."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.tables import comparisons, interactions
from adaptive_engine.types import Comparison

_COLUMNS: tuple[sa.Column[Any], ...] = (
    comparisons.c.id,
    comparisons.c.project_id,
    comparisons.c.metric_id,
    comparisons.c.preferred_id,
    comparisons.c.other_id,
    comparisons.c.created_at,
    comparisons.c.tied,
    comparisons.c.user,
)


def create(connection: Connection, row: Comparison) -> None:
    connection.execute(
        comparisons.insert().values(
            id=row.id,
            project_id=row.project_id,
            metric_id=row.metric_id,
            preferred_id=row.preferred_id,
            other_id=row.other_id,
            tied=row.tied,
            user=row.user,
            created_at=row.created_at,
        )
    )


def list_for_preferred(connection: Connection, interaction_ids: Collection[UUID]) -> dict[UUID, list[Comparison]]:
    """The comparisons in which each of these is the preferred one, oldest first."""
    query = sa.select(*_COLUMNS).where(comparisons.c.preferred_id.in_(interaction_ids))
    found: defaultdict[UUID, list[Comparison]] = defaultdict(list)
    for row in connection.execute(query.order_by(comparisons.c.created_at, comparisons.c.id)):
        found[row.preferred_id].append(Comparison(*row))
    return found


def find_completion(
    connection: Connection, project_id: UUID, model_id: UUID, prompt_hash: str, completion: str
) -> UUID | None:
    """The newest interaction in which this model gave this answer to this prompt."""
    query = (
        sa.select(interactions.c.id)
        .where(
            interactions.c.project_id == project_id,
            interactions.c.prompt_hash == prompt_hash,
            interactions.c.model_id == model_id,
            interactions.c.completion == completion,
        )
        .order_by(interactions.c.created_at.desc(), interactions.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()
