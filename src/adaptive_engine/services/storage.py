"""Opens the store that the settings name."""

from __future__ import annotations

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.settings import Settings
from adaptive_engine.store import Database, PoolOptions


def open_database(settings: Settings, *, migrate: bool = True) -> Database:
    """Raises InvalidRequest for a `db.url` that cannot be one, and what `Database.open` raises."""
    db = settings.db
    busy_timeout_ms = int(db.lock_timeout_seconds * 1000)
    if db.url is None:
        return Database.open(
            settings.database_path,
            durability=settings.store.durability,
            busy_timeout_ms=busy_timeout_ms,
            min_free_bytes=settings.store.min_free_bytes,
            migrate=migrate,
        )
    if "://" not in db.url.get_secret_value():
        raise InvalidRequest("ADAPTIVE_DB__URL: write postgresql://USER:PASSWORD@HOST/DATABASE")
    pool = PoolOptions(db.pool_size, db.connect_timeout_seconds, int(db.statement_timeout_seconds * 1000))
    try:
        return Database.open(
            db.url.get_secret_value(),
            durability=settings.store.durability,
            busy_timeout_ms=busy_timeout_ms,
            pool=pool,
            migrate=migrate,
        )
    except InvalidRequest as error:
        raise InvalidRequest(f"ADAPTIVE_DB__URL: {error.message}") from error
