from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, interactions, pages
from adaptive_engine.store.filters import HasLabel, InteractionFilter
from adaptive_engine.store.pages import PageRequest
from adaptive_engine.store.tables import labels
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
        provider="openai",
        external_model="gpt-4o",
        attempts=[{"model": model.key, "ms": 1.5}],
        cost=0.25,
        currency="EUR",
        reasoning="Let me see.",
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
        attempts=[],
        cost=None,
        currency=None,
        reasoning=None,
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


def test_a_fallback_takes_the_row_over(database: Database, done: Interaction, make: Make) -> None:
    begun = replace(make(id=done.id), session_id=done.session_id, model_key="failed", ab_test_unit=7)
    insert(database, begun)
    attempts = [{"model": "failed", "ms": 1.0, "error": "upstream_error"}, {"model": done.model_key, "ms": 2.0}]
    answered = replace(done, attempts=attempts, ab_test_unit=None)
    finish(database, answered)
    found = stored(database, done.id)
    assert found is not None
    taken = ("model_id", "model_key", "provider", "external_model", "parameters", "ab_test_unit", "attempts", "cost")
    assert {name: getattr(found, name) for name in taken} == {name: getattr(answered, name) for name in taken}


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
        found = pages.list_page(connection, InteractionFilter(uuid7()), PageRequest(10))
        assert (found.items, found.has_next) == ((), False)


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
    with database.read() as connection:
        wanted = InteractionFilter(row.project_id, HasLabel(("k" + text)[:128], (text,)))
        assert [item.interaction for item in pages.list_page(connection, wanted, PageRequest(10)).items] == [row]


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


def test_labels_change(database: Database, done: Interaction) -> None:
    insert(database, done)
    with database.write() as connection:
        interactions.change_labels(connection, done, {"env": "dev", "new": "1"}, ["tier", "unknown"])
    assert stored(database, done.id) == replace(done, labels={"env": "dev", "new": "1"})


def test_deletion_takes_what_belongs_to_it_and_leaves_what_runs(
    database: Database, done: Interaction, make: Make
) -> None:
    running = make()
    insert(database, done, running)
    with database.write() as connection:
        assert interactions.delete(connection, [done.id, running.id, uuid7()]) == 1
    assert stored(database, done.id) is None
    assert stored(database, running.id) == running
    with database.read() as connection:
        assert connection.execute(sa.select(labels)).all() == []


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


def test_looking_for_what_a_crash_left_uses_an_index(database: Database, make: Make) -> None:
    insert(database, make())
    with statements_counted() as seen, database.read() as connection:
        interactions.servers_with_pending(connection)
    assert "ix_interactions_pending" in plan(database, *seen[0])


def test_loading_keeps_the_order(database: Database, done: Interaction, make: Make) -> None:
    others = [make() for _ in range(3)]
    insert(database, done, *others)
    wanted = [others[2], done, others[0]]
    with database.read() as connection:
        found = interactions.load(connection, [wanted[0].id, uuid7(), *(row.id for row in wanted[1:])])
    assert [item.interaction for item in found] == wanted


def test_lengths_are_of_all_that_is_long(database: Database, make: Make) -> None:
    row = make()
    long = replace(row, completion="ü" * 1000, messages=[{"role": "user", "content": "a" * 2000}], reasoning="b" * 4000)
    insert(database, long)
    with database.read() as connection:
        length, none = interactions.lengths(connection, [row.id, uuid7()])
    assert (7000 < length < 8000, none) == (True, 0)
