from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.store import Connection, Database, Recorder, interactions, record_queue, recorder
from adaptive_engine.types import Interaction, InteractionState, Project, uuid7
from unit.store.conftest import ForeignLock, writing_stopped

Make = Callable[..., Interaction]


@pytest.fixture
def recording(database: Database, project: Project) -> Iterator[Recorder]:
    recorder = Recorder(database)
    recorder.start()
    yield recorder
    recorder.close()


def done(row: Interaction, text: str = "Hello", state: InteractionState = "complete") -> Interaction:
    return replace(row, state=state, completion=text)


def states(database: Database, *ids: UUID) -> list[str | None]:
    with database.read() as connection:
        found = [interactions.get(connection, None, interaction_id) for interaction_id in ids]
    return [item.interaction.state if item else None for item in found]


@pytest.fixture
def troubled(impatient: Database, project: Project, foreign_lock: ForeignLock) -> Iterator[Recorder]:
    """A recorder whose store is locked by `foreign_lock`, and does not wait long for it."""
    recorder = Recorder(impatient)
    recorder.start()
    yield recorder
    recorder.close()


async def test_finish_returns_once_it_is_stored(database: Database, recording: Recorder, make: Make) -> None:
    row = make(labels={"env": "prod"})
    recording.begin([row])
    await recording.finish([done(row)])
    with database.read() as connection:
        found = interactions.get(connection, None, row.id)
    assert found is not None
    assert found.interaction == done(row)
    assert recording.problem is None


async def test_a_finish_without_begin_is_stored(database: Database, recording: Recorder, make: Make) -> None:
    row = make()
    await recording.finish([done(row)])
    assert states(database, row.id) == ["complete"]


