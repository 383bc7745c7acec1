from __future__ import annotations

import errno
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from adaptive_engine.errors import Conflict, StorageUnavailable
from adaptive_engine.store import Database, StoreTooNew, migrations, projects
from adaptive_engine.store import database as database_module
from adaptive_engine.store.tables import metadata
from adaptive_engine.types import Project, now_ms, uuid7


def new_project(key: str = "support") -> Project:
    return Project(uuid7(), key, "Support", "", now_ms())


def pragma(database: Database, name: str) -> object:
    with database.read() as connection:
        return connection.scalar(sa.text(f"PRAGMA {name}"))


def test_migrations_make_the_tables_of_the_code(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "adaptive_engine.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_data_survives_reopening(database: Database, project: Project, path: Path) -> None:
    database.close()
    again = Database.open(f"sqlite:///{path}")
    with again.read() as connection:
        assert projects.list_all(connection) == [project]
    again.close()
    assert not list(path.parent.glob("*.backup-*"))


def test_only_the_owner_can_read_the_files(database: Database, project: Project, path: Path) -> None:
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm", "store.db.migration-lock"), 0o600)


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_durability_chooses_when_to_sync(path: Path, durability: database_module.Durability, synchronous: int) -> None:
    database = Database.open(path, durability=durability)
    assert pragma(database, "synchronous") == synchronous
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "busy_timeout") == 5000
    database.close()


def test_a_newer_store_is_refused_and_left_alone(database: Database, path: Path) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(StoreTooNew, match=r"revision 9999.*newer version"):
        Database.open(path)
    with closing(sqlite3.connect(path)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_an_older_store_is_backed_up_before_it_is_migrated(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("CREATE TABLE keepsake (note)")
        raw.execute("INSERT INTO keepsake VALUES ('old')")
    Database.open(path).close()
    (backup,) = path.parent.glob("store.db.backup-unversioned-*")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(backup)) as raw:
        assert raw.execute("SELECT name, (SELECT note FROM keepsake) FROM sqlite_schema").fetchall() == [
            ("keepsake", "old")
        ]


def test_a_failing_migration_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = migrations.upgrade

    def crash(connection: sa.Connection) -> None:
        upgrade(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "upgrade", crash)
    with pytest.raises(KeyboardInterrupt):
        Database.open(path)
    monkeypatch.undo()
    database = Database.open(path)
    with database.read() as connection:
        assert migrations.current_revision(connection) == migrations.HEAD
    database.close()


def test_processes_that_open_at_once_migrate_once(path: Path) -> None:
    code = (
        "import sys; from adaptive_engine.store import Database; sys.stdin.read(); Database.open(sys.argv[1]).close()"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    # The end of their input lets them all go.
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
    results = [(child.communicate()[1], child.returncode) for child in children]
    assert results == [(b"", 0)] * 3
    assert not list(path.parent.glob("*.backup-*"))


@pytest.mark.parametrize("url", ["postgresql://host/db", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="SQLite file"):
        Database.open(url)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StorageUnavailable, match="not a database"):
        Database.open(path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        Database.open(tmp_path / "file" / "store.db")


def test_write_rolls_back_on_an_exception(database: Database) -> None:
    def create_and_fail() -> None:
        with database.write() as connection:
            projects.create(connection, new_project())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        create_and_fail()
    with database.read() as connection:
        assert projects.list_all(connection) == []


def test_a_reader_sees_one_snapshot_and_does_not_wait(database: Database, project: Project) -> None:
    with database.read() as reader:
        assert len(projects.list_all(reader)) == 1
        with database.write() as writer:
            projects.create(writer, new_project("second"))
        assert len(projects.list_all(reader)) == 1


def test_a_foreign_lock_is_an_outage_without_details(impatient: Database, foreign_lock: sqlite3.Connection) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        impatient.probe()
    assert "database is locked" not in caught.value.message
    foreign_lock.rollback()
    impatient.probe()


def test_writers_of_one_process_take_turns(impatient: Database) -> None:
    with impatient.write(), ThreadPoolExecutor(1) as pool, pytest.raises(StorageUnavailable, match="busy"):
        pool.submit(impatient.probe).result()


def create_with_pragma(database: Database, pragma: str, project: Project) -> None:
    with database.write() as connection:
        connection.execute(sa.text(f"PRAGMA {pragma}"))
        projects.create(connection, project)


def test_a_full_database_is_an_outage(database: Database) -> None:
    big = Project(uuid7(), "big", "x" * 2**20, "", 0)
    with pytest.raises(StorageUnavailable, match="full"):
        create_with_pragma(database, "max_page_count = 60", big)


def test_a_read_only_database_is_an_outage(database: Database) -> None:
    with pytest.raises(StorageUnavailable, match="read-only"):
        create_with_pragma(database, "query_only = ON", new_project())


def test_a_deleted_database_is_an_outage_not_a_loss(database: Database, path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    assert "moved or deleted" in str(database.obstacle())
    with pytest.raises(StorageUnavailable, match="moved or deleted"):
        database.probe()
    path.with_name("elsewhere").rename(path)
    assert database.obstacle() is None
    database.probe()


def test_a_file_that_cannot_be_looked_at_is_an_outage(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(database_module, "_identity", refuse)
    assert "Permission denied" in str(database.obstacle())
    with pytest.raises(StorageUnavailable, match="Permission denied"):
        database.probe()


def test_little_free_space_is_an_obstacle(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_module, "FREE_SPACE_FLOOR", 2**62)
    assert "kept in reserve" in str(database.obstacle())


def test_a_broken_constraint_is_a_conflict(database: Database) -> None:
    row = {"project": uuid7().hex, "key": "k"}
    with pytest.raises(Conflict), database.write() as connection:
        connection.execute(
            sa.text("INSERT INTO metrics VALUES ('m', :project, :key, 'n', 'SCALAR', 'HIGHER_IS_BETTER', '', '', 0)"),
            row,
        )
