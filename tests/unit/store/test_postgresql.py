"""The store in PostgreSQL: what only it can do, and what can only happen to it."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing

import psycopg
import pytest
import sqlalchemy as sa

from adaptive_engine.errors import InvalidRequest, StorageUnavailable
from adaptive_engine.store import Database, Durability, PoolOptions, migrations, projects
from adaptive_engine.types import Project, now_ms, uuid7
from postgres import TEMPLATE, PostgresServer
from unit.store.conftest import conninfo


@pytest.fixture
def address(postgres_url: str) -> str:
    return postgres_url


def new_project(key: str = "support") -> Project:
    return Project(uuid7(), key, "Support", "", now_ms())


def show(database: Database, setting: str) -> object:
    with database.append() as connection:
        return connection.scalar(sa.text(f"SHOW {setting}"))


@pytest.mark.parametrize(
    "url",
    [
        "mysql://localhost/db",
        "postgresql://localhost",
        "postgres ql://localhost/db",
        "postgresql://h:port/db",
        "http://x/y",
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Database.open(url.replace("//", "//ann:very-secret@"))
    assert "postgresql://USER:PASSWORD@HOST/DATABASE" in caught.value.message
    assert "very-secret" not in caught.value.message


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_is_understood(address: str, scheme: str) -> None:
    with closing(Database.open(address.replace("postgresql+psycopg", scheme))) as database:
        database.probe()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (("host=", "host=/nowhere"), "there is no connection to PostgreSQL"),
        (("postgres@", "nobody-here@"), "refuses the user or the password"),
        (("/test_", "/no_such_"), "has no such database"),
        (("?", "?sslmod=require&"), "sslmod"),
    ],
)
def test_what_cannot_be_reached_says_why(address: str, wrong: tuple[str, str], reason: str) -> None:
    with pytest.raises(StorageUnavailable, match=reason) as caught:
        Database.open(address.replace(*wrong).replace("@", ":very-secret@"))
    assert "ADAPTIVE_DB__URL" in caught.value.message
    assert "very-secret" not in caught.value.message


def test_a_missing_driver_names_the_extra(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidRequest, match=r"pip install 'adaptive-engine\[server,postgresql\]'"):
        Database.open(address)


def test_a_database_of_another_encoding_is_refused(postgres: PostgresServer) -> None:
    postgres.run("CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII'", "ascii")
    with pytest.raises(StorageUnavailable, match="encoding SQL_ASCII"):
        Database.open(postgres.url("ascii"))
    postgres.run("DROP DATABASE {}", "ascii")


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", "local"), ("full", "on")])
def test_sessions_are_set_up(address: str, durability: Durability, synchronous: str) -> None:
    pool = PoolOptions(statement_timeout_ms=12_000)
    with closing(Database.open(address, durability=durability, busy_timeout_ms=3000, pool=pool)) as database:
        assert show(database, "synchronous_commit") == synchronous
        assert show(database, "statement_timeout") == "12s"
        assert show(database, "lock_timeout") == "3s"
        assert show(database, "idle_in_transaction_session_timeout") == "1min"
        assert show(database, "transaction_isolation") == "read committed"
        with database.read() as connection:
            assert connection.scalar(sa.text("SHOW transaction_isolation")) == "repeatable read"
            assert connection.scalar(sa.text("SHOW transaction_read_only")) == "on"


def test_text_is_sorted_as_in_sqlite(database: Database) -> None:
    keys = ["a", "B", "é", "z", "Z", "_"]
    with database.write() as connection:
        for key in keys:
            projects.create(connection, new_project(key))
        assert [project.key for project in projects.list_all(connection)] == sorted(keys)
        other = connection.scalar(
            sa.text(
                "SELECT count(*) FROM pg_attribute JOIN pg_class c ON c.oid = attrelid JOIN pg_collation l "
                "ON l.oid = attcollation WHERE relkind = 'r' AND atttypid = 'text'::regtype AND attnum > 0 "
                "AND relnamespace = 'public'::regnamespace AND collname <> 'C'"
            )
        )
        assert other == 0


def test_an_upgrade_says_who_makes_backups(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.database(TEMPLATE) as url:
        monkeypatch.setattr(migrations, "HEAD", "0006")
        with closing(Database.open(url)):
            pass
    assert "backups of it are yours" in caplog.text


def test_an_append_waits_for_no_writer(database: Database) -> None:
    with database.write(), ThreadPoolExecutor(1) as pool:
        pool.submit(database.probe).result()


def test_a_writer_of_another_server_is_waited_for_and_then_an_outage(database: Database, address: str) -> None:
    with closing(Database.open(address, busy_timeout_ms=50)) as other, database.write():
        waiting = other.write()
        with pytest.raises(StorageUnavailable, match="lock"):
            waiting.__enter__()


def test_too_few_connections_are_an_outage(address: str) -> None:
    with closing(Database.open(address, busy_timeout_ms=50, pool=PoolOptions(size=1))) as database:
        with database.read(), pytest.raises(StorageUnavailable, match="all its connections"), database.read():
            pass
        database.probe()


def test_a_statement_that_takes_too_long_is_an_outage(address: str) -> None:
    with closing(Database.open(address, pool=PoolOptions(statement_timeout_ms=20))) as database:
        with pytest.raises(StorageUnavailable, match="too long"), database.read() as connection:
            connection.execute(sa.text("SELECT pg_sleep(10)"))
        database.probe()


def test_a_standby_is_read_only(address: str) -> None:
    with closing(psycopg.connect(conninfo(address), autocommit=True)) as operator:
        operator.execute(f"ALTER DATABASE {operator.info.dbname} SET default_transaction_read_only = on")
    with closing(Database.open(address)) as database, pytest.raises(StorageUnavailable, match="read-only"):
        database.probe()


def test_a_user_who_may_not_make_tables_is_told(postgres: PostgresServer) -> None:
    postgres.run("DROP ROLE IF EXISTS {}", "guest")
    postgres.run("CREATE ROLE {} LOGIN", "guest")
    with postgres.database() as url, pytest.raises(StorageUnavailable, match="lacks a permission"):
        Database.open(url.replace("postgres@", "guest@"))
    postgres.run("DROP ROLE {}", "guest")


def test_transactions_in_each_others_way_are_an_outage(database: Database) -> None:
    with database.write() as connection:
        for key in ("a", "b"):
            projects.create(connection, new_project(key))
    both_have_one = threading.Barrier(2)

    def change(first: str, second: str, using: AbstractContextManager[sa.Connection]) -> None:
        rename = sa.text("UPDATE projects SET name = 'x' WHERE key = :key")
        with using as connection:
            connection.execute(rename, {"key": first})
            both_have_one.wait(10)
            connection.execute(rename, {"key": second})

    with ThreadPoolExecutor(2) as pool:
        results = [
            pool.submit(change, "a", "b", database.append()),
            pool.submit(change, "b", "a", database.write()),
        ]
        failures = [result.exception() for result in results]
    (failure,) = filter(None, failures)
    assert isinstance(failure, StorageUnavailable)
    assert "each other's way" in failure.message


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A server that the other tests do not miss when it is down, of an older version."""
    server = PostgresServer(16)
    try:
        server.create()
        yield server
    finally:
        server.destroy()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_a_restart_heals_without_one_of_ours(own: PostgresServer, how: signal.Signals) -> None:
    with own.database() as url, closing(Database.open(url)) as database:
        with database.write() as connection:
            projects.create(connection, new_project())
        own.stop(how)
        for use in (database.read, database.write, database.append):
            with pytest.raises(StorageUnavailable, match="PostgreSQL"), use():
                pass
        own.start()
        with database.read() as connection:
            assert len(projects.list_all(connection)) == 1
        database.probe()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_a_transaction_that_is_cut_off_is_an_outage(own: PostgresServer, how: signal.Signals) -> None:
    def write_and_restart(database: Database) -> None:
        with database.write() as connection:
            projects.create(connection, new_project())
            own.stop(how)
            own.start()

    with own.database() as url, closing(Database.open(url)) as database:
        with pytest.raises(StorageUnavailable):
            write_and_restart(database)
        with database.read() as connection:
            assert projects.list_all(connection) == []
