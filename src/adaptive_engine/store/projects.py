"""Projects: tenants and routing units. An archived project is not found by any of these."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import projects
from adaptive_engine.types import Project

COLUMNS = (projects.c.id, projects.c.key, projects.c.name, projects.c.description, projects.c.created_at)
_ACTIVE = sa.select(*COLUMNS).where(projects.c.archived_at.is_(None))


def create(connection: Connection, project: Project) -> None:
    """Raises Conflict when the key is taken."""
    with duplicates_refused(f"Project '{project.key}' exists already."):
        connection.execute(
            projects.insert().values(
                id=project.id,
                key=project.key,
                name=project.name,
                description=project.description,
                created_at=project.created_at,
            )
        )


def get_by_key(connection: Connection, key: str) -> Project | None:
    row = connection.execute(_ACTIVE.where(projects.c.key == key)).one_or_none()
    return None if row is None else Project(*row)


def list_all(connection: Connection) -> list[Project]:
    """Sorted by key."""
    return [Project(*row) for row in connection.execute(_ACTIVE.order_by(projects.c.key))]
