from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from adaptive_engine.errors import Conflict, InvalidRequest
from adaptive_engine.store import Database, interactions
from adaptive_engine.store.interactions import InteractionFilter
from adaptive_engine.types import Interaction, Model, Project, Usage, uuid7

Make = Callable[..., Interaction]


def insert(database: Database, *rows: Interaction) -> None:
    with database.write() as connection:
        interactions.insert(connection, rows)


def finish(database: Database, *rows: Interaction) -> None:
    with database.write() as connection:
        interactions.finish(connection, rows)


def stored(database: Database, interaction_id: UUID) -> Interaction | None:
    with database.read() as connection:
        found = interactions.get(connection, None, interaction_id)
    return found.interaction if found else None


def listed(database: Database, project: Project, **wanted: Any) -> list[UUID]:
    with database.read() as connection:
        page = interactions.list_page(connection, InteractionFilter(project.id, **wanted), 100)
    return [item.interaction.id for item in page.items]


@contextmanager
def statements_counted() -> Iterator[list[tuple[str, Any]]]:
    """The statements with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.fixture
def done(make: Make, model: Model) -> Interaction:
    """A finished interaction with every field set."""
    return make(
        state="error",
        completion="Hello",
        model_id=model.id,
        model_key=model.key,
        request_id="req-1",
        choice_index=2,
        finish_reason="stop",
        error={"code": "engine_failed", "message": "m"},
        user="ann",
        labels={"env": "prod", "tier": "gold"},
        parameters={"temperature": 0.5},
        usage=Usage(3, 2, 1),
        timings={"ttft_ms": 1.5},
        warnings=[{"code": "c", "message": "m"}],
        prompt_hash="abc",
        completed_at=99,
    )


def test_every_field_is_stored(database: Database, done: Interaction) -> None:
    insert(database, done)
    assert stored(database, done.id) == done


def test_finish_completes_a_pending_row(database: Database, done: Interaction, make: Make) -> None:
    pending = replace(
        done,
        state="pending",
        completion="",
        finish_reason=None,
        error=None,
        usage=Usage(),
        timings={},
        warnings=[],
        completed_at=None,
    )
    insert(database, pending)
    assert stored(database, done.id) == pending
    finish(database, done)
    assert stored(database, done.id) == done


def test_finish_writes_a_missing_row_in_full(database: Database, done: Interaction, make: Make) -> None:
    begun = make()
    insert(database, begun)
    finish(database, replace(begun, state="complete"), done, replace(done, completion="second"))
    assert stored(database, done.id) == done
    assert stored(database, begun.id) == replace(begun, state="complete")


def test_a_second_finish_changes_nothing(database: Database, done: Interaction) -> None:
    finish(database, done)
    finish(database, replace(done, state="complete", completion="other", labels={"env": "dev", "new": "label"}))
    assert stored(database, done.id) == done


def test_finish_of_nothing_is_nothing(database: Database) -> None:
    finish(database)


def test_an_id_is_taken_once(database: Database, done: Interaction) -> None:
    insert(database, done)
    with pytest.raises(Conflict):
        insert(database, done)


def test_pending_rows_of_a_crash_become_aborted(database: Database, done: Interaction, make: Make) -> None:
    dead, alive = uuid7(), uuid7()
    left, older, running = make(completion="partial"), make(), make()
    with database.write() as connection:
        interactions.insert(connection, [left, done], dead)
        interactions.insert(connection, [older])
        interactions.insert(connection, [running], alive)
        assert interactions.servers_with_pending(connection) == {dead, None, alive}
        assert interactions.abort_pending(connection, {dead}) == 1
        assert interactions.abort_pending(connection, {dead}) == 0
        assert interactions.abort_pending(connection, {dead, None}) == 1
        assert interactions.servers_with_pending(connection) == {alive}
    found = stored(database, left.id)
    assert found is not None
    assert (found.state, found.completion, found.completed_at is not None) == ("aborted", "partial", True)
    assert stored(database, done.id) == done
    assert stored(database, running.id) == running


def test_an_outcome_counts_more_than_aborted(database: Database, make: Make) -> None:
    row = make()
    with database.write() as connection:
        interactions.insert(connection, [row], uuid7())
        interactions.abort_pending(connection, interactions.servers_with_pending(connection))
    finish(database, replace(row, state="complete", completion="Hello"))
    finish(database, replace(row, state="error"))
    found = stored(database, row.id)
    assert found is not None
    assert (found.state, found.completion) == ("complete", "Hello")


def test_get_keeps_projects_apart(database: Database, project: Project, done: Interaction) -> None:
    insert(database, done)
    with database.read() as connection:
        assert interactions.get(connection, [uuid7()], done.id) is None
        assert interactions.get(connection, [], done.id) is None
        assert interactions.get(connection, [uuid7(), project.id], done.id) is not None
        assert listed(database, replace(project, id=uuid7())) == []


@pytest.mark.parametrize(
    "text", ["", "a\0b\0", "\0", "\x10", "\x100\x10\0", "line\r\nline", "\U0001f600\u202e", "x" * 10**6]
)
def test_text_is_kept_as_it_is(database: Database, make: Make, text: str) -> None:
    row = make(
        completion=text,
        messages=[{"role": "user", "content": text}],
        labels={("k" + text)[:128]: text},
        user=text[:256],
        error={"message": text},
    )
    insert(database, row)
    assert stored(database, row.id) == row
    assert listed(database, Project(row.project_id, "", "", "", 0), labels=((("k" + text)[:128], (text,)),)) == [row.id]


def test_lone_surrogates_are_replaced(database: Database, make: Make) -> None:
    row = make(completion="a\ud800b", messages=[{"content": ["\udfff", {"\ud800": 1}]}], labels={"k": "\ud83d"})
    insert(database, row)
    found = stored(database, row.id)
    assert found is not None
    assert found.completion == "a\ufffdb"
    assert found.messages == [{"content": ["\ufffd", {"\ufffd": 1}]}]
    assert found.labels == {"k": "\ufffd"}


def test_odd_json_is_stored_readably(database: Database, make: Make) -> None:
    deep: Any = None
    for _ in range(300):
        deep = [deep]
    row = make(messages=[{"metadata": [2**70, 10**400, float("nan"), float("-inf"), True, deep]}])
    insert(database, row)
    found = stored(database, row.id)
    assert found is not None
    assert found.messages == [{"metadata": [float(2**70), None, None, None, True, deep]}]


def test_pages_are_newest_first_and_stable_under_inserts(database: Database, project: Project, make: Make) -> None:
    rows = [make(created_at=1000 + index // 2) for index in range(10)]
    insert(database, *rows)
    expected = [row.id for row in sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)]
    seen: list[UUID] = []
    cursor = None
    for _ in range(4):
        with database.read() as connection:
            page = interactions.list_page(connection, InteractionFilter(project.id), 3, cursor)
        seen += [item.interaction.id for item in page.items]
        cursor = page.next_cursor
        insert(database, make(created_at=2000))
    assert seen == expected
    assert cursor is None


def test_a_full_last_page_has_no_cursor(database: Database, project: Project, make: Make) -> None:
    insert(database, make(), make())
    with database.read() as connection:
        assert interactions.list_page(connection, InteractionFilter(project.id), 2).next_cursor is None


@pytest.mark.parametrize("cursor", ["", "garbage", "AAAA", "é", "A" * 33, "A" * 36])
def test_a_foreign_cursor_is_refused(database: Database, project: Project, cursor: str) -> None:
    with database.read() as connection, pytest.raises(InvalidRequest) as caught:
        interactions.list_page(connection, InteractionFilter(project.id), 1, cursor)
    assert caught.value.param == "after"


def test_plain_filters(database: Database, project: Project, done: Interaction, make: Make) -> None:
    other = make(created_at=done.created_at + 10, model_key="tiny", source="OFFLINE")
    insert(database, done, other)
    assert listed(database, project) == [other.id, done.id]
    assert listed(database, project, models=("tiny",)) == [other.id]
    assert listed(database, project, models=("tiny", "smollm2", "none")) == [other.id, done.id]
    assert listed(database, project, created_from=other.created_at) == [other.id]
    assert listed(database, project, created_to=other.created_at) == [done.id]
    for name in ("session_id", "source", "state", "prompt_hash", "user"):
        assert listed(database, project, **{name: getattr(done, name)}) == [done.id], name
    assert listed(database, project, completion_id=other.id) == [other.id]
    assert listed(database, project, completion_id=other.id, models=("smollm2",)) == []


# Labels with few bearers and with many are found by different means; both must give the same.
@pytest.mark.parametrize("rare", [256, 0])
def test_label_filters(
    database: Database, project: Project, make: Make, monkeypatch: pytest.MonkeyPatch, rare: int
) -> None:
    monkeypatch.setattr(interactions, "_RARE", rare)
    a = make(created_at=1, labels={"env": "prod", "team": "x"})
    b = make(created_at=2, labels={"env": "dev", "team": "x"})
    c = make(created_at=3, labels={"team": "prod"})
    insert(database, a, b, c)
    assert listed(database, project, labels=(("env", ("prod",)),)) == [a.id]
    assert listed(database, project, labels=(("env", ("prod", "dev")),)) == [b.id, a.id]
    assert listed(database, project, labels=(("env", ("prod",)), ("env", ("dev",)))) == [b.id, a.id]
    assert listed(database, project, labels=(("env", ()),)) == [b.id, a.id]
    assert listed(database, project, labels=(("env", ("prod",)), ("env", ()))) == [b.id, a.id]
    assert listed(database, project, labels=(("env", ("dev",)), ("team", ("x",)))) == [b.id]
    assert listed(database, project, labels=(("env", ("dev",)), ("team", ("prod",)))) == []
    assert listed(database, project, labels=(("none", ()),)) == []


def test_a_page_takes_three_statements(database: Database, project: Project, make: Make) -> None:
    insert(database, *(make(labels={"n": str(n)}) for n in range(20)))
    with statements_counted() as seen, database.read() as connection:
        assert len(interactions.list_page(connection, InteractionFilter(project.id), 20).items) == 20
    assert len(seen) == 3


def plan(database: Database, statement: str, parameters: Any) -> str:
    """How the database would execute it, in its own words."""
    with database.read() as connection:
        if connection.dialect.name == "sqlite":
            steps = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
            return "\n".join(step.detail for step in steps)
        # Few rows need no index, and no statistics tell that there may be more.
        for other in ("seqscan", "bitmapscan", "sort"):
            connection.execute(sa.text(f"SET LOCAL enable_{other} = off"))
        return "\n".join(connection.exec_driver_sql("EXPLAIN " + statement, parameters).scalars())


def test_listing_uses_the_indexes(database: Database, project: Project, make: Make) -> None:
    insert(database, make())
    wanted = {
        "newest": InteractionFilter(project.id, created_from=1, created_to=2**60),
        "model": InteractionFilter(project.id, models=("m",)),
        "session": InteractionFilter(project.id, session_id=uuid7()),
    }
    for index, each in wanted.items():
        with statements_counted() as seen, database.read() as connection:
            interactions.list_page(connection, each, 10)
        found = plan(database, *seen[0])
        assert re.findall(r"ix_\w+", found) == [f"ix_interactions_{index}"], found


def test_looking_for_what_a_crash_left_uses_an_index(database: Database, make: Make) -> None:
    insert(database, make())
    with statements_counted() as seen, database.read() as connection:
        interactions.servers_with_pending(connection)
    assert "ix_interactions_pending" in plan(database, *seen[0])
