"""Metrics: what can be scored in a project."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import comparisons, metrics, scores
from adaptive_engine.types import Metric, uuid_or_none

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
    with duplicates_refused(f"Metric '{metric.key}' exists already in this project. Choose another key.", "key"):
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


def get(connection: Connection, project_id: UUID, id_or_key: str) -> Metric | None:
    """The key comes first, should another metric's id be written like it."""
    found = get_by_key(connection, project_id, id_or_key)
    if found is None and (metric_id := uuid_or_none(id_or_key)):
        found = get_by_id(connection, metric_id)
    return found if found is not None and found.project_id == project_id else None


def get_by_id(connection: Connection, metric_id: UUID) -> Metric | None:
    row = connection.execute(_SELECT.where(metrics.c.id == metric_id)).one_or_none()
    return None if row is None else Metric(*row)


def update(connection: Connection, metric_id: UUID, values: Mapping[str, str | None]) -> None:
    connection.execute(metrics.update().where(metrics.c.id == metric_id).values(dict(values)))


def delete(connection: Connection, metric_id: UUID) -> None:
    """With its scores, comparisons and outcomes."""
    connection.execute(metrics.delete().where(metrics.c.id == metric_id))


def scored(connection: Connection, metric_ids: Collection[UUID]) -> tuple[set[UUID], set[UUID]]:
    """Those of these metrics that have scores, and those that have comparisons."""
    direct = sa.select(scores.c.id).where(scores.c.metric_id == metrics.c.id).exists()
    compared = sa.select(comparisons.c.id).where(comparisons.c.metric_id == metrics.c.id).exists()
    rows = connection.execute(sa.select(metrics.c.id, direct, compared).where(metrics.c.id.in_(metric_ids))).all()
    return {row[0] for row in rows if row[1]}, {row[0] for row in rows if row[2]}


def list_for_project(connection: Connection, project_id: UUID) -> list[Metric]:
    """Sorted by key."""
    query = _SELECT.where(metrics.c.project_id == project_id).order_by(metrics.c.key)
    return [Metric(*row) for row in connection.execute(query)]
