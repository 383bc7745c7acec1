"""Metrics: what can be scored in a project."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import metrics
from adaptive_engine.types import Metric

# Typed by us: a row of more than ten columns is more than the type checker can follow.
_COLUMNS: tuple[sa.Column[Any], ...] = (
    metrics.c.id,
    metrics.c.project_id,
    metrics.c.key,
    metrics.c.name,
    metrics.c.kind,
    metrics.c.scoring_type,
    metrics.c.description,
    metrics.c.unit,
    metrics.c.created_at,
    metrics.c.category,
)
_SELECT = sa.select(*_COLUMNS)


def create(connection: Connection, metric: Metric) -> None:
    """Raises Conflict when the project has a metric of that key."""
    with duplicates_refused(f"Metric '{metric.key}' exists already in this project."):
        connection.execute(
            metrics.insert().values(
                id=metric.id,
                project_id=metric.project_id,
                key=metric.key,
                name=metric.name,
                kind=metric.kind,
                scoring_type=metric.scoring_type,
                description=metric.description,
                unit=metric.unit,
                created_at=metric.created_at,
                category=metric.category,
            )
        )


def get_by_key(connection: Connection, project_id: UUID, key: str) -> Metric | None:
    row = connection.execute(_SELECT.where(metrics.c.project_id == project_id, metrics.c.key == key)).one_or_none()
    return None if row is None else Metric(*row)


def get(connection: Connection, metric_id: UUID) -> Metric | None:
    row = connection.execute(_SELECT.where(metrics.c.id == metric_id)).one_or_none()
    return None if row is None else Metric(*row)


def list_for_project(connection: Connection, project_id: UUID) -> list[Metric]:
    """Sorted by key."""
    query = _SELECT.where(metrics.c.project_id == project_id).order_by(metrics.c.key)
    return [Metric(*row) for row in connection.execute(query)]
