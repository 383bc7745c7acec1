from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from adaptive_engine.store import Database, graders, interactions, judgements, metrics, projects
from adaptive_engine.store.judgements import Backfill, Progress, Task
from adaptive_engine.types import Grader, Interaction, Judge, JudgeExample, Metric, Project, now_ms, uuid7

LEASE = 60_000


@pytest.fixture
def grader(database: Database, project: Project) -> Grader:
    metric = Metric(uuid7(), project.id, "polite", "polite", "BOOL", "HIGHER_IS_BETTER", "", None, now_ms(), "GRADER")
    judge = Judge("smollm2", "Polite.", (1, 5), "{{ completion }}", (JudgeExample("a", "b", 3),))
    grader = Grader(uuid7(), project.id, "polite", "Polite", metric.id, judge, 0.5, True, now_ms())
    with database.write() as connection:
        metrics.create(connection, metric)
        graders.create(connection, grader)
    return grader


@pytest.fixture
def ids(database: Database, make: Callable[..., Interaction]) -> list[UUID]:
    """Three interactions, the oldest first, and one that was cancelled."""
    rows = [make(state="complete", created_at=1000 + at, model_key=f"m{at}", completion="x") for at in range(3)]
    with database.write() as connection:
        interactions.insert(connection, [*rows, make(state="cancelled")])
    return [row.id for row in rows]


def test_a_grader_is_read_as_it_was_written(database: Database, project: Project, grader: Grader) -> None:
    with database.read() as connection:
        assert graders.get_by_key(connection, project.id, "polite") == grader
        assert graders.list_for_project(connection, project.id) == [grader]
        assert graders.list_sampling(connection, [project.id]) == [(grader.id, project.id, 0.5)]


def test_each_interaction_is_queued_once(database: Database, grader: Grader, ids: list[UUID]) -> None:
    with database.write() as connection:
        assert judgements.add(connection, grader.id, ids[:2]) == 2
        assert judgements.add(connection, grader.id, ids) == 1
        assert judgements.progress(connection, [grader.id]) == {grader.id: Progress(3, 0, 0, 0, None)}


def test_a_grader_that_is_gone_costs_no_other_its_work(database: Database, grader: Grader, ids: list[UUID]) -> None:
    with database.write() as connection:
        assert judgements.add(connection, grader.id, ids[:1]) == 1
        assert judgements.add(connection, uuid7(), ids) == 0
        assert judgements.add(connection, grader.id, ids) == 2
    with database.read() as connection:
        assert judgements.progress(connection, [grader.id])[grader.id].pending == 3


def test_what_is_taken_is_nobody_elses_until_its_lease_ends(
    database: Database, grader: Grader, ids: list[UUID]
) -> None:
    with database.write() as connection:
        judgements.add(connection, grader.id, ids)
        first = judgements.take(connection, 2, LEASE)
        assert len(first) == 2
        assert [task.interaction_id for task in judgements.take(connection, 9, -1)] == [
            found for found in ids if found not in {task.interaction_id for task in first}
        ]
        again = judgements.take(connection, 9, LEASE)
        assert [task.tries for task in again] == [2]
        assert not judgements.any_due(connection)


def test_nothing_is_taken_of_a_grader_that_rests(
    database: Database, project: Project, grader: Grader, ids: list[UUID]
) -> None:
    with database.write() as connection:
        judgements.add(connection, grader.id, ids)
        assert judgements.take(connection, 9, LEASE, [grader.id]) == []
        for resting, archived_at in ((True, None), (False, now_ms())):
            graders.update(connection, replace(grader, enabled=not resting))
            projects.update(connection, replace(project, archived_at=archived_at))
            assert not judgements.any_due(connection)
            assert judgements.take(connection, 9, LEASE) == []
        projects.update(connection, project)
        assert len(judgements.take(connection, 9, LEASE)) == 3


def test_the_first_of_two_judgements_counts(database: Database, grader: Grader, ids: list[UUID]) -> None:
    with database.write() as connection:
        judgements.add(connection, grader.id, ids[:1])
        (task,) = judgements.take(connection, 1, LEASE)
        assert judgements.finish(connection, task, "done", verdict="PASS")
        assert not judgements.finish(connection, task, "failed", error="late")
        assert judgements.progress(connection, [grader.id])[grader.id] == Progress(0, 0, 1, 0, None)


def test_what_could_not_be_judged_says_why_and_comes_again(database: Database, grader: Grader, ids: list[UUID]) -> None:
    with database.write() as connection:
        judgements.add(connection, grader.id, ids[:1])
        (task,) = judgements.take(connection, 1, LEASE)
        judgements.give_back(connection, task, now_ms(), "The model is offline.", counts=False)
        assert judgements.progress(connection, [grader.id])[grader.id] == Progress(1, 0, 0, 0, "The model is offline.")
        assert judgements.take(connection, 1, LEASE) == [Task(grader.id, ids[0], 1)]


def test_a_backfill_takes_the_newest_that_have_an_answer(
    database: Database, project: Project, grader: Grader, ids: list[UUID]
) -> None:
    with database.write() as connection:
        assert judgements.backfill(connection, grader.id, project.id, Backfill(limit=1)) == 1
        (task,) = judgements.take(connection, 9, LEASE)
        assert task.interaction_id == ids[2]
        judgements.finish(connection, task, "done")
        assert judgements.backfill(connection, grader.id, project.id, Backfill(models=("m0", "m2"))) == 1
        assert judgements.backfill(connection, grader.id, project.id, Backfill(created_from=1001, created_to=1002)) == 1
        assert judgements.backfill(connection, grader.id, project.id, Backfill()) == 0
        assert judgements.backfill(connection, grader.id, project.id, Backfill(again=True)) == 1
        assert judgements.cancel(connection, grader.id) == 3


def test_deleting_an_interaction_or_a_grader_takes_its_judgements_along(
    database: Database, grader: Grader, ids: list[UUID]
) -> None:
    from adaptive_engine.store.tables import interactions as table

    with database.write() as connection:
        judgements.add(connection, grader.id, ids)
        connection.execute(table.delete().where(table.c.id == ids[0]))
        assert judgements.progress(connection, [grader.id])[grader.id].pending == 2
        graders.delete(connection, grader.id)
        assert not judgements.any_due(connection)
