"""The store in a SQLite file."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import filelock
import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.store.driver import Driver, Durability, unavailable
from adaptive_engine.types import now_ms

_log = logging.getLogger(__name__)

_MIGRATION_LOCK_SECONDS = 60.0
# Ends the name of the file whose lock shows that a worker lives.
_WORKER = ".worker"

# Primary result codes that say the store, not the statement, is at fault.
_OUTAGES = {
    sqlite3.SQLITE_BUSY: "another process holds its write lock",
    sqlite3.SQLITE_LOCKED: "another connection holds its lock",
    sqlite3.SQLITE_NOMEM: "there is no memory left",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_IOERR: "the disk reports an error or a limit",
    sqlite3.SQLITE_CORRUPT: "its file is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "its file cannot be opened",
    sqlite3.SQLITE_NOTADB: "its file is not a database",
}


class SqliteDriver(Driver):
    # SQLite has one writer at a time, and BEGIN IMMEDIATE waits for the turn.
    appends_need_turn = True

    def __init__(self, path: Path, durability: Durability, busy_timeout_ms: int, min_free_bytes: int) -> None:
        self._path = path.absolute()
        self._min_free_bytes = min_free_bytes
        # As text: each request asks for them, and looking at a Path costs more than looking at the file.
        self._file, self._directory = str(self._path), str(self._path.parent)
        self.write_timeout = busy_timeout_ms / 1000
        self.readers = _engine(self._path, durability, busy_timeout_ms)
        self.writers = self.appenders = self.readers.execution_options(immediate=True)
        self._identity: tuple[int, int] | None = None
        self._presence: filelock.FileLock | None = None

    def prepare(self) -> None:
        _create_private(self._path)
        self._identity = _identity(self._file)

    @contextmanager
    def migration_turn(self) -> Iterator[None]:
        lock = filelock.FileLock(f"{self._path}.migration-lock", timeout=_MIGRATION_LOCK_SECONDS, mode=0o600)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise unavailable("another process has been migrating it for a minute") from error
        try:
            _use_wal(self._path, self.write_timeout)
            yield
        finally:
            lock.release()

    def back_up(self, revision: str | None) -> None:
        """Copy the store to `<name>.backup-<revision>-<epoch ms>` beside it, and say so; only a complete copy gets that
        name.
        """
        target = self._path.with_name(f"{self._path.name}.backup-{revision or 'unversioned'}-{now_ms()}")
        partial = target.with_name(f"{target.name}.partial")
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        with closing(sqlite3.connect(self._path)) as source, closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
        os.replace(partial, target)
        _log.warning("the store is migrated from revision %s; %s is a copy of it as it was", revision or "none", target)

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        yield

    def take_turn(self, connection: Connection) -> None:
        pass

    def require_in_place(self) -> None:
        if not self._in_place():
            raise unavailable("its file was moved or deleted; restart the server")

    def obstacle(self) -> str | None:
        try:
            if not self._in_place():
                return "The interaction store's file was moved or deleted; restart the server."
            free = shutil.disk_usage(self._directory).free
        except StorageUnavailable as error:
            return error.message
        except OSError as error:
            return f"The interaction store's directory cannot be read: {error.strerror}."
        if free < self._min_free_bytes:
            return (
                f"The data volume has {free >> 20} MiB free; {self._min_free_bytes >> 20} MiB are kept in reserve. "
                "Free some, or set ADAPTIVE_STORE__MIN_FREE_BYTES."
            )
        return None

    def outage(self, error: Exception) -> str | None:
        code = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)
        # The low byte is the primary code, the rest says more exactly what failed.
        return _OUTAGES.get(code & 0xFF)

    def enter(self, server_id: UUID) -> Connection | None:
        # The lock of the data directory keeps a second server away, but one server may have several workers. What one
        # that died left behind, the next to start closes: nobody has to look for it meanwhile.
        for path in self._path.parent.glob(f"{self._path.name}.*{_WORKER}"):
            self._free(path)
        self._presence = filelock.FileLock(self._presence_of(server_id), mode=0o600)
        self._presence.acquire(timeout=0)
        return None

    def is_gone(self, connection: Connection, server_id: UUID) -> bool:
        return self._free(self._presence_of(server_id))

    def close(self) -> None:
        super().close()
        if self._presence is not None:
            Path(self._presence.lock_file).unlink(missing_ok=True)
            self._presence.release()

    def _presence_of(self, server_id: UUID) -> Path:
        return self._path.with_name(f"{self._path.name}.{server_id}{_WORKER}")

    def _free(self, path: Path) -> bool:
        """Whether nobody holds this lock, which ends with its process; then its file is removed."""
        if not path.exists():
            return True
        lock = filelock.FileLock(path, mode=0o600)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return False
        path.unlink(missing_ok=True)
        lock.release()
        return True

    def _in_place(self) -> bool:
        # SQLite goes on writing into a deleted file, and the commits would be lost with the last connection.
        try:
            return _identity(self._file) == self._identity
        except FileNotFoundError:
            return False
        except OSError as error:
            raise unavailable(f"its file cannot be looked at ({error.strerror})") from error


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _create_private(path: Path) -> None:
    """Only the server's user may read prompts. SQLite gives the files it adds the mode of this one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise unavailable(f"{path} cannot be opened ({error.strerror})") from error


def _use_wal(path: Path, timeout: float) -> None:
    """Write-ahead logging: readers and the writer do not block each other, and a commit is one sequential write.

    The mode stays in the file. It is set under the migration lock because SQLite does not wait for other connections
    when it changes.
    """
    with closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise unavailable("its file system does not support shared memory; put the data directory on a local disk")


def _engine(path: Path, durability: Durability, busy_timeout_ms: int) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        # We begin transactions ourselves, below: Python's module would start them late and never IMMEDIATE.
        connect_args={"isolation_level": None, "timeout": busy_timeout_ms / 1000},
        # As many as the server has worker threads; connections past the first few are closed after use.
        pool_size=8,
        max_overflow=32,
        pool_timeout=5,
        # Error messages reach the log, prompts must not.
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: Any) -> None:
        # In WAL, NORMAL syncs at checkpoints only: no acknowledged row is lost with our process, the newest may be with
        # the power. FULL syncs at each commit.
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'full' else 'NORMAL'}")
        # SQLite checks references only when asked, on each connection.
        connection.execute("PRAGMA foreign_keys = ON")
        # A burst or a long read grows the log; without a limit its file keeps that size for ever.
        connection.execute(f"PRAGMA journal_size_limit = {64 * 2**20}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock at once: a transaction that reads first and writes later would fail with
        # "locked" where it should wait.
        immediate = connection.get_execution_options().get("immediate", False)
        # Straight to the driver: through SQLAlchemy this one statement would be half the cost of a short transaction.
        driver_connection = connection.connection.driver_connection
        assert isinstance(driver_connection, sqlite3.Connection)
        driver_connection.execute("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine
