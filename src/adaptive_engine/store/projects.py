"""Projects: tenants and routing units."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import projects
from adaptive_engine.types import Project

COLUMNS = (
    projects.c.id,
    projects.c.key,
    projects.c.name,
    projects.c.description,
    projects.c.created_at,
    projects.c.archived_at,
    projects.c.settings,
)
_SELECT = sa.select(*COLUMNS)


def create(connection: Connection, project: Project) -> None:
    """Raises Conflict when the key is taken, if only by an archived project."""
    with duplicates_refused(f"Project '{project.key}' exists already."):
        connection.execute(
            projects.insert().values(
                id=project.id,
                key=project.key,
                name=project.name,
                description=project.description,
                created_at=project.created_at,
                archived_at=project.archived_at,
                settings=project.settings,
            )
        )


def get(connection: Connection, project_id: UUID) -> Project | None:
    """Archived or not."""
    return _one(connection, projects.c.id == project_id)


def get_by_key(connection: Connection, key: str, *, archived: bool = False) -> Project | None:
    """One that is not archived; with `archived`, that too."""
    found = _one(connection, projects.c.key == key)
    return found if found is None or archived or not found.archived else None


def list_all(connection: Connection, *, archived: bool = False) -> list[Project]:
    """Sorted by key; with `archived`, those too."""
    query = _SELECT if archived else _SELECT.where(projects.c.archived_at.is_(None))
    return [from_row(row) for row in connection.execute(query.order_by(projects.c.key))]


def update(connection: Connection, project: Project) -> None:
    """Store all that can change of a project; its key cannot."""
    changes = {
        "name": project.name,
        "description": project.description,
        "archived_at": project.archived_at,
        "settings": project.settings,
    }
    connection.execute(projects.update().where(projects.c.id == project.id).values(changes))


def from_row(row: Any) -> Project:
    """A Project from a row of COLUMNS."""
    project_id, key, name, description, created_at, archived_at, settings = row
    return Project(project_id, key, name, description, created_at, archived_at, settings or {})


def _one(connection: Connection, condition: sa.ColumnElement[bool]) -> Project | None:
    row = connection.execute(_SELECT.where(condition)).one_or_none()
    return None if row is None else from_row(row)
