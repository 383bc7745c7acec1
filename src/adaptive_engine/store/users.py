"""Users: people and service accounts. None of these finds one that was deleted."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import users
from adaptive_engine.types import User

_PRESENT = sa.select(
    users.c.id,
    users.c.email,
    users.c.name,
    users.c.user_type,
    users.c.created_at,
    users.c.deleted_at,
).where(users.c.deleted_at.is_(None))


def create(connection: Connection, user: User) -> None:
    """Raises Conflict when the e-mail address is another's."""
    with duplicates_refused(f"User '{user.email}' exists already."):
        connection.execute(
            users.insert().values(
                id=user.id,
                email=user.email,
                name=user.name,
                user_type=user.user_type,
                created_at=user.created_at,
            )
        )


def get(connection: Connection, user_id: UUID) -> User | None:
    row = connection.execute(_PRESENT.where(users.c.id == user_id)).one_or_none()
    return None if row is None else User(*row)


def get_by_email(connection: Connection, email: str) -> User | None:
    row = connection.execute(_PRESENT.where(users.c.email == email)).one_or_none()
    return None if row is None else User(*row)


def list_all(connection: Connection) -> list[User]:
    """Sorted by e-mail address."""
    return [User(*row) for row in connection.execute(_PRESENT.order_by(users.c.email))]


def set_deleted(connection: Connection, user_id: UUID, deleted_at: int) -> None:
    connection.execute(users.update().where(users.c.id == user_id).values(deleted_at=deleted_at))
