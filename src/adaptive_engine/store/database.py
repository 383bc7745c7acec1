"""The database: opening, migrating, transactions. The only file that knows which dialect runs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

import filelock
import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from adaptive_engine.errors import Conflict, StorageUnavailable
from adaptive_engine.store import migrations
from adaptive_engine.types import now_ms

Durability = Literal["normal", "full"]
"""What a commit survives: `normal` a crash of our process, `full` also a power failure."""

FREE_SPACE_FLOOR = 64 * 2**20
"""Bytes that must be free on the data volume before a request that will be stored is accepted."""

_MIGRATION_LOCK_SECONDS = 60.0

# SQLite's primary result codes that say the store, not the statement, is at fault.
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


class Database:
    """An open, migrated store. Thread-safe; made by `Database.open`."""

    def __init__(self, engine: sa.Engine, path: Path, busy_timeout_ms: int) -> None:
        self._readers = engine
        self._writers = engine.execution_options(immediate=True)
        self._path = path
        self._identity = _identity(path)
        self._write_lock = threading.Lock()
        self._write_timeout = busy_timeout_ms / 1000

    @classmethod
    def open(
        cls, url_or_path: str | Path, *, durability: Durability = "normal", busy_timeout_ms: int = 5000
    ) -> Database:
        """Open the store, creating and migrating it as needed.

        Raises StoreTooNew for a store of a newer version, StorageUnavailable when it cannot be opened or written, and
        ValueError for an address that names no SQLite file.
        """
        path = _sqlite_path(url_or_path)
        with _failures_translated():
            _create_private(path)
            engine = _sqlite_engine(path, durability, busy_timeout_ms)
            try:
                database = cls(engine, path, busy_timeout_ms)
                database._migrate()
            except BaseException:
                engine.dispose()
                raise
        return database

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one snapshot and never waits for writers. Raises StorageUnavailable."""
        with _failures_translated(), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """The one write transaction; commits on leaving, rolls back on an exception.

        Raises StorageUnavailable when the store cannot be written or stays locked for longer than the busy timeout, and
        Conflict for what a constraint refuses.
        """
        # Writers of this process queue here: SQLite waits by polling, and a busy recorder would starve the others.
        if not self._write_lock.acquire(timeout=self._write_timeout):
            raise _unavailable("it is busy")
        try:
            if not self._in_place():
                raise _unavailable("its file was moved or deleted; restart the server")
            with _failures_translated(), self._writers.begin() as connection:
                yield connection
        finally:
            self._write_lock.release()

    def obstacle(self) -> str | None:
        """Why a write would not succeed, as far as the file system tells without one; None when nothing is known."""
        try:
            if not self._in_place():
                return "The interaction store's file was moved or deleted; restart the server."
            free = shutil.disk_usage(self._path.parent).free
        except StorageUnavailable as error:
            return error.message
        except OSError as error:
            return f"The interaction store's directory cannot be read: {error.strerror}."
        if free < FREE_SPACE_FLOOR:
            return f"The data volume has {free >> 20} MiB free; {FREE_SPACE_FLOOR >> 20} MiB are kept in reserve."
        return None

    def probe(self) -> None:
        """Write something that changes nothing. Raises StorageUnavailable when that fails."""
        with self.write() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = version_num"))

    def close(self) -> None:
        self._readers.dispose()

    def _in_place(self) -> bool:
        # SQLite goes on writing into a deleted file, and the commits would be lost with the last connection.
        try:
            return _identity(self._path) == self._identity
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unavailable(f"its file cannot be looked at ({error.strerror})") from error

    def _migrate(self) -> None:
        lock = filelock.FileLock(f"{self._path}.migration-lock", timeout=_MIGRATION_LOCK_SECONDS, mode=0o600)
        try:
            with lock:
                self._migrate_locked()
        except filelock.Timeout as error:
            raise _unavailable("another process has been migrating it for a minute") from error

    def _migrate_locked(self) -> None:
        _use_wal(self._path, self._write_timeout)
        with self.read() as connection:
            revision = migrations.current_revision(connection)
            is_new = not sa.inspect(connection).get_table_names()
        if revision == migrations.HEAD:
            return
        migrations.check_known(revision)
        if not is_new:
            _back_up(self._path, revision)
        with self.write() as connection:
            migrations.upgrade(connection)


