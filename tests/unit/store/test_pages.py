from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.store import Database, interactions, pages, scans
from adaptive_engine.store.filters import And, Between, Equals, Expression, HasLabel, HasText, InteractionFilter
from adaptive_engine.store.pages import InteractionPage, PageRequest
from adaptive_engine.types import Interaction, Project, Usage, uuid7

Make = Callable[..., Interaction]
EVERYTHING = And()


def insert(database: Database, *rows: Interaction) -> None:
    with database.write() as connection:
        interactions.insert(connection, rows)


def page(database: Database, project: Project, where: Expression = EVERYTHING, size: int = 3, **asked: Any) -> Any:
    with database.read() as connection:
        return pages.list_page(connection, InteractionFilter(project.id, where), PageRequest(size, **asked))


def ids(found: InteractionPage) -> list[UUID]:
    return [item.interaction.id for item in found.items]


@contextmanager
def statements_seen() -> Iterator[list[tuple[str, Any]]]:
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        seen.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.fixture
def rows(database: Database, make: Make) -> list[Interaction]:
    """Ten, newest first; two of each time."""
    made = [make(created_at=1000 + at // 2, usage=Usage(at % 3, at), state="complete") for at in range(10)]
    insert(database, *made)
    return sorted(made, key=lambda row: (row.created_at, row.id), reverse=True)


def test_pages_are_newest_first_and_stable_under_inserts(
    database: Database, project: Project, rows: list[Interaction], make: Make
) -> None:
    seen: list[UUID] = []
    cursor = None
    for at in range(4):
        found = page(database, project, after=cursor)
        assert (found.has_previous, found.has_next) == (at > 0, at < 3)
        seen += ids(found)
        cursor = found.end_cursor
        insert(database, make(created_at=2000))
    assert seen == [row.id for row in rows]


@pytest.mark.parametrize("order", [(("created_at", "ASC"),), (("prompt_tokens", "DESC"), ("created_at", "ASC"))])
def test_pages_go_back_the_way_they_came(
    database: Database, project: Project, rows: list[Interaction], order: Any
) -> None:
    whole = ids(page(database, project, size=100, order=order))
    assert len(whole) == 10
    last = page(database, project, size=4, order=order, backward=True)
    assert ids(last) == whole[-4:]
    assert (last.has_previous, last.has_next) == (True, False)
    before = page(database, project, size=4, order=order, before=last.start_cursor, backward=True)
    assert ids(before) == whole[2:6]
    assert (before.has_previous, before.has_next) == (True, True)
    first = page(database, project, size=4, order=order, before=before.start_cursor, backward=True)
    assert (ids(first), first.has_previous) == (whole[:2], False)
    between = page(database, project, size=9, order=order, after=first.end_cursor, before=last.start_cursor)
    assert ids(between) == whole[2:6]


def test_other_orders_are_stable(database: Database, project: Project, rows: list[Interaction]) -> None:
    by_tokens = sorted(rows, key=lambda row: row.id, reverse=True)
    by_tokens.sort(key=lambda row: row.usage.prompt_tokens, reverse=True)
    assert ids(page(database, project, size=100, order=(("prompt_tokens", "DESC"),))) == [row.id for row in by_tokens]


def test_what_has_no_value_sorts_as_the_least(database: Database, project: Project, make: Make) -> None:
    never, early, late = (make(completed_at=at) for at in (None, 5, 9))
    insert(database, never, early, late)
    order = (("completed_at", "ASC"),)
    assert ids(page(database, project, order=order)) == [never.id, early.id, late.id]
    first = page(database, project, size=1, order=order)
    assert ids(page(database, project, order=order, after=first.end_cursor)) == [early.id, late.id]


def test_too_many_to_sort_are_refused(
    database: Database, project: Project, rows: list[Interaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_SORTED", 9)
    with pytest.raises(InvalidRequest, match="at most 9") as caught:
        page(database, project, order=(("completion_tokens", "ASC"),))
    assert caught.value.param == "order"
    assert len(page(database, project, Between(start=1001), order=(("completion_tokens", "ASC"),), size=50).items) == 8


@pytest.mark.parametrize("param", ["after", "before"])
@pytest.mark.parametrize("cursor", ["", "garbage", "AAAA", "é", "A" * 33, "A" * 36, "W10=", "bnVsbA=="])
def test_a_foreign_cursor_is_refused(database: Database, project: Project, cursor: str, param: str) -> None:
    for order in (pages.NEWEST, (("prompt_tokens", "ASC"),)):
        with pytest.raises(InvalidRequest) as caught:
            page(database, project, order=order, **{param: cursor})
        assert caught.value.param == param


def test_a_cursor_of_another_order_is_refused(database: Database, project: Project, rows: list[Interaction]) -> None:
    cursor = page(database, project, order=(("prompt_tokens", "ASC"),)).end_cursor
    for order in (pages.NEWEST, (("prompt_tokens", "DESC"),)):
        with pytest.raises(InvalidRequest):
            page(database, project, order=order, after=cursor)


def test_cursor_of_an_item_is_the_pages(database: Database, project: Project, rows: list[Interaction]) -> None:
    for order in (pages.NEWEST, (("prompt_tokens", "ASC"), ("completed_at", "DESC"))):
        found = page(database, project, order=order)
        assert pages.cursor_of(found.items[-1], order) == found.end_cursor


def test_a_search_that_takes_too_long_says_how_far_it_looked(
    database: Database, project: Project, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "FIRST_WINDOW", 4)
    monkeypatch.setattr(pages, "PAGE_SECONDS", 0)
    made = [make(created_at=1000 + at, completion="needle" if at == 0 else "hay") for at in range(10)]
    insert(database, *made)
    where = HasText("completion", "needle", whole=False)
    cursor, looked = None, []
    for _ in range(3):
        found = page(database, project, where, after=cursor)
        looked.append((len(found.items), found.searched_to, found.has_next))
        cursor = found.end_cursor
    assert looked == [(0, 1005, True), (1, 1000, True), (0, None, False)]


def test_a_count_that_takes_too_long_is_not_exact(
    database: Database, project: Project, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "FIRST_WINDOW", 4)
    monkeypatch.setattr(pages, "COUNT_SECONDS", 0)
    insert(database, *(make(created_at=at, completion="hay") for at in range(10)))
    with database.read() as connection:
        found = pages.count(connection, InteractionFilter(project.id, HasText("completion", "hay", whole=False)))
        assert (found.exact, 0 < found.value < 10) == (False, True)
        assert pages.count(connection, InteractionFilter(project.id)) == pages.Count(10, True)


def test_a_page_takes_four_statements(database: Database, project: Project, make: Make) -> None:
    insert(database, *(make(labels={"n": str(n)}) for n in range(20)))
    with statements_seen() as seen:
        assert len(page(database, project, size=20).items) == 20
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("index", "where"),
    [
        ("interactions USING COVERING INDEX ix_interactions_newest", Between(1, 2**60)),
        ("interactions USING COVERING INDEX ix_interactions_model", Equals("model", ("m",))),
        ("interactions USING COVERING INDEX ix_interactions_prompt", Equals("prompt_hash", ("h",))),
        ("interactions USING COVERING INDEX ix_interactions_user", Equals("user", ("u",))),
        ("interactions USING COVERING INDEX ix_interactions_state", Equals("state", ("error",))),
        ("interactions USING INDEX ix_interactions_session", Equals("session_id", (uuid7(),))),
        ("labels USING COVERING INDEX ix_labels_lookup", HasLabel("k", ("v",))),
    ],
    ids=lambda value: value.rpartition("_")[2] if isinstance(value, str) else "",
)
def test_a_walk_uses_its_index_and_sorts_nothing(
    database: Database, project: Project, make: Make, monkeypatch: pytest.MonkeyPatch, index: str, where: Expression
) -> None:
    # Ordered walks are for what is not rare.
    monkeypatch.setattr(scans, "RARE", 0)
    row = make(model_key="m", prompt_hash="h", user="u", state="error", labels={"k": "v"})
    where = (
        where
        if not (isinstance(where, Equals) and where.field == "session_id")
        else Equals("session_id", (row.session_id,))
    )
    insert(database, row)
    with statements_seen() as seen:
        page(database, project, where)
    walk, parameters = next(each for each in seen if "ORDER BY" in each[0])
    with database.read() as connection:
        if connection.dialect.name == "sqlite":
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + walk, parameters).all()
            assert [step.detail.split(" (")[0] for step in plan] == [f"SEARCH {index}"]
            return
        # Few rows need no index, and no statistics tell that there may be more.
        for other in ("seqscan", "bitmapscan"):
            connection.execute(sa.text(f"SET LOCAL enable_{other} = off"))
        found = "\n".join(connection.exec_driver_sql("EXPLAIN " + walk, parameters).scalars())
    assert index.rpartition(" ")[2].replace("lookup", "key") in found
    assert "Sort" not in found
