"""Team members: who belongs to which team, in which role."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.roles import COLUMNS as ROLE
from adaptive_engine.store.roles import from_row as role_from_row
from adaptive_engine.store.tables import roles, team_members, teams
from adaptive_engine.store.teams import COLUMNS as TEAM
from adaptive_engine.types import Membership, Team

# Typed by us: a row of so many columns is more than the type checker can follow.
_COLUMNS: tuple[sa.Column[Any], ...] = (team_members.c.user_id, *TEAM, *ROLE)
_SELECT = (
    sa.select(*_COLUMNS)
    .select_from(team_members)
    .join(teams, teams.c.id == team_members.c.team_id)
    .join(roles, roles.c.id == team_members.c.role_id)
    .order_by(teams.c.key)
)


def put(connection: Connection, user_id: UUID, team_id: UUID, role_id: UUID) -> None:
    """Add the user to the team, or change the role there."""
    delete(connection, user_id, team_id)
    connection.execute(team_members.insert().values(user_id=user_id, team_id=team_id, role_id=role_id))


def delete(connection: Connection, user_id: UUID, team_id: UUID | None = None) -> bool:
    """Take the user out of the team, or out of all of them. Whether there was anything to delete."""
    chosen = team_members.delete().where(team_members.c.user_id == user_id)
    if team_id is not None:
        chosen = chosen.where(team_members.c.team_id == team_id)
    return connection.execute(chosen).rowcount > 0


def list_for_user(connection: Connection, user_id: UUID) -> list[Membership]:
    """Sorted by the teams' keys."""
    return [_from_row(*row) for row in connection.execute(_SELECT.where(team_members.c.user_id == user_id))]


def list_all(connection: Connection) -> list[Membership]:
    """Sorted by the teams' keys."""
    return [_from_row(*row) for row in connection.execute(_SELECT)]


def _from_row(user_id: UUID, *joined: Any) -> Membership:
    return Membership(user_id, Team(*joined[: len(TEAM)]), role_from_row(*joined[len(TEAM) :]))