@contextmanager
def duplicates_refused(message: str) -> Iterator[None]:
    """Turns a violated constraint into Conflict(message)."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(message) from error


class _MessageTexts(FunctionElement[str]):
    name = "message_texts"
    inherit_cache = True


def message_texts(messages: sa.ColumnElement[Any]) -> sa.TableValuedAlias:
    """A table with one column `text`: what is said in a column of messages, a row per message or part of one."""
    return _MessageTexts(messages).table_valued("text")


@compiles(_MessageTexts, "sqlite")
def _message_texts_in_sqlite(element: _MessageTexts, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    return f"(SELECT atom AS text FROM json_tree({column}) WHERE key IN ('content', 'text') AND type = 'text')"


@compiles(_MessageTexts, "postgresql")
def _message_texts_in_postgresql(element: _MessageTexts, compiler: Any, **options: Any) -> str:
    column = compiler.process(element.clauses, **options)
    # PostgreSQL's JSON types refuse a NUL, which JSON allows.
    messages = f"CAST(replace({column}, '\\u0000', ' ') AS jsonb)"
    whole = f"jsonb_path_query({messages}, '$[*].content ? (@.type() == \"string\")')"
    part = f"jsonb_path_query({messages}, '$[*].content[*].text')"
    return f"(SELECT said #>> '{{}}' AS text FROM (SELECT {whole} AS said UNION ALL SELECT {part}) AS found)"


def _unavailable(reason: str) -> StorageUnavailable:
    return StorageUnavailable(f"The interaction store cannot be used: {reason}.")


@contextmanager
def _failures_translated() -> Iterator[None]:
    """SQLAlchemy's and SQLite's errors end here; what remains of them above the store is a defect."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict("The change contradicts what is stored.") from error
    except PoolTimeout as error:
        raise _unavailable("all its connections are in use") from error
    except (DBAPIError, sqlite3.Error) as error:
        code = getattr(getattr(error, "orig", error), "sqlite_errorcode", 0)
        # The low byte is the primary code, the rest says more exactly what failed.
        reason = _OUTAGES.get(code & 0xFF)
        if reason is None:
            raise
        raise _unavailable(reason) from error


def _sqlite_path(url_or_path: str | Path) -> Path:
    if isinstance(url_or_path, Path) or "://" not in url_or_path:
        return Path(url_or_path).absolute()
    url = sa.make_url(url_or_path)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise ValueError(
            f"The store must be a SQLite file, given as a path or as sqlite:///path, not {url.render_as_string()}"
        )
    return Path(url.database).absolute()


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _create_private(path: Path) -> None:
    """Only the server's user may read prompts. SQLite gives the files it adds the mode of this one."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise _unavailable(f"{path} cannot be opened ({error.strerror})") from error


def _use_wal(path: Path, timeout: float) -> None:
    """Write-ahead logging: readers and the writer do not block each other, and a commit is one sequential write.

    The mode stays in the file. It is set under the migration lock because SQLite does not wait for other connections
    when it changes.
    """
    with closing(sqlite3.connect(path, timeout=timeout, isolation_level=None)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise _unavailable("its file system does not support shared memory; put the data directory on a local disk")


def _sqlite_engine(path: Path, durability: Durability, busy_timeout_ms: int) -> sa.Engine:
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


def _back_up(path: Path, revision: str | None) -> None:
    """Copy the store to `<name>.backup-<revision>-<epoch ms>` beside it; only a complete copy gets that name."""
    target = path.with_name(f"{path.name}.backup-{revision or 'unversioned'}-{now_ms()}")
    partial = target.with_name(f"{target.name}.partial")
    os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(partial)) as copy:
        source.backup(copy)
    os.replace(partial, target)
