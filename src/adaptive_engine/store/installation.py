"""Facts about the whole installation, by key."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.tables import installation


def get(connection: Connection, key: str) -> str | None:
    value: str | None = connection.scalar(sa.select(installation.c.value).where(installation.c.key == key))
    return value


def put(connection: Connection, key: str, value: str) -> None:
    """In a `write` transaction: what there is is replaced."""
    connection.execute(installation.delete().where(installation.c.key == key))
    connection.execute(installation.insert().values(key=key, value=value))
