"""What every database does alike."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from adaptive_engine.errors import Conflict, StorageUnavailable
from adaptive_engine.store import Database, StoreTooNew, migrations, projects
from adaptive_engine.store.tables import metadata
from adaptive_engine.types import Project, now_ms, uuid7
from unit.store.conftest import ForeignLock


def new_project(key: str = "support") -> Project:
    return Project(uuid7(), key, "Support", "", now_ms())


def test_migrations_make_the_tables_of_the_code(database: Database) -> None:
    with database.read() as connection:

        def belongs(item: object, *_: object) -> bool:
            """Alembic takes no notice of what `ddl_if` leaves to other databases."""
            only = isinstance(item, sa.Index) and item._ddl_if
            return not only or only.dialect == connection.dialect.name

        context = MigrationContext.configure(connection, opts={"include_object": belongs})
        assert compare_metadata(context, metadata) == []


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "adaptive_engine.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_data_survives_reopening(database: Database, project: Project, address: str) -> None:
    database.close()
    again = Database.open(address)
    with again.read() as connection:
        assert projects.list_all(connection) == [project]
    again.close()


def test_a_newer_store_is_refused_and_left_alone(database: Database, address: str) -> None:
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreTooNew, match=r"revision 9999.*newer version"):
        Database.open(address)
    with database.read() as connection:
        assert migrations.current_revision(connection) == "9999"


def test_a_failing_migration_leaves_nothing_behind(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = migrations.upgrade

    def crash(connection: sa.Connection) -> None:
        upgrade(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(migrations, "upgrade", crash)
    with pytest.raises(KeyboardInterrupt):
        Database.open(empty)
    monkeypatch.undo()
    database = Database.open(empty)
    with database.read() as connection:
        assert migrations.current_revision(connection) == migrations.HEAD
    database.close()


def test_processes_that_open_at_once_migrate_once(empty: str) -> None:
    code = (
        "import sys; from adaptive_engine.store import Database; sys.stdin.read(); Database.open(sys.argv[1]).close()"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, empty], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    # The end of their input lets them all go.
    for child in children:
        assert child.stdin is not None
        child.stdin.close()
        child.stdin = None
    results = [(child.communicate()[1], child.returncode) for child in children]
    assert results == [(b"", 0)] * 3


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


def test_a_foreign_lock_is_an_outage_without_details(impatient: Database, foreign_lock: ForeignLock) -> None:
    with pytest.raises(StorageUnavailable) as caught:
        impatient.probe()
    assert "database is locked" not in caught.value.message
    foreign_lock.rollback()
    impatient.probe()


def enter_and_leave(database: Database) -> None:
    with database.write():
        pass


def test_writers_of_one_process_take_turns(impatient: Database) -> None:
    with impatient.write(), ThreadPoolExecutor(1) as pool, pytest.raises(StorageUnavailable, match="busy"):
        pool.submit(enter_and_leave, impatient).result()


def test_a_broken_constraint_is_a_conflict(database: Database) -> None:
    row = {
        "id": uuid7(),
        "project_id": uuid7(),
        "metric_id": uuid7(),
        "session_id": uuid7(),
        "value": 1,
        "created_at": 0,
    }
    with pytest.raises(Conflict), database.write() as connection:
        connection.execute(metadata.tables["outcomes"].insert().values(row))


def test_what_a_writer_has_read_no_other_changes(database: Database, address: str) -> None:
    """Each looks first and writes then; two processes are two Databases."""
    others = [database, *(Database.open(address) for _ in range(3))]

    def ensure(one: Database) -> bool:
        with one.write() as connection:
            if projects.get_by_key(connection, "shared") is not None:
                return False
            projects.create(connection, new_project("shared"))
            return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(ensure, others * 4))
    assert made.count(True) == 1
    for other in others[1:]:
        other.close()


def test_a_database_of_another_program_is_left_alone(empty: str) -> None:
    Database.open(empty).close()
    database = Database.open(empty)
    with database.write() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
    database.close()
    with pytest.raises(StorageUnavailable, match="another program"):
        Database.open(empty)
