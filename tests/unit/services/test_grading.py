from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import structlog

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services import graders
from adaptive_engine.services.grading import GraderQueue, Grading
from adaptive_engine.services.referee import Referee
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Database, Recorder, judgements
from adaptive_engine.types import Interaction, Judge, Project, now_ms, uuid7
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
