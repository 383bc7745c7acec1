"""API keys: keyed hashes of secrets. `services.keys` makes and checks them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import api_keys, roles, team_members, teams
from adaptive_engine.types import UNLIMITED, ApiKey, Limits

_SELECT = sa.select(
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.role,
    api_keys.c.project_id,
    api_keys.c.digest,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
    api_keys.c.user_id,
    api_keys.c.limits,
)


def create(connection: Connection, key: ApiKey) -> None:
    """Raises Conflict when the id is taken, or the project or the user is unknown."""
    with duplicates_refused(f"API key '{key.id}' exists already, or its project or user does not."):
        connection.execute(
            api_keys.insert().values(
                id=key.id,
                name=key.name,
                role=key.role,
                project_id=key.project_id,
                digest=key.digest,
                created_at=key.created_at,
                expires_at=key.expires_at,
                revoked_at=key.revoked_at,
                user_id=key.user_id,
                limits=key.limits.as_stored(),
            )
        )


def get(connection: Connection, key_id: str) -> ApiKey | None:
    row = connection.execute(_SELECT.where(api_keys.c.id == key_id)).one_or_none()
    return None if row is None else _from_row(row)


def list_all(connection: Connection) -> list[ApiKey]:
    """Oldest first, revoked ones included."""
    return [_from_row(row) for row in connection.execute(_SELECT.order_by(api_keys.c.created_at, api_keys.c.id))]


def limit(connection: Connection, key_id: str, limits: Limits) -> None:
    """Replace the key's limits."""
    connection.execute(api_keys.update().where(api_keys.c.id == key_id).values(limits=limits.as_stored()))


def revoke(connection: Connection, key_id: str, revoked_at: int) -> bool:
    """Whether the key exists. A key that is revoked already keeps its time."""
    known = api_keys.c.id == key_id
    connection.execute(api_keys.update().where(known, api_keys.c.revoked_at.is_(None)).values(revoked_at=revoked_at))
    return connection.scalar(sa.select(sa.exists().where(known))) is True


def end_all_of_user(connection: Connection, user_id: UUID, now: int, expires_at: int | None = None) -> None:
    """Revoke the user's keys, or let those that would live longer expire at `expires_at`."""
    valid = api_keys.update().where(api_keys.c.user_id == user_id, _valid(now))
    if expires_at is None:
        connection.execute(valid.values(revoked_at=now))
        return
    longer = sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > expires_at)
    connection.execute(valid.where(longer).values(expires_at=expires_at))


def any_with_role(connection: Connection, role_key: str, now: int) -> bool:
    """Whether some valid key has the role, in all projects or in one."""
    found = sa.exists().where(api_keys.c.role == role_key, api_keys.c.user_id.is_(None), _valid(now))
    return connection.scalar(sa.select(found)) is True


def any_on_server(connection: Connection, role_key: str, team_key: str, now: int) -> bool:
    """Whether some valid key has the role on the whole server: by itself, or because its user has it in the team."""
    itself = sa.and_(
        api_keys.c.role == role_key, api_keys.c.user_id.is_(None), api_keys.c.project_id.is_(None), _valid(now)
    )
    through_user = (
        sa.exists()
        .where(api_keys.c.user_id == team_members.c.user_id, _valid(now))
        .where(team_members.c.team_id == teams.c.id, teams.c.key == team_key)
        .where(team_members.c.role_id == roles.c.id, roles.c.key == role_key)
    )
    return connection.scalar(sa.select(sa.or_(sa.exists().where(itself), through_user))) is True


def _from_row(row: Any) -> ApiKey:
    key = ApiKey(*row)
    return replace(key, limits=Limits(**row.limits) if row.limits else UNLIMITED)


def _valid(now: int) -> sa.ColumnElement[bool]:
    unexpired = sa.or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    return sa.and_(api_keys.c.revoked_at.is_(None), unexpired)


def delete(connection: Connection, key_ids: Collection[str]) -> None:
    connection.execute(api_keys.delete().where(api_keys.c.id.in_(key_ids)))
