"""Outcomes: the values that metrics have for whole sessions."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.tables import interactions, outcomes
from adaptive_engine.types import Outcome

_SELECT = sa.select(
    outcomes.c.id,
    outcomes.c.project_id,
    outcomes.c.metric_id,
    outcomes.c.session_id,
    outcomes.c.value,
    outcomes.c.created_at,
    outcomes.c.user,
)


def create(connection: Connection, row: Outcome) -> None:
    connection.execute(
        outcomes.insert().values(
            id=row.id,
            project_id=row.project_id,
            metric_id=row.metric_id,
            session_id=row.session_id,
            value=row.value,
            user=row.user,
            created_at=row.created_at,
        )
    )


def list_for_session(connection: Connection, project_id: UUID, session_id: UUID) -> list[Outcome]:
    """Oldest first."""
    query = _SELECT.where(outcomes.c.project_id == project_id, outcomes.c.session_id == session_id)
    return [Outcome(*row) for row in connection.execute(query.order_by(outcomes.c.created_at, outcomes.c.id))]


def any_of_metric(connection: Connection, metric_id: UUID) -> bool:
    return connection.scalar(sa.select(sa.exists().where(outcomes.c.metric_id == metric_id))) is True


def projects_of_session(connection: Connection, project_ids: Collection[UUID], session_id: UUID) -> list[UUID]:
    """Those of these projects that have interactions of the session."""
    query = (
        sa.select(interactions.c.project_id)
        .distinct()
        .where(interactions.c.session_id == session_id, interactions.c.project_id.in_(project_ids))
    )
    return list(connection.scalars(query))
