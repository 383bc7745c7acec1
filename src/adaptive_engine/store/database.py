"""The database: opening, migrating, transactions. What differs between databases is in `sqlite.py`, `postgresql.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from adaptive_engine.errors import AdaptiveError, Conflict
from adaptive_engine.store import migrations
from adaptive_engine.store.driver import Driver, Durability, PoolOptions, unavailable
from adaptive_engine.store.sqlite import SqliteDriver
from adaptive_engine.store.tables import metadata


class Database:
    """An open, migrated store. Thread-safe; made by `Database.open`."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._write_lock = threading.Lock()

    @classmethod
    def open(
        cls,
        url_or_path: str | Path,
        *,
        durability: Durability = "normal",
        busy_timeout_ms: int = 5000,
        min_free_bytes: int = 0,
        pool: PoolOptions | None = None,
        migrate: bool = True,
    ) -> Database:
        """Open the store, creating and migrating it as needed. Only PostgreSQL has `pool` options, and only SQLite has
        to know how much must stay free on its volume.

        Raises StoreTooNew for a store of a newer version, StoreOutdated for one that is not to be migrated and would
        have to be, StorageUnavailable when it cannot be opened or written, and
        InvalidRequest for an address that names neither a file nor a PostgreSQL database.
        """
        driver = _driver(url_or_path, durability, busy_timeout_ms, min_free_bytes, pool or PoolOptions())
        database = cls(driver)
        try:
            with database._failures_translated():
                driver.prepare()
                database._migrate(allowed=migrate)
        except BaseException:
            driver.close()
            raise
        return database

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one snapshot and never waits for writers. Raises StorageUnavailable."""
        with self._failures_translated(), self._driver.readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """The one write transaction; commits on leaving, rolls back on an exception. What it reads, no other `write`
        changes before it ends, in no process: look first and write then.

        Raises StorageUnavailable when the store cannot be written or stays locked for longer than the busy timeout, and
        Conflict for what a constraint refuses.
        """
        with self._turn(), self._failures_translated(), self._driver.writers.begin() as connection:
            self._driver.take_turn(connection)
            yield connection

    @contextmanager
    def append(self) -> Iterator[Connection]:
        """A write transaction that waits for no `write`, where the database can do that. For statements that are right
        whatever else is written meanwhile. Raises what `write` raises.
        """
        if self._driver.appends_need_turn:
            with self.write() as connection:
                yield connection
            return
        with self._failures_translated(), self._driver.appenders.begin() as connection:
            yield connection

    def obstacle(self) -> str | None:
        """Why a write would not succeed, as far as can be told without one; None when nothing is known."""
        return self._driver.obstacle()

    def probe(self) -> None:
        """Write something that changes nothing. Raises StorageUnavailable when that fails."""
        with self.append() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))

    def enter(self, server_id: UUID) -> Connection | None:
        """A connection whose life is this server's in the eyes of others; None where there can be no others.

        Raises StorageUnavailable.
        """
        with self._failures_translated():
            return self._driver.enter(server_id)

    def is_gone(self, connection: Connection, server_id: UUID) -> bool:
        """Whether no such server lives any more. Not for the own id."""
        return self._driver.is_gone(connection, server_id)

    def close(self) -> None:
        self._driver.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        # Writers of this process queue here: SQLite waits by polling, and a busy recorder would starve the others; on
        # PostgreSQL each that waits would hold a connection.
        if not self._write_lock.acquire(timeout=self._driver.write_timeout):
            raise unavailable("it is busy")
        try:
            self._driver.require_in_place()
            yield
        finally:
            self._write_lock.release()

    @contextmanager
    def _failures_translated(self) -> Iterator[None]:
        """SQLAlchemy's and the drivers' errors end here; what remains of them above the store is a defect."""
        try:
            yield
        except AdaptiveError:
            raise
        except IntegrityError as error:
            raise Conflict("The change contradicts what is stored.") from error
        except PoolTimeout as error:
            raise unavailable("all its connections are in use") from error
        except Exception as error:
            reason = self._driver.outage(error)
            if reason is None:
                raise
            raise unavailable(reason) from error

    def _migrate(self, *, allowed: bool) -> None:
        with self._driver.migration_turn():
            with self.read() as connection:
                revision = migrations.current_revision(connection)
                found = set(sa.inspect(connection).get_table_names())
            if revision == migrations.HEAD:
                return
            migrations.check_known(revision)
            if revision is None and found & metadata.tables.keys():
                raise unavailable("it holds tables of another program; give it a database of its own")
            if not allowed:
                raise migrations.StoreOutdated(revision)
            if found:
                self._driver.back_up(revision)
            with self.write() as connection, self._driver.migrating(connection):
                migrations.upgrade(connection)


@contextmanager
def duplicates_refused(message: str, param: str | None = None) -> Iterator[None]:
    """Turns a violated constraint into Conflict(message), about the field `param`."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(message, param=param) from error


def _driver(
    url_or_path: str | Path, durability: Durability, busy_timeout_ms: int, min_free_bytes: int, pool: PoolOptions
) -> Driver:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return SqliteDriver(Path(url_or_path), durability, busy_timeout_ms, min_free_bytes)
    from adaptive_engine.store.postgresql import PostgresqlDriver

    return PostgresqlDriver(url_or_path, durability, busy_timeout_ms, pool)
