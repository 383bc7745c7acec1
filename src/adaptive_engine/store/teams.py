"""Teams: users who share projects."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import teams
from adaptive_engine.types import Team

COLUMNS = (teams.c.id, teams.c.key, teams.c.name, teams.c.created_at)
_SELECT = sa.select(*COLUMNS)


def create(connection: Connection, team: Team) -> None:
    """Raises Conflict when the key is taken."""
    with duplicates_refused(f"Team '{team.key}' exists already."):
        values = {"id": team.id, "key": team.key, "name": team.name, "created_at": team.created_at}
        connection.execute(teams.insert().values(values))


def get(connection: Connection, team_id: UUID) -> Team | None:
    row = connection.execute(_SELECT.where(teams.c.id == team_id)).one_or_none()
    return None if row is None else Team(*row)


def get_by_key(connection: Connection, key: str) -> Team | None:
    row = connection.execute(_SELECT.where(teams.c.key == key)).one_or_none()
    return None if row is None else Team(*row)


def list_all(connection: Connection) -> list[Team]:
    """Sorted by key."""
    return [Team(*row) for row in connection.execute(_SELECT.order_by(teams.c.key))]


def delete(connection: Connection, team_id: UUID) -> None:
    """Its memberships and shares go with it."""
    connection.execute(teams.delete().where(teams.c.id == team_id))
