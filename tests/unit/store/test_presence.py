"""What a server that died has left is closed by others, and what a living one runs is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from adaptive_engine.store import Database, Presence, interactions, postgresql, presence
from adaptive_engine.types import Interaction, uuid7

Make = Callable[..., Interaction]


def begin(database: Database, row: Interaction, server_id: UUID | None) -> Interaction:
    with database.write() as connection:
        interactions.insert(connection, [row], server_id)
    return row


def state(database: Database, row: Interaction) -> str:
    with database.read() as connection:
        found = interactions.get(connection, None, row.id)
    assert found is not None
    return found.interaction.state


@pytest.fixture
def starting(database: Database) -> Iterator[Presence]:
    starting = Presence(database)
    yield starting
    starting.close()


def test_what_is_left_is_aborted_at_the_start(database: Database, starting: Presence, make: Make) -> None:
    left = [begin(database, make(), server_id) for server_id in (uuid7(), None)]
    own = begin(database, make(), starting.server_id)
    starting.start()
    assert [state(database, row) for row in left] == ["aborted", "aborted"]
    assert state(database, own) == "pending"


def test_a_start_without_anything_left(database: Database, starting: Presence) -> None:
    starting.start()


class TestSeveralWorkers:
    """Of one server, on one file."""

    @pytest.fixture
    def address(self, tmp_path: Path) -> str:
        return str(tmp_path / "shared.db")

    def test_one_that_lives_keeps_its_rows(
        self, database: Database, starting: Presence, make: Make, address: str
    ) -> None:
        with closing(Database.open(address)) as theirs:
            other = Presence(theirs)
            other.start()
            row = begin(database, make(), other.server_id)
            starting.start()
            assert state(database, row) == "pending"
        assert len(list(Path(address).parent.glob("*.worker"))) == 1

    def test_what_one_that_died_has_left_is_aborted_by_the_next(
        self, database: Database, starting: Presence, make: Make, address: str
    ) -> None:
        dead = uuid7()
        row = begin(database, make(), dead)
        # As the kernel leaves it: the file is there and its lock is gone.
        left = Path(f"{address}.{dead}.worker")
        left.touch()
        starting.start()
        assert state(database, row) == "aborted"
        assert not left.exists()


SHOWN = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = {postgresql._SERVERS}"


def show(database: Database, query: str) -> list[object]:
    with database.read() as connection:
        return list(connection.exec_driver_sql(query).scalars())


class TestSeveralServers:
    """Only PostgreSQL has them."""

    @pytest.fixture
    def address(self, postgres_url: str) -> str:
        return postgres_url

    @pytest.fixture(autouse=True)
    def hurry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(presence, "LOOK_SECONDS", 0.02)
        monkeypatch.setattr(presence, "RETURN_SECONDS", 0.02)

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not reached():
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def test_one_that_lives_keeps_its_rows(
        self, database: Database, starting: Presence, make: Make, address: str
    ) -> None:
        with closing(Database.open(address)) as theirs, closing(Presence(theirs)) as other:
            other.start()
            row = begin(database, make(), other.server_id)
            starting.start()
            assert state(database, row) == "pending"

    def test_one_that_dies_is_noticed(self, database: Database, starting: Presence, make: Make, address: str) -> None:
        with closing(Database.open(address)) as theirs:
            other = Presence(theirs)
            other.start()
            row = begin(database, make(), other.server_id)
            starting.start()
            assert state(database, row) == "pending"
            other.close()
        self.until(lambda: state(database, row) == "aborted")

    def test_one_that_loses_its_connection_comes_back(
        self, database: Database, starting: Presence, make: Make, address: str
    ) -> None:
        with closing(Database.open(address)) as theirs, closing(Presence(theirs)) as other:
            other.start()
            (before,) = show(database, SHOWN)
            show(database, f"SELECT pg_terminate_backend({before})")
            self.until(lambda: show(database, SHOWN) not in ([], [before]))
            row = begin(database, make(), other.server_id)
            starting.start()
            assert state(database, row) == "pending"
