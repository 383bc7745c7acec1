"""What requests are routed by is seconds old at most, and nobody waits for a store that does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager

import pytest

from adaptive_engine.errors import NotFound, StorageUnavailable
from adaptive_engine.permissions import ALL
from adaptive_engine.services import routing
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Connection, Database, projects
from adaptive_engine.types import Principal, Project, uuid7

ADMIN = Principal("key", ALL)


def add(database: Database, key: str) -> None:
    with database.write() as connection:
        projects.create(connection, Project(uuid7(), key, key, "", 0))


def keys(found: Iterable[Project]) -> set[str]:
    return {project.key for project in found}


@pytest.fixture(autouse=True)
def always_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_FRESH_SECONDS", -1.0)


async def test_what_another_process_adds_is_found(database: Database) -> None:
    current = Routing(database)
    add(database, "new")
    await current.renew()
    assert keys(current.projects(ADMIN)) == {"new"}


async def test_others_go_on_while_one_waits_for_the_store(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    add(database, "old")
    current = Routing(database)
    add(database, "new")
    asked, answers, load = threading.Event(), threading.Event(), current._load

    def wait_and_load() -> object:
        asked.set()
        assert answers.wait(10)
        return load()

    monkeypatch.setattr(current, "_load", wait_and_load)
    waiting = asyncio.create_task(current.renew())
    await asyncio.to_thread(asked.wait, 10)
    await current.renew()
    assert keys(current.projects(ADMIN)) == {"old"}
    answers.set()
    await waiting
    assert keys(current.projects(ADMIN)) == {"old", "new"}


async def test_what_the_store_said_last_counts_while_it_is_down(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    add(database, "old")
    current = Routing(database)
    add(database, "new")
    asked = 0

    def broken() -> object:
        nonlocal asked
        asked += 1
        raise StorageUnavailable("down")

    with monkeypatch.context() as outage:
        outage.setattr(current, "_load", broken)
        outage.setattr(routing, "_OUTAGE_PAUSE", -1.0)
        for _ in range(2):
            await current.renew()
        outage.setattr(routing, "_OUTAGE_PAUSE", 60.0)
        for _ in range(2):
            await current.renew()
        assert keys(current.projects(ADMIN)) == {"old"}
        assert asked == 3, "it is left alone for a moment"
        assert len(caplog.records) == 1
    current._old_at = 0.0
    await current.renew()
    assert keys(current.projects(ADMIN)) == {"old", "new"}


async def test_others_go_on_while_one_asks_for_an_unknown_campaign(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_FRESH_SECONDS", 60.0)
    add(database, "support")
    current = Routing(database)
    asked, answers, read = threading.Event(), threading.Event(), database.read

    def wait_and_read() -> AbstractContextManager[Connection]:
        asked.set()
        assert answers.wait(10)
        return read()

    monkeypatch.setattr(database, "read", wait_and_read)
    waiting = asyncio.create_task(current.campaign(ADMIN, "support", "nobody"))
    await asyncio.to_thread(asked.wait, 10)
    assert keys(current.projects(ADMIN)) == {"support"}
    answers.set()
    with pytest.raises(NotFound, match="no A/B test 'nobody'"):
        await waiting
