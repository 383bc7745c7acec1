"""Pictures of interactions, on both databases."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
import sqlalchemy as sa

from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.store import Database, Recorder, images, interactions, projects, recorder
from adaptive_engine.store.tables import images as table
from adaptive_engine.types import Interaction, Project, StoredImage, now_ms, uuid7
from unit.store.conftest import ForeignLock

Make = Callable[..., Interaction]

CAT = StoredImage("ca7.png", "image/png", 2, 1, b"cat \0\xff")
DOG = StoredImage("d06.jpg", "image/jpeg", 3, 4, b"dog")


def store(database: Database, *rows: Interaction) -> None:
    with database.write() as connection:
        interactions.insert(connection, rows)


def delete(database: Database, *ids: UUID) -> int:
    with database.write() as connection:
        return interactions.delete(connection, ids)


def stored(database: Database, project: Project) -> set[str]:
    with database.read() as connection:
        return set(connection.scalars(sa.select(table.c.name).where(table.c.project_id == project.id)))


def test_a_picture_is_read_as_it_was_stored(database: Database, project: Project, make: Make) -> None:
    store(database, make(images=(CAT, DOG)))
    with database.read() as connection:
        assert images.get(connection, project.id, CAT.name) == CAT
        assert images.get(connection, project.id, DOG.name) == DOG
        assert images.get(connection, project.id, "other.png") is None
        assert images.get(connection, uuid7(), CAT.name) is None


def test_each_is_stored_once_for_a_project(database: Database, project: Project, make: Make) -> None:
    other = Project(uuid7(), "other", "", "", now_ms())
    with database.write() as connection:
        projects.create(connection, other)
    store(database, make(images=(CAT,)), make(images=(CAT,)))
    store(database, make(images=(CAT,)), make(images=(CAT,), project_id=other.id))
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 2


def test_it_goes_with_the_last_interaction_that_has_it(database: Database, project: Project, make: Make) -> None:
    first, second = make(images=(CAT, DOG), state="complete"), make(images=(CAT,), state="complete")
    store(database, first, second)
    assert delete(database, first.id) == 1
    assert stored(database, project) == {CAT.name}
    assert delete(database, second.id) == 1
    assert stored(database, project) == set()
    store(database, replace(first, id=uuid7()))
    assert stored(database, project) == {CAT.name, DOG.name}


def test_those_of_a_pending_interaction_stay(database: Database, project: Project, make: Make) -> None:
    row = make(images=(CAT,))
    store(database, row)
    assert delete(database, row.id) == 0
    assert stored(database, project) == {CAT.name}


async def test_they_are_recorded_with_their_interaction(database: Database, project: Project, make: Make) -> None:
    row = make(images=(CAT,))
    recording = Recorder(database)
    recording.start()
    try:
        recording.begin([row])
        await recording.finish([replace(row, state="complete", completion="A cat")])
        # One whose beginning was lost is written with its end.
        await recording.finish([make(images=(DOG,), state="complete")])
    finally:
        recording.close()
    assert stored(database, project) == {CAT.name, DOG.name}
    assert delete(database, row.id) == 1
    assert stored(database, project) == {DOG.name}


def test_deleting_and_storing_at_the_same_time_loses_none(database: Database, project: Project, make: Make) -> None:
    rounds = 12
    old = [make(images=(CAT,), state="complete") for _ in range(rounds)]
    new = [make(images=(CAT,), state="complete") for _ in range(rounds)]
    recording = Recorder(database)
    recording.start()
    together = threading.Barrier(2)

    async def record(row: Interaction) -> None:
        await recording.finish([row])

    def store_new() -> None:
        for row in new:
            together.wait(10)
            asyncio.run(record(row))

    writer = threading.Thread(target=store_new)
    try:
        store(database, old[0])
        writer.start()
        for at in range(rounds):
            together.wait(10)
            delete(database, old[at].id, *[row.id for row in new[: at - 1]])
            with database.read() as connection:
                having = images.used_by(connection, [row.id for row in (*old, *new)])
                assert (images.get(connection, project.id, CAT.name) is not None) == bool(having)
            if at + 1 < rounds:
                store(database, old[at + 1])
    finally:
        writer.join()
        recording.close()
    assert stored(database, project) == {CAT.name}
    delete(database, *[row.id for row in new])
    assert stored(database, project) == set()


async def test_an_outage_keeps_no_more_pictures_than_fit(
    impatient: Database, project: Project, make: Make, foreign_lock: ForeignLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "UNSAVED_IMAGE_BYTES", 10)
    recording = Recorder(impatient)
    recording.start()
    try:
        for row in (make(images=(CAT,)), make(images=(DOG,)), make(images=(CAT,)), make()):
            with pytest.raises(StorageUnavailable):
                await recording.finish([replace(row, state="complete")])
        assert recording.stats.unsaved == 3
    finally:
        foreign_lock.rollback()
        recording.close()
    assert stored(impatient, project) == {CAT.name, DOG.name}
