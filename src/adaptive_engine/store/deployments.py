"""Deployments: models attached to projects. At most one per project is the default.

Those of archived projects are there again when the project is; until then none of these finds them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.errors import NotFound
from adaptive_engine.store import models as model_queries
from adaptive_engine.store import projects as project_queries
from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import deployments, models, projects
from adaptive_engine.types import Deployment

_OWN = (
    deployments.c.id,
    deployments.c.is_default,
    deployments.c.online,
    deployments.c.created_at,
    deployments.c.settings,
)
_SELECT = (
    sa.select(*_OWN, *project_queries.COLUMNS, *model_queries.COLUMNS)
    .select_from(deployments)
    .join(projects, projects.c.id == deployments.c.project_id)
    .join(models, models.c.id == deployments.c.model_id)
    .where(projects.c.archived_at.is_(None))
)
_PROJECT_START = len(_OWN)
_MODEL_START = _PROJECT_START + len(project_queries.COLUMNS)


def create(connection: Connection, deployment: Deployment) -> None:
    """Attach a stored model to a stored project.

    Raises Conflict when it is attached already, or when it shall be the default and the project has one; see
    `set_default`.
    """
    project, model = deployment.project, deployment.model
    what = f"Model '{model.key}' in project '{project.key}'"
    with duplicates_refused(f"{what} is deployed already, or the project has another default model."):
        connection.execute(
            deployments.insert().values(
                id=deployment.id,
                project_id=project.id,
                model_id=model.id,
                is_default=deployment.is_default,
                online=deployment.online,
                settings=deployment.settings,
                created_at=deployment.created_at,
            )
        )


def get(connection: Connection, project_id: UUID, model_key: str) -> Deployment | None:
    return _one(connection, _SELECT.where(deployments.c.project_id == project_id, models.c.key == model_key))


def get_default(connection: Connection, project_id: UUID) -> Deployment | None:
    return _one(connection, _SELECT.where(deployments.c.project_id == project_id, deployments.c.is_default))


def list_all(connection: Connection) -> list[Deployment]:
    """Sorted by project key, then model key."""
    return [_from_row(row) for row in connection.execute(_SELECT.order_by(projects.c.key, models.c.key))]


def list_for_project(connection: Connection, project_id: UUID) -> list[Deployment]:
    """Sorted by model key."""
    query = _SELECT.where(deployments.c.project_id == project_id).order_by(models.c.key)
    return [_from_row(row) for row in connection.execute(query)]


def list_for_model(connection: Connection, model_key: str) -> list[Deployment]:
    """Sorted by project key."""
    query = _SELECT.where(models.c.key == model_key).order_by(projects.c.key)
    return [_from_row(row) for row in connection.execute(query)]


def set_online(connection: Connection, deployment_ids: Collection[UUID], online: bool) -> None:
    connection.execute(deployments.update().where(deployments.c.id.in_(deployment_ids)).values(online=online))


def set_default(connection: Connection, project_id: UUID, model_key: str) -> None:
    """Make this deployment the only default of its project. Raises NotFound when the model is not deployed there."""
    chosen = get(connection, project_id, model_key)
    if chosen is None:
        raise NotFound(f"model '{model_key}' is not deployed in this project", param="model")
    of_project = deployments.c.project_id == project_id
    # Two statements, in this order: the unique index must never see two defaults.
    connection.execute(deployments.update().where(of_project, deployments.c.is_default).values(is_default=False))
    connection.execute(deployments.update().where(deployments.c.id == chosen.id).values(is_default=True))


def set_settings(connection: Connection, deployment_id: UUID, settings: dict[str, Any]) -> None:
    connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(settings=settings))


def delete(connection: Connection, deployment_id: UUID) -> None:
    """Detach a model from its project. The model stays registered, interactions keep its key."""
    connection.execute(deployments.delete().where(deployments.c.id == deployment_id))


def _one(connection: Connection, query: sa.Select[Any]) -> Deployment | None:
    row = connection.execute(query).one_or_none()
    return None if row is None else _from_row(row)


def _from_row(row: Any) -> Deployment:
    deployment_id, is_default, online, created_at, settings = row[:_PROJECT_START]
    return Deployment(
        id=deployment_id,
        project=project_queries.from_row(row[_PROJECT_START:_MODEL_START]),
        model=model_queries.from_row(row[_MODEL_START:]),
        is_default=is_default,
        online=online,
        created_at=created_at,
        settings=settings,
    )
