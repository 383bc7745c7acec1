"""API keys: keyed hashes of secrets. `services.keys` makes and checks them."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import api_keys
from adaptive_engine.types import ApiKey

_SELECT = sa.select(
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.role,
    api_keys.c.project_id,
    api_keys.c.digest,
    api_keys.c.created_at,
    api_keys.c.expires_at,
    api_keys.c.revoked_at,
)


def create(connection: Connection, key: ApiKey) -> None:
    """Raises Conflict when the id is taken or the project is unknown."""
    with duplicates_refused(f"API key '{key.id}' exists already, or its project does not."):
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
            )
        )


def get(connection: Connection, key_id: str) -> ApiKey | None:
    row = connection.execute(_SELECT.where(api_keys.c.id == key_id)).one_or_none()
    return None if row is None else ApiKey(*row)


def list_all(connection: Connection) -> list[ApiKey]:
    """Oldest first, revoked ones included."""
    return [ApiKey(*row) for row in connection.execute(_SELECT.order_by(api_keys.c.created_at, api_keys.c.id))]


def revoke(connection: Connection, key_id: str, revoked_at: int) -> bool:
    """Whether the key exists. A key that is revoked already keeps its time."""
    known = api_keys.c.id == key_id
    connection.execute(api_keys.update().where(known, api_keys.c.revoked_at.is_(None)).values(revoked_at=revoked_at))
    return connection.scalar(sa.select(sa.exists().where(known))) is True


def delete(connection: Connection, key_ids: Collection[str]) -> None:
    connection.execute(api_keys.delete().where(api_keys.c.id.in_(key_ids)))
