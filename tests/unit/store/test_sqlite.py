"""The store in a SQLite file."""

from __future__ import annotations

import errno
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
import sqlalchemy as sa

from adaptive_engine.errors import InvalidRequest, StorageUnavailable
from adaptive_engine.store import Database, Durability, Recorder, projects, recorder, sqlite
from adaptive_engine.types import Interaction, Project, now_ms, uuid7
from unit.store.test_recorder import CHILD, done, spawn, states

Make = Callable[..., Interaction]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


@pytest.fixture
def address(path: Path) -> str:
    return str(path)


def new_project(key: str = "support") -> Project:
    return Project(uuid7(), key, "Support", "", now_ms())


def pragma(database: Database, name: str) -> object:
    with database.read() as connection:
        return connection.scalar(sa.text(f"PRAGMA {name}"))


def test_only_the_owner_can_read_the_files(database: Database, project: Project, path: Path) -> None:
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm", "store.db.migration-lock"), 0o600)


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_durability_chooses_when_to_sync(path: Path, durability: Durability, synchronous: int) -> None:
    database = Database.open(path, durability=durability)
    assert pragma(database, "synchronous") == synchronous
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "busy_timeout") == 5000
    database.close()


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


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:////tmp/store.db"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
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

    monkeypatch.setattr(sqlite, "_identity", refuse)
    assert "Permission denied" in str(database.obstacle())
    with pytest.raises(StorageUnavailable, match="Permission denied"):
        database.probe()


def free(_directory: str, bytes_: int) -> SimpleNamespace:
    return SimpleNamespace(free=bytes_)


def test_little_free_space_is_an_obstacle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Database.open(path, min_free_bytes=1000)) as database:
        monkeypatch.setattr(shutil, "disk_usage", partial(free, bytes_=999))
        assert "kept in reserve" in str(database.obstacle())
        monkeypatch.setattr(shutil, "disk_usage", partial(free, bytes_=1000))
        assert database.obstacle() is None


@pytest.fixture
def recording(path: Path, project: Project) -> Iterator[Recorder]:
    with closing(Database.open(path, min_free_bytes=1)) as database:
        recorder = Recorder(database)
        recorder.start()
        yield recorder
        recorder.close()


async def test_too_little_free_space_refuses_before_generation(
    recording: Recorder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LOOK_INTERVAL", 0)
    row = make()
    recording.begin([row])
    monkeypatch.setattr(shutil, "disk_usage", partial(free, bytes_=0))
    with pytest.raises(StorageUnavailable, match="reserve"):
        recording.begin([make()])
    # The reserve is for those who were admitted before.
    await recording.finish([done(row)])
    monkeypatch.undo()
    recording.begin([make()])


async def test_requests_in_quick_succession_share_a_look_at_the_volume(
    recording: Recorder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "LOOK_INTERVAL", 3600)
    recording.begin([make()])
    monkeypatch.setattr(shutil, "disk_usage", partial(free, bytes_=0))
    recording.begin([make()])
    assert recording.problem is not None
    monkeypatch.setattr(recorder, "LOOK_INTERVAL", 0)
    with pytest.raises(StorageUnavailable, match="reserve"):
        recording.begin([make()])


LIMITED = (
    CHILD
    + """
async def main():
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        await client()
    except StorageUnavailable:
        assert recorder.problem, "the recorder does not know"
    try:
        recorder.begin([row("pending")])
    except StorageUnavailable:
        pass
    else:
        raise AssertionError("begin was not refused")
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    last = row("complete")
    await recorder.finish([last])
    print(last.id)
    assert recorder.problem is None, recorder.problem

asyncio.run(main())
recorder.close()
database.close()
"""
)


def test_a_full_disk_refuses_then_heals(database: Database, path: Path, make: Make) -> None:
    child = spawn(LIMITED, str(path), make().project_id, limit=800_000)
    output, errors = child.communicate(timeout=20)
    assert child.returncode == 0, errors
    ids = [UUID(line) for line in output.split()]
    assert len(ids) > 10
    assert states(database, *ids) == ["complete"] * len(ids)
