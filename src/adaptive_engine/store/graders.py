"""Graders: judges of a project's interactions."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import graders, projects
from adaptive_engine.types import Grader, Judge, JudgeExample

_COLUMNS: tuple[sa.Column[Any], ...] = (
    graders.c.id,
    graders.c.project_id,
    graders.c.key,
    graders.c.name,
    graders.c.metric_id,
    graders.c.judge,
    graders.c.sampling_rate,
    graders.c.enabled,
    graders.c.created_at,
)
_SELECT = sa.select(*_COLUMNS)
# Written once: it goes with each transaction of the recorder.
_SAMPLING = (
    sa.select(graders.c.id, graders.c.project_id, graders.c.sampling_rate)
    .join(projects, projects.c.id == graders.c.project_id)
    .where(
        graders.c.project_id.in_(sa.bindparam("project_ids", expanding=True)),
        graders.c.enabled,
        graders.c.sampling_rate > 0,
        projects.c.archived_at.is_(None),
    )
)


class SamplingGrader(NamedTuple):
    """The share of its project's new interactions that a grader judges, 0 to 1."""

    id: UUID
    project_id: UUID
    sampling_rate: float


def create(connection: Connection, grader: Grader) -> None:
    """Raises Conflict when the project has a grader of that key."""
    with duplicates_refused(f"Grader '{grader.key}' exists already in this project. Choose another key.", "key"):
        connection.execute(graders.insert().values(id=grader.id, project_id=grader.project_id, **_values(grader)))


def update(connection: Connection, grader: Grader) -> None:
    connection.execute(graders.update().where(graders.c.id == grader.id).values(_values(grader)))


def delete(connection: Connection, grader_id: UUID) -> None:
    """With its judgements; the scores it gave stay."""
    connection.execute(graders.delete().where(graders.c.id == grader_id))


def get_by_key(connection: Connection, project_id: UUID, key: str) -> Grader | None:
    row = connection.execute(_SELECT.where(graders.c.project_id == project_id, graders.c.key == key)).one_or_none()
    return None if row is None else _from_row(row)


def get(connection: Connection, grader_id: UUID) -> Grader | None:
    row = connection.execute(_SELECT.where(graders.c.id == grader_id)).one_or_none()
    return None if row is None else _from_row(row)


def list_for_project(connection: Connection, project_id: UUID) -> list[Grader]:
    """Sorted by key."""
    query = _SELECT.where(graders.c.project_id == project_id).order_by(graders.c.key)
    return [_from_row(row) for row in connection.execute(query)]


def list_for_metric(connection: Connection, metric_id: UUID) -> list[Grader]:
    """Those that write it, sorted by key."""
    query = _SELECT.where(graders.c.metric_id == metric_id).order_by(graders.c.key)
    return [_from_row(row) for row in connection.execute(query)]


def list_sampling(connection: Connection, project_ids: Collection[UUID]) -> list[SamplingGrader]:
    """Those that judge new interactions of these projects. Asked for each that ends, so not the graders themselves."""
    return [SamplingGrader(*row) for row in connection.execute(_SAMPLING, {"project_ids": list(project_ids)})]


def _values(grader: Grader) -> dict[str, Any]:
    return {
        "key": grader.key,
        "name": grader.name,
        "metric_id": grader.metric_id,
        "judge": dataclasses.asdict(grader.judge),
        "sampling_rate": grader.sampling_rate,
        "enabled": grader.enabled,
        "created_at": grader.created_at,
    }


def _from_row(row: Any) -> Grader:
    values = dict(row._mapping)
    judge = values.pop("judge")
    examples = tuple(JudgeExample(**example) for example in judge.pop("examples"))
    scale = judge.pop("scale")
    return Grader(**values, judge=Judge(**judge, scale=tuple(scale) if scale else None, examples=examples))