async def test_an_answer_that_is_quick_is_written_once(
    database: Database, recording: Recorder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(interactions, "insert", lambda _, rows, *__: written.extend(row.state for row in rows))
    monkeypatch.setattr(record_queue, "BEGIN_WAIT", 60)
    row = make()
    recording.begin([row])
    await recording.finish([done(row)])
    assert written == ["complete"]
    assert recording.stats.pending == 0


@pytest.mark.parametrize("others_wait", [False, True])
async def test_what_goes_on_is_stored_as_pending_by_itself(
    database: Database, recording: Recorder, make: Make, monkeypatch: pytest.MonkeyPatch, others_wait: bool
) -> None:
    if others_wait:
        recording.begin([make()])
    monkeypatch.setattr(record_queue, "BEGIN_WAIT", 0.001)
    row = make()
    recording.begin([row])
    async with asyncio.timeout(5):
        while states(database, row.id) == [None]:  # noqa: ASYNC110 - nobody is told when a row that begins is stored
            await asyncio.sleep(0.005)
    assert states(database, row.id) == ["pending"]
    await recording.finish([done(row)])
    assert states(database, row.id) == ["complete"]


async def test_finishing_twice_changes_nothing(database: Database, recording: Recorder, make: Make) -> None:
    row = make()
    recording.begin([row])
    await asyncio.gather(recording.finish([done(row)]), recording.finish([done(row, state="error")]))
    await recording.finish([done(row, state="cancelled")])
    assert states(database, row.id) == ["complete"]


async def test_what_arrives_during_a_commit_shares_the_next(
    database: Database, recording: Recorder, make: Make
) -> None:
    rows = [make() for _ in range(200)]
    with writing_stopped(database):
        # The recorder waits for this transaction as it would for its own commit.
        for row in rows:
            recording.begin([row])
        waiting = asyncio.gather(*(recording.finish([done(row)]) for row in rows))
        await asyncio.sleep(0)
    await waiting
    assert states(database, *(row.id for row in rows)) == ["complete"] * 200
    assert recording.stats.committed == 200
    assert recording.stats.pending == 0
    assert recording.stats.transactions <= 3
    assert recording.stats.last_commit_ms is not None


async def test_a_cancelled_caller_does_not_cancel_the_commit(
    database: Database, recording: Recorder, make: Make
) -> None:
    row = make()
    with writing_stopped(database):
        task = asyncio.create_task(recording.finish([done(row)]))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await recording.finish([])
    assert states(database, row.id) == ["complete"]


async def test_one_bad_row_fails_alone(database: Database, recording: Recorder, make: Make) -> None:
    good = [make() for _ in range(3)]
    stranger = make(project_id=uuid7())
    unstorable = make(choice_index=2**80)
    with writing_stopped(database):
        for row in (*good, stranger):
            recording.begin([row])
        rows = [good[0], stranger, good[1], unstorable, good[2]]
        waiting = asyncio.gather(*(recording.finish([done(row)]) for row in rows), return_exceptions=True)
        await asyncio.sleep(0)
    results = await waiting
    assert [type(result) for result in results] == [
        type(None),
        StorageUnavailable,
        type(None),
        StorageUnavailable,
        type(None),
    ]
    assert states(database, *(row.id for row in rows)) == ["complete", None, "complete", None, "complete"]
    assert (recording.stats.committed, recording.stats.failed) == (3, 2)
    assert recording.problem is None


async def test_a_foreign_lock_fails_the_request_and_heals(
    database: Database, troubled: Recorder, make: Make, foreign_lock: ForeignLock
) -> None:
    row, later = make(), make()
    with pytest.raises(StorageUnavailable):
        await troubled.finish([done(row)])
    assert "lock" in str(troubled.problem)
    with pytest.raises(StorageUnavailable):
        troubled.begin([later])
    assert (troubled.stats.failed, troubled.stats.unsaved) == (1, 1)

    foreign_lock.rollback()
    await troubled.finish([done(later)])
    assert troubled.problem is None
    # What could not be written is written as soon as something else could.
    await troubled.finish([])
    assert states(database, row.id, later.id) == ["complete", "complete"]
    assert troubled.stats.unsaved == 0


async def test_who_comes_during_a_try_does_not_wait_for_another(
    database: Database, troubled: Recorder, make: Make, foreign_lock: ForeignLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0
    write = troubled._write

    def counting(*args: Any, **options: Any) -> None:
        nonlocal tries
        tries += 1
        write(*args, **options)

    monkeypatch.setattr(recorder, "RETRY_PAUSES", ())
    monkeypatch.setattr(recorder, "BATCH_ROWS", 1)
    monkeypatch.setattr(troubled, "_write", counting)
    rows = [make() for _ in range(5)]
    troubled.begin(rows)
    waiting = [troubled.finish([done(row)]) for row in rows]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {StorageUnavailable}
    assert tries == 1
    assert (troubled.stats.pending, troubled.stats.unsaved) == (0, 5)
    foreign_lock.rollback()
    await troubled.finish([])
    await troubled.finish([])
    assert states(database, *(row.id for row in rows)) == ["complete"] * 5


async def test_another_outcome_of_a_failed_row_is_kept_and_counted_once(
    database: Database, troubled: Recorder, make: Make, foreign_lock: ForeignLock
) -> None:
    row = make()
    for state in ("complete", "error"):
        with pytest.raises(StorageUnavailable):
            await troubled.finish([done(row, state=state)])
    assert (troubled.stats.failed, troubled.stats.unsaved) == (1, 1)

    foreign_lock.rollback()
    await troubled.finish([])
    await troubled.finish([])
    assert states(database, row.id) == ["complete"]
    assert (troubled.stats.committed, troubled.stats.unsaved) == (1, 0)


async def test_another_outcome_that_is_stored_replaces_the_one_kept(
    database: Database, troubled: Recorder, make: Make, foreign_lock: ForeignLock
) -> None:
    row = make()
    with pytest.raises(StorageUnavailable):
        await troubled.finish([done(row)])
    foreign_lock.rollback()
    await troubled.finish([done(row, state="error")])
    await troubled.finish([])
    assert states(database, row.id) == ["error"]
    assert (troubled.stats.failed, troubled.stats.committed, troubled.stats.unsaved) == (1, 1, 0)


async def test_what_was_kept_is_written_after_a_batch_with_a_bad_row(
    database: Database, troubled: Recorder, make: Make, foreign_lock: ForeignLock
) -> None:
    kept, good, stranger = make(), make(), make(project_id=uuid7())
    with pytest.raises(StorageUnavailable):
        await troubled.finish([done(kept)])
    foreign_lock.rollback()
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await troubled.finish([done(good), done(stranger)])
    assert states(database, kept.id, good.id) == ["complete", "complete"]
    assert (troubled.stats.failed, troubled.stats.unsaved, troubled.stats.lost) == (2, 0, 1)


async def test_what_there_is_no_room_for_is_counted_as_lost(
    troubled: Recorder, make: Make, foreign_lock: ForeignLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "UNSAVED_ROWS", 1)
    kept, lost = make(), make()
    for row in (kept, lost, lost):
        with pytest.raises(StorageUnavailable):
            await troubled.finish([done(row)])
    assert (troubled.stats.failed, troubled.stats.unsaved, troubled.stats.lost) == (2, 1, 1)
    foreign_lock.rollback()
    await troubled.finish([])
    await troubled.finish([])
    assert (troubled.stats.unsaved, troubled.stats.lost) == (0, 1)


async def test_commits_are_counted(recording: Recorder, make: Make) -> None:
    await recording.finish([done(make()), done(make(), state="length")])
    await recording.finish([done(make())])
    stats = recording.stats
    assert stats.by_state == {"complete": 2, "length": 1}
    assert stats.commit_seconds.count == stats.transactions == 2
    assert stats.last_commit_ms is not None
    assert stats.commit_seconds.total * 1000 > stats.last_commit_ms


async def test_an_idle_recorder_heals_by_itself(
    troubled: Recorder, make: Make, foreign_lock: ForeignLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "PROBE_INTERVAL", 0.01)
    with pytest.raises(StorageUnavailable):
        await troubled.finish([done(make())])
    foreign_lock.rollback()
    async with asyncio.timeout(5):
        while troubled.problem is not None:  # noqa: ASYNC110 - nobody is told when a recorder has healed
            await asyncio.sleep(0.005)


async def test_a_short_outage_is_retried(
    database: Database, make: Make, monkeypatch: pytest.MonkeyPatch, recording: Recorder
) -> None:
    write_rows = recorder._write_rows
    outages = iter([True, True])

    def fail_twice(*args: object) -> None:
        if next(outages, False):
            raise StorageUnavailable("out")
        write_rows(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(recorder, "_write_rows", fail_twice)
    monkeypatch.setattr(recorder, "RETRY_PAUSES", (0.0, 0.0))
    row = make()
    await recording.finish([done(row)])
    assert states(database, row.id) == ["complete"]
    assert recording.stats.failed == 0


async def test_the_queue_is_bounded_and_leaves_room_to_finish(
    database: Database, recording: Recorder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "QUEUE_ROWS", 8)
    begun = [make() for _ in range(4)]
    with writing_stopped(database):
        with pytest.raises(StorageUnavailable, match="Too many"):
            recording.begin([*begun, make()])
        recording.begin(begun)
        accepted = asyncio.create_task(recording.finish([done(row) for row in begun]))
        await asyncio.sleep(0)
        with pytest.raises(StorageUnavailable, match="Too many"):
            await recording.finish([make()] * 9)
    await accepted


async def test_close_writes_what_waits(database: Database, make: Make) -> None:
    recorder = Recorder(database)
    recorder.start()
    row, left = make(), make()
    with writing_stopped(database):
        waiting = asyncio.create_task(recorder.finish([done(row)]))
        await asyncio.sleep(0)
        recorder.begin([left])
    await asyncio.to_thread(recorder.close)
    await waiting
    assert states(database, row.id, left.id) == ["complete", "pending"]
    assert "not running" in str(recorder.problem)
    with pytest.raises(StorageUnavailable):
        recorder.begin([make()])
    with pytest.raises(StorageUnavailable):
        await recorder.finish([make()])
    recorder.close()


async def test_close_does_not_wait_for_a_store_that_is_down(
    troubled: Recorder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BATCH_ROWS", 1)
    waiting = [asyncio.create_task(troubled.finish([done(make())])) for _ in range(50)]
    await asyncio.sleep(0)
    # One wait for the lock, not fifty.
    await asyncio.wait_for(asyncio.to_thread(troubled.close), 2)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {StorageUnavailable}


async def test_an_outage_amid_bad_rows_keeps_the_rest_for_later(
    database: Database, recording: Recorder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([ValueError("batch"), ValueError("first row"), StorageUnavailable("out")])

    def fail(*_args: object) -> None:
        raise next(failures)

    rows = [make() for _ in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(recorder, "_write_rows", fail)
        with pytest.raises(StorageUnavailable, match="out"):
            await recording.finish([done(row) for row in rows])
    assert (recording.stats.unsaved, recording.stats.lost) == (3, 0)
    # The first call finds the store well again, the second comes after what was kept.
    await recording.finish([])
    await recording.finish([])
    assert states(database, *(row.id for row in rows)) == ["complete"] * 3


def test_loops_in_other_threads_may_finish(database: Database, recording: Recorder, make: Make) -> None:
    rows = [make() for _ in range(4)]
    threads = [threading.Thread(target=asyncio.run, args=(recording.finish([done(row)]),)) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert states(database, *(row.id for row in rows)) == ["complete"] * 4


CHILD = """
import asyncio, resource, sys
from uuid import UUID
from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.store import Database, Recorder
from adaptive_engine.types import Interaction, now_ms, uuid7

path, project_id, limit = sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3])
database = Database.open(path)
recorder = Recorder(database)
recorder.start()

def row(state, text=""):
    return Interaction(uuid7(), project_id, uuid7(), [], state, "LIVE", now_ms(), completion=text)

async def client():
    while True:
        one = row("complete", "x" * 2000)
        await recorder.finish([one])
        print(one.id, flush=True)
"""

KILLED = (
    CHILD
    + """
async def main():
    await asyncio.gather(*(client() for _ in range(16)))

asyncio.run(main())
"""
)


def spawn(code: str, address: str, project_id: UUID, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, address, str(project_id), str(limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_kill_9_loses_nothing_that_was_acknowledged(database: Database, address: str, make: Make) -> None:
    child = spawn(KILLED, address, make().project_id)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline() for _ in range(300)]
    os.kill(child.pid, signal.SIGKILL)
    # What it printed before it died counts too, except for a line cut short.
    rest, _ = child.communicate()
    acknowledged += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    ids = [UUID(line.strip()) for line in acknowledged]
    assert states(database, *ids) == ["complete"] * len(ids)


async def test_a_commit_that_was_only_not_heard_of_is_not_repeated(
    database: Database, recording: Recorder, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks when the rows are stored already."""
    append = database.append
    broken = iter([True])

    @contextmanager
    def deaf() -> Iterator[Connection]:
        with append() as connection:
            yield connection
        if next(broken, False):
            raise StorageUnavailable("out")

    monkeypatch.setattr(database, "append", deaf)
    monkeypatch.setattr(recorder, "RETRY_PAUSES", (0.0,))
    rows = [make(labels={"n": "1"}) for _ in range(3)]
    with writing_stopped(database):
        recording.begin(rows)
        waiting = asyncio.create_task(recording.finish([done(row) for row in rows]))
        await asyncio.sleep(0)
    await waiting
    assert states(database, *(row.id for row in rows)) == ["complete"] * 3
    assert recording.stats.failed == 0
