"""A store of every earlier version is migrated with all that is in it, on each database."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from adaptive_engine.store import Database, migrations
from adaptive_engine.store.columns import Json
from adaptive_engine.store.tables import metadata

EARLIER = [f"{number:04}" for number in range(1, int(migrations.HEAD))]

Rows = dict[str, list[dict[str, Any]]]


@contextmanager
def version_of(revision: str) -> Iterator[None]:
    """Within it `Database.open` does what the version with that newest revision did."""

    def upgrade(connection: sa.Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", "adaptive_engine.store:migrations")
        config.set_main_option("path_separator", "os")
        command.upgrade(config, revision)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "HEAD", revision)
        patch.setattr(migrations, "upgrade", upgrade)
        yield


def fill(connection: sa.Connection) -> Rows:
    """Two rows in each table that there is: one with every column set, one with those only that must be."""
    found = sa.MetaData()
    found.reflect(connection)
    rows: Rows = {}
    for table in found.sorted_tables:
        if table.name == "alembic_version":
            continue
        rows[table.name] = [{column.name: value(column, n, rows) for column in table.columns} for n in range(2)]
        connection.execute(table.insert(), rows[table.name])
    return rows


def value(column: sa.Column[Any], n: int, rows: Rows) -> Any:
    for reference in column.foreign_keys:
        return rows[reference.column.table.name][n][reference.column.name]
    if n and column.nullable:
        return None
    if isinstance(column.type, sa.Uuid):
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{column} {n}")
    if isinstance(column.type, sa.CHAR):
        # What SQLite knows of a UUID.
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{column} {n}").hex
    if isinstance(column.type, sa.Boolean):
        return n == 0
    if isinstance(column.type, sa.Integer | sa.BigInteger):
        return 1_700_000_000_000 + n if isinstance(column.type, sa.BigInteger) else n
    if isinstance(column.type, sa.Float):
        return n + 0.125
    if isinstance(column.type, sa.LargeBinary):
        return bytes(range(256))
    now = metadata.tables[str(column.table)].columns[column.name]
    if isinstance(now.type, Json):
        return orjson.dumps({"text": 'naïve "quotes"\n', "n": n}).decode()
    return f"{column.name} {n}: naïve 'quotes'\n"


def stored(connection: sa.Connection, table: str, columns: dict[str, Any]) -> list[dict[str, Any]]:
    found = sa.Table(table, sa.MetaData(), autoload_with=connection)
    chosen = [found.columns[name] for name in columns]
    return [dict(row) for row in connection.execute(sa.select(*chosen)).mappings()]


@pytest.mark.parametrize("revision", EARLIER)
def test_everything_is_kept(revision: str, empty: str, caplog: pytest.LogCaptureFixture) -> None:
    with version_of(revision), closing(Database.open(empty)) as database, database.write() as connection:
        rows = fill(connection)
    with closing(Database.open(empty)) as database, database.read() as connection:
        assert migrations.current_revision(connection) == migrations.HEAD
        check_kept(connection, rows)
        check_new(connection, revision)
    assert f"migrated from revision {revision}" in caplog.text
    if "://" in empty:
        assert "backups of it are yours" in caplog.text
    else:
        check_backup(Path(empty), revision, rows, caplog.text)


KILLED = """
import sys
from adaptive_engine import failpoints
from adaptive_engine.store import Database
failpoints.install("migration.before_commit=exit")
Database.open(sys.argv[1])
"""


def test_a_migration_that_is_killed_is_done_again(empty: str) -> None:
    with version_of(EARLIER[-1]), closing(Database.open(empty)) as database, database.write() as connection:
        rows = fill(connection)
    assert subprocess.run([sys.executable, "-c", KILLED, empty]).returncode == -signal.SIGKILL
    with closing(Database.open(empty)) as database, database.read() as connection:
        assert migrations.current_revision(connection) == migrations.HEAD
        check_kept(connection, rows)


def check_kept(connection: sa.Connection, rows: Rows) -> None:
    assert len(rows) >= 8
    for name, before in rows.items():
        after = stored(connection, name, before[0])
        assert sorted(after, key=str) == sorted(before, key=str), name
    for table in metadata.sorted_tables:
        # As this version reads it: UUIDs, JSON, text.
        assert len(connection.execute(sa.select(table)).all()) == len(rows.get(table.name, ()))


def check_new(connection: sa.Connection, revision: str) -> None:
    tables = metadata.tables
    labels, interactions = tables["labels"].c, tables["interactions"].c
    assert set(connection.scalars(sa.select(tables["api_keys"].c.limits))) == {None}
    if revision < "0004":
        assert set(connection.scalars(sa.select(tables["models"].c.external))) == {None}
    if revision < "0003":
        assert set(connection.scalars(sa.select(tables["metrics"].c.category))) == {"USER"}
        assert set(connection.scalars(sa.select(tables["scores"].c.source))) == {"USER"}
        of_both = sa.select(labels.project_id, labels.created_at, interactions.project_id, interactions.created_at)
        for row in connection.execute(of_both.where(labels.interaction_id == interactions.id)):
            assert row[:2] == row[2:]


def check_backup(path: Path, revision: str, rows: Rows, said: str) -> None:
    (backup,) = path.parent.glob(f"store.db.backup-{revision}-*")
    assert str(backup) in said
    with closing(sqlite3.connect(backup)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)]
        assert raw.execute("SELECT completion FROM interactions ORDER BY choice_index").fetchall() == [
            (row["completion"],) for row in rows["interactions"]
        ]
    # In the place of the store, it is one that the earlier version goes on with.
    with version_of(revision), closing(Database.open(backup)) as database:
        database.probe()
