"""The store in a PostgreSQL database, which several servers may share."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import ArgumentError, DBAPIError

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.store.driver import Driver, Durability, PoolOptions, unavailable

_log = logging.getLogger(__name__)

_OLDEST = 14
_MIGRATION_LOCK_SECONDS = 60

# Advisory locks are pairs of numbers that everybody who uses the database shares; the first ones are ours.
_LOCKS, _SERVERS = 0x0ADA, 0x0ADB
_MIGRATION, _WRITE = 1, 2

# SQLSTATE codes, or the first two characters of them, that say the store, not the statement, is at fault.
_OUTAGES = {
    "08": "there is no connection to PostgreSQL",
    "57P01": "PostgreSQL is being stopped or restarted",
    "57P02": "PostgreSQL is being stopped or restarted",
    "57P03": "PostgreSQL is starting or stopping",
    "57P05": "PostgreSQL closed a connection that was idle",
    "25P03": "PostgreSQL ended a transaction that was idle for too long",
    "57014": "PostgreSQL took too long for a statement, or was told to cancel it",
    "55P03": "another transaction holds its lock",
    "40001": "transactions got in each other's way; try again",
    "40P01": "transactions got in each other's way; try again",
    "25006": "it is read-only",
    "28": "PostgreSQL refuses the user or the password",
    "3D000": "PostgreSQL has no such database",
    "42501": "PostgreSQL's user lacks a permission",
    "53100": "PostgreSQL's disk is full",
    "53200": "PostgreSQL has no memory left",
    "53300": "PostgreSQL has no connection left",
    "53": "PostgreSQL lacks a resource",
    "58": "PostgreSQL's disk reports an error",
    "XX001": "PostgreSQL's data is damaged",
    "XX002": "PostgreSQL's data is damaged",
}
# A connection that fails has no code, only words; those of an English server tell what the operator should look at.
_REFUSALS = {
    "permission denied": "42501",
    "password authentication failed": "28",
    "no password supplied": "28",
    "no pg_hba.conf entry": "28",
    'role "': "28",
    'database "': "3D000",
    "too many clients": "53300",
    "remaining connection slots": "53300",
    "is starting up": "57P03",
    "is shutting down": "57P03",
    "not yet accepting connections": "57P03",
    "in recovery mode": "57P03",
}


class PostgresqlDriver(Driver):
    """Needs the extra `postgresql`."""

    appends_need_turn = False

    def __init__(self, url: str, durability: Durability, busy_timeout_ms: int, pool: PoolOptions) -> None:
        """Raises InvalidRequest for an address that cannot be one, and when the extra is missing."""
        self._url = _parse(url)
        self._session = _session_settings(durability, busy_timeout_ms, pool)
        self._connect_args = _connect_args(self._url, pool)
        self.write_timeout = busy_timeout_ms / 1000
        self.writers = self._engine(pool.size, self.write_timeout)
        # A page and what belongs to it come from several statements, which must see the same rows.
        self.readers = self.writers.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # For the recorder's thread and the one that claims Idempotency-Keys: they never wait for those who read.
        self.appenders = self._engine(2, self.write_timeout)

    def prepare(self) -> None:
        try:
            with self._autocommit() as connection:
                version = int(connection.scalar(sa.text("SHOW server_version_num")) or 0) // 10_000
                encoding = connection.scalar(sa.text("SHOW server_encoding"))
        except DBAPIError as error:
            reason = self.outage(error) or "PostgreSQL does not take the connection"
            detail = " ".join(str(error.orig).split())
            raise unavailable(f"{reason} ({detail}). Look at ADAPTIVE_DB__URL") from error
        if version < _OLDEST:
            raise unavailable(f"PostgreSQL {_OLDEST} or newer is needed, the server is {version}")
        if encoding != "UTF8":
            raise unavailable(f"its database has the encoding {encoding}; make one with ENCODING 'UTF8'")

    @contextmanager
    def migration_turn(self) -> Iterator[None]:
        with self._autocommit() as connection:
            connection.execute(
                sa.text("SELECT set_config('lock_timeout', :wait, false), set_config('statement_timeout', '0', false)"),
                {"wait": f"{_MIGRATION_LOCK_SECONDS}s"},
            )
            try:
                connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCKS, _MIGRATION)))
            except DBAPIError as error:
                if _code(error) == "55P03":
                    raise unavailable("another process has been migrating it for a minute") from error
                raise
            # Closing the connection frees the lock, also where nobody gets to it.
            yield

    def back_up(self, revision: str | None) -> None:
        if revision is not None:
            _log.warning("the store in PostgreSQL is migrated from revision %s; backups of it are yours", revision)

    @contextmanager
    def migrating(self, connection: Connection) -> Iterator[None]:
        for timeout in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(sa.text(f"SET LOCAL {timeout} = 0"))
        yield
        _sort_by_code_point(connection)

    def take_turn(self, connection: Connection) -> None:
        # A server that is frozen in the middle must not keep all others from writing.
        connection.execute(
            sa.select(
                sa.func.pg_advisory_xact_lock(_LOCKS, _WRITE),
                sa.func.set_config("idle_in_transaction_session_timeout", "10s", True),
            )
        )

    def require_in_place(self) -> None:
        pass

    def obstacle(self) -> str | None:
        return None

    def outage(self, error: Exception) -> str | None:
        if not isinstance(error, DBAPIError):
            return None
        code = _code(error)
        if code is not None and (reason := _OUTAGES.get(code) or _OUTAGES.get(code[:2])):
            return reason
        if error.connection_invalidated:
            return _OUTAGES["08"]
        if code is None and isinstance(error, sa.exc.OperationalError):
            words = str(error.orig)
            return next((_OUTAGES[code] for part, code in _REFUSALS.items() if part in words), _OUTAGES["08"])
        return None

    def enter(self, server_id: UUID) -> Connection | None:
        connection = self.writers.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            # The pool shall neither count it nor take it back.
            connection.detach()
            connection.execute(sa.select(sa.func.pg_advisory_lock(_SERVERS, _number(server_id))))
        except BaseException:
            connection.close()
            raise
        return connection

    def is_gone(self, connection: Connection, server_id: UUID) -> bool:
        return connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_SERVERS, _number(server_id)))) is True

    @contextmanager
    def _autocommit(self) -> Iterator[Connection]:
        """A connection outside the pool, without transactions, closed at the end."""
        with closing(self.writers.connect().execution_options(isolation_level="AUTOCOMMIT")) as connection:
            connection.detach()
            yield connection

    def _engine(self, size: int, timeout: float) -> sa.Engine:
        try:
            engine = sa.create_engine(
                self._url,
                isolation_level="READ COMMITTED",
                pool_size=size,
                max_overflow=0,
                pool_timeout=timeout,
                # One round trip more, so that connections which a restart of PostgreSQL broke are never handed out.
                pool_pre_ping=True,
                # The newest first: the oldest may be closed by whatever lies between when there is little to do.
                pool_use_lifo=True,
                # It would look for a type that we do not use, on each connection.
                use_native_hstore=False,
                # Error messages reach the log, prompts must not.
                hide_parameters=True,
                connect_args=self._connect_args,
            )
        except ImportError as error:
            raise InvalidRequest(
                "The driver for PostgreSQL is not installed: pip install 'adaptive-engine[server,postgresql]'"
            ) from error

        @sa.event.listens_for(engine, "connect")
        def configure(connection: Any, _record: Any) -> None:
            autocommit, connection.autocommit = connection.autocommit, True
            connection.execute(self._session)
            connection.autocommit = autocommit

        return engine


def _parse(url: str) -> sa.URL:
    """`url` with our driver. Raises InvalidRequest, in words that show no password."""
    try:
        parsed = sa.make_url(url)
    except (ArgumentError, ValueError) as error:
        raise InvalidRequest(
            "The database URL cannot be read. Write postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise InvalidRequest(
            f"The database URL begins with '{parsed.drivername}://', which is no database that can be used here. Write "
            "postgresql://USER:PASSWORD@HOST/DATABASE, or leave it out for a SQLite file in the data directory."
        )
    if not parsed.database:
        raise InvalidRequest("The database URL names no database. Write postgresql://USER:PASSWORD@HOST/DATABASE")
    return parsed.set(drivername="postgresql+psycopg")


def _session_settings(durability: Durability, busy_timeout_ms: int, pool: PoolOptions) -> str:
    settings = {
        # `local` is on PostgreSQL's disk, so that neither its crash nor ours loses what was acknowledged; `on` is also
        # on the standbys that it replicates to synchronously, if there are any.
        "synchronous_commit": "on" if durability == "full" else "local",
        "statement_timeout": f"'{pool.statement_timeout_ms}ms'",
        "lock_timeout": f"'{busy_timeout_ms}ms'",
        # What a frozen server or a broken network leaves open holds locks, and keeps old rows from being removed.
        "idle_in_transaction_session_timeout": "'60s'",
        # PostgreSQL's own default notices after two hours that a machine is gone.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
    return "; ".join(f"SET {name} = {value}" for name, value in settings.items())


def _connect_args(url: sa.URL, pool: PoolOptions) -> dict[str, Any]:
    """What the URL does not say itself."""
    wanted = {
        "connect_timeout": pool.connect_timeout_seconds,
        "application_name": "adaptive-engine",
        "client_encoding": "utf8",
        # The same as above, seen from this side.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
    return {name: value for name, value in wanted.items() if name not in url.query}


def _sort_by_code_point(connection: Connection) -> None:
    """Give text columns the order they have in SQLite, whatever language the database was made for. Their indexes then
    also survive an upgrade of the operating system, which may change how a language is sorted.
    """
    quote = connection.dialect.identifier_preparer.quote
    for table in sa.inspect(connection).get_table_names():
        columns = connection.scalars(
            sa.text(
                "SELECT attname FROM pg_attribute JOIN pg_collation c ON c.oid = attcollation "
                "WHERE attrelid = CAST(:name AS regclass) AND attnum > 0 AND NOT attisdropped "
                "AND atttypid = 'text'::regtype AND collname = 'default'"
            ),
            {"name": quote(table)},
        ).all()
        if columns:
            changes = ", ".join(f'ALTER {quote(name)} TYPE text COLLATE "C"' for name in columns)
            connection.execute(sa.text(f"ALTER TABLE {quote(table)} {changes}"))


def _number(server_id: UUID) -> int:
    """The part of an id that fits into an advisory lock; its random end."""
    return int.from_bytes(server_id.bytes[-4:], "big", signed=True)


def _code(error: DBAPIError) -> str | None:
    code: str | None = getattr(error.orig, "sqlstate", None)
    return code
