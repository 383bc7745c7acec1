from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import structlog
from structlog.testing import capture_logs

from adaptive_engine.errors import InvalidRequest, StorageUnavailable
from adaptive_engine.services import graders
from adaptive_engine.services.grading import MAX_TRIES, GraderQueue, Grading
from adaptive_engine.services.referee import Referee
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Database, Recorder, judgements
from adaptive_engine.store.judgements import Progress
from adaptive_engine.types import Delta, Interaction, Judge, Project, now_ms, uuid7
from unit.services.platform import fill, store_answer


class Silent:
    """A model that is asked and does not answer."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    async def start(self, *_: Any, **__: Any) -> None:
        self.asked.set()
        await asyncio.Event().wait()


def test_a_store_that_is_busy_does_not_hold_up_the_end(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database.open(path, busy_timeout_ms=50)
    project = fill(database)
    row = store_answer(database, project, "a", completion="Hello.")
    with database.write() as connection:
        grader = graders.create(connection, project.id, "polite", Judge("a", "Polite.")).grader
        graders.enqueue(connection, [row])
    routing, model = Routing(database), Silent()
    completions: Any = model
    grading = Grading(database, routing, completions, Referee(database, routing), GraderQueue())
    grading.start()
    assert model.asked.wait(10)
    with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        grading.close()
        assert time.monotonic() - began < 3
    with database.read() as connection:
        assert graders.get(connection, project.id, grader.key).progress.running == 1
    database.close()


class Refusing:
    """A model that can take no judge's prompt."""

    def __init__(self, times: int) -> None:
        self.asked = threading.Event()
        self.logged: list[str] = []
        self._times = times

    async def start(self, *_: Any, **__: Any) -> None:
        self.logged.append(structlog.contextvars.get_contextvars()["request_id"])
        if len(self.logged) == self._times:
            self.asked.set()
        raise InvalidRequest("It is too long.")


def test_judgements_are_counted_and_logged_apart(database: Database) -> None:
    project = fill(database)
    rows = [store_answer(database, project, "a", completion="Hello.") for _ in range(2)]
    with database.write() as connection:
        graders.create(connection, project.id, "polite", Judge("a", "Polite."))
        graders.enqueue(connection, rows)
        assert (judgements.count_open(connection), judgements.count_open(connection, most=1)) == (2, 1)
    routing, model = Routing(database), Refusing(2)
    completions: Any = model
    grading = Grading(database, routing, completions, Referee(database, routing), GraderQueue())
    grading.start()
    assert model.asked.wait(10)
    grading.close()
    assert grading.outcomes == {"failed": 2}
    assert sorted(model.logged) == sorted(f"judgement-{row.id}" for row in rows)


class Saying:
    """A model that answers what it is told to, once for each judgement."""

    def __init__(self, *answers: str) -> None:
        self.asked = 0
        self._answers = answers

    async def start(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        return Said(self._answers[(self.asked - 1) % len(self._answers)])


class Said:
    def __init__(self, text: str) -> None:
        self.choices = [SimpleNamespace(text=text)]

    async def deltas(self) -> AsyncIterator[tuple[Any, Delta]]:
        yield self.choices[0], Delta("", "stop")


def queue(database: Database, project: Project, count: int) -> str:
    """A grader that has so many answers to judge."""
    rows = [store_answer(database, project, "a", completion="Hello.") for _ in range(count)]
    with database.write() as connection:
        key = graders.create(connection, project.id, "polite", Judge("a", "Polite.")).grader.key
        graders.enqueue(connection, rows)
    return key


@contextmanager
def at_work(database: Database, model: Any) -> Iterator[Grading]:
    routing = Routing(database)
    grading = Grading(database, routing, model, Referee(database, routing), GraderQueue())
    grading.start()
    try:
        yield grading
    finally:
        grading.close()


def judged(database: Database, project: Project, key: str, count: int) -> Progress:
    """How far it is when it has done, or failed at, so many."""
    deadline = time.monotonic() + 10
    while True:
        with database.read() as connection:
            progress = graders.get(connection, project.id, key).progress
        if progress.done + progress.failed >= count:
            return progress
        assert time.monotonic() < deadline, progress
        time.sleep(0.01)


@pytest.mark.parametrize("answer", ['{"reasoning":5,"score":"PASS"}', "It is polite."])
def test_an_answer_that_is_no_judgement_fails_at_once_and_stops_no_other(database: Database, answer: str) -> None:
    project = fill(database)
    key = queue(database, project, 4)
    model = Saying(answer, '{"reasoning":"so","score":"PASS"}')
    with at_work(database, model):
        progress = judged(database, project, key, 4)
    assert (progress.done, progress.failed, progress.running, model.asked) == (2, 2, 0, 4)
    assert progress.problem is not None
    assert "does not match what it was asked for" in progress.problem
    assert answer in progress.problem


def test_what_cannot_be_saved_is_not_asked_for_without_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaptive_engine.services.grading._PAUSE_MS", 0)
    monkeypatch.setattr("adaptive_engine.services.grading.scores.add", Mock(side_effect=RuntimeError("broken")))
    project = fill(database)
    key = queue(database, project, 1)
    model = Saying('{"reasoning":"so","score":"PASS"}')
    with at_work(database, model) as grading:
        progress = judged(database, project, key, 1)
    assert (progress.failed, model.asked) == (1, MAX_TRIES)
    assert progress.problem == "The judgement failed; see the server's log."
    assert grading.outcomes == {"postponed": MAX_TRIES - 1, "failed": 1}


def test_what_ends_its_server_each_time_is_given_up(database: Database) -> None:
    project = fill(database)
    key = queue(database, project, 1)
    for _ in range(MAX_TRIES):
        with database.write() as connection:
            assert judgements.take(connection, 1, lease_ms=-1)
    model = Saying('{"reasoning":"so","score":"PASS"}')
    with at_work(database, model):
        progress = judged(database, project, key, 1)
    assert (progress.failed, model.asked) == (1, 0)
    assert progress.problem is not None
    assert "begun 3 times" in progress.problem


def test_one_that_cannot_be_written_leaves_no_other_running(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = fill(database)
    key = queue(database, project, 2)
    finish, failed = judgements.finish, threading.Event()

    def failing(*args: Any, **options: Any) -> bool:
        if not failed.is_set():
            failed.set()
            raise StorageUnavailable("It is busy.")
        time.sleep(0.1)
        return finish(*args, **options)

    monkeypatch.setattr("adaptive_engine.services.grading.judgements.finish", failing)
    with capture_logs() as logged, at_work(database, Saying('{"reasoning":"so","score":"PASS"}')):
        progress = judged(database, project, key, 1)
        assert (progress.done, progress.running) == (1, 1)
        time.sleep(0.2)
    assert [entry["event"] for entry in logged] == ["graders cannot work now"]


async def test_only_what_is_queued_wakes_the_graders(database: Database, project: Project) -> None:
    woken = []
    queue = GraderQueue()
    queue.on_queued = lambda: woken.append(True)
    recorder = Recorder(database, follower=queue)
    recorder.start()

    async def answer(to: Project, state: Any = "complete") -> None:
        question = [{"role": "user", "content": "hi"}]
        await recorder.finish([Interaction(uuid7(), to.id, uuid7(), question, state, "LIVE", now_ms())])

    try:
        await answer(project)
        with database.write() as connection:
            graders.create(connection, project.id, "polite", Judge("a", "Polite."))
        await answer(project, "cancelled")
        await answer(fill(database, "stranger"))
        assert woken == []
        await answer(project)
    finally:
        recorder.close()
    assert woken == [True]
