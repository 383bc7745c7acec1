"""Shares: which teams a project belongs to or is open for."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.roles import COLUMNS as ROLE
from adaptive_engine.store.roles import from_row as role_from_row
from adaptive_engine.store.tables import project_shares, roles, team_members, teams
from adaptive_engine.store.teams import COLUMNS as TEAM
from adaptive_engine.types import Share, Team

# Typed by us: a row of so many columns is more than the type checker can follow.
_COLUMNS: tuple[sa.Column[Any], ...] = (project_shares.c.project_id, project_shares.c.is_owner, *TEAM, *ROLE)
_SELECT = (
    sa.select(*_COLUMNS)
    .select_from(project_shares)
    .join(teams, teams.c.id == project_shares.c.team_id)
    .join(roles, roles.c.id == project_shares.c.role_id)
    .order_by(teams.c.key)
)


class SharedProject(NamedTuple):
    """A share, by ids."""

    project_id: UUID
    team_id: UUID
    role_id: UUID
    is_owner: bool


def add(connection: Connection, shares: Collection[Share]) -> None:
    if not shares:
        return
    connection.execute(
        project_shares.insert(),
        [
            {
                "project_id": share.project_id,
                "team_id": share.team.id,
                "role_id": share.role.id,
                "is_owner": share.is_owner,
            }
            for share in shares
        ],
    )


def delete(connection: Connection, project_id: UUID) -> None:
    """All of a project."""
    connection.execute(project_shares.delete().where(project_shares.c.project_id == project_id))


def list_for_project(connection: Connection, project_id: UUID) -> list[Share]:
    """Sorted by the teams' keys."""
    return _load(connection, _SELECT.where(project_shares.c.project_id == project_id))


def list_for_team(connection: Connection, team_id: UUID) -> list[Share]:
    return _load(connection, _SELECT.where(project_shares.c.team_id == team_id))


def list_for_user(connection: Connection, user_id: UUID) -> list[SharedProject]:
    """Those of all teams that the user belongs to. Keys are checked with it, so it has ids only."""
    theirs = sa.select(team_members.c.team_id).where(team_members.c.user_id == user_id)
    query = sa.select(
        project_shares.c.project_id, project_shares.c.team_id, project_shares.c.role_id, project_shares.c.is_owner
    )
    return [SharedProject(*row) for row in connection.execute(query.where(project_shares.c.team_id.in_(theirs)))]


def _load(connection: Connection, query: sa.Select[Any]) -> list[Share]:
    return [_from_row(*row) for row in connection.execute(query)]


def _from_row(project_id: UUID, is_owner: bool, *joined: Any) -> Share:
    return Share(project_id, Team(*joined[: len(TEAM)]), role_from_row(*joined[len(TEAM) :]), is_owner)
