"""Roles: named sets of permissions."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import project_shares, roles, team_members
from adaptive_engine.types import AccessRole

COLUMNS = (roles.c.id, roles.c.key, roles.c.name, roles.c.permissions, roles.c.created_at)
_SELECT = sa.select(*COLUMNS)


def create(connection: Connection, role: AccessRole) -> None:
    """Raises Conflict when the key is taken."""
    with duplicates_refused(f"Role '{role.key}' exists already."):
        connection.execute(
            roles.insert().values(
                id=role.id,
                key=role.key,
                name=role.name,
                permissions=sorted(role.permissions),
                created_at=role.created_at,
            )
        )


def get(connection: Connection, role_id: UUID) -> AccessRole | None:
    row = connection.execute(_SELECT.where(roles.c.id == role_id)).one_or_none()
    return None if row is None else from_row(*row)


def get_by_key(connection: Connection, key: str) -> AccessRole | None:
    row = connection.execute(_SELECT.where(roles.c.key == key)).one_or_none()
    return None if row is None else from_row(*row)


def list_all(connection: Connection) -> list[AccessRole]:
    """Sorted by key."""
    return [from_row(*row) for row in connection.execute(_SELECT.order_by(roles.c.key))]


def set_permissions(connection: Connection, role_id: UUID, permissions: Collection[str]) -> None:
    connection.execute(roles.update().where(roles.c.id == role_id).values(permissions=sorted(permissions)))


def is_held(connection: Connection, role_id: UUID) -> bool:
    """Whether a user has it in some team, or some project is shared with it."""
    held = sa.exists().where(team_members.c.role_id == role_id)
    shared = sa.exists().where(project_shares.c.role_id == role_id)
    return connection.scalar(sa.select(sa.or_(held, shared))) is True


def delete(connection: Connection, role_id: UUID) -> None:
    """Raises Conflict while it is held."""
    connection.execute(roles.delete().where(roles.c.id == role_id))


def from_row(role_id: UUID, key: str, name: str, permissions: list[str], created_at: int) -> AccessRole:
    return AccessRole(role_id, key, name, frozenset(permissions), created_at)
