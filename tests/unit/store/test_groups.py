from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from adaptive_engine.store import Connection, Database, groups, interactions, labels, metrics, preferences, scores
from adaptive_engine.store.filters import EVERYTHING, Between, Equals, HasLabel, InteractionFilter
from adaptive_engine.store.labels import LabelUsage, ValueUsage
from adaptive_engine.store.tables import comparisons
from adaptive_engine.types import Interaction, Metric, Project, Score, uuid7

Make = Callable[..., Interaction]
# Far from zero and close together: sums of their squares would have lost the difference.
VALUES = [1e9 + value for value in (4, 7, 13, 16)]


@pytest.fixture
def metric(database: Database, project: Project) -> Metric:
    metric = Metric(uuid7(), project.id, "quality", "q", "SCALAR", "HIGHER_IS_BETTER", "", None, 0)
    with database.write() as connection:
        metrics.create(connection, metric)
    return metric


@pytest.fixture
def connection(database: Database, metric: Metric, make: Make) -> Iterator[Connection]:
    """Seven rows of models a, b and none; those of a have all scores."""
    models = ["a", "a", "a", "a", "b", None, None]
    rows = [
        make(model_key=model, prompt_hash=f"h{at % 2}", created_at=1000 + at, labels={"n": str(at % 3), "even": ""})
        for at, model in enumerate(models)
    ]
    given = [Score(uuid7(), row.id, metric.id, "quality", value, 0) for row, value in zip(rows, VALUES, strict=False)]
    with database.write() as connection:
        interactions.insert(connection, rows)
        scores.add(connection, given)
    with database.read() as connection:
        yield connection


# Everything is grouped by an index, a selection row by row; both must give the same.
@pytest.mark.parametrize("where", [Between(start=0), HasLabel("even")], ids=["index", "rows"])
def test_groups_have_counts_and_statistics(
    connection: Connection, project: Project, metric: Metric, where: Any
) -> None:
    wanted = InteractionFilter(project.id, where)
    found = groups.list_groups(connection, wanted, "model", limit=10)
    assert [(group.key, group.count) for group in found.items] == [(None, 2), ("a", 4), ("b", 1)]
    assert (found.total, found.searched_to) == (3, None)
    (one,) = found.items[1].scores
    assert (one.metric_id, one.metric_key, one.count) == (metric.id, "quality", 4)
    assert (one.min, one.max, one.mean, one.sum) == (min(VALUES), max(VALUES), statistics.mean(VALUES), sum(VALUES))
    assert one.stddev == pytest.approx(statistics.pstdev(VALUES), rel=1e-9)
    assert [group.scores for group in found.items[::2]] == [(), ()]


@pytest.mark.parametrize("where", [Between(start=0), HasLabel("even")], ids=["index", "rows"])
def test_groups_are_ordered_and_paged(connection: Connection, project: Project, where: Any) -> None:
    def keys(*order: Any, **page: int) -> list[str | None]:
        found = groups.list_groups(
            connection, InteractionFilter(project.id, where), "model", order=order, limit=page.pop("limit", 9), **page
        )
        assert found.total == 3
        return [group.key for group in found.items]

    assert keys("group", "DESC") == ["b", "a", None]
    assert keys("count", "DESC") == ["a", None, "b"]
    assert keys("count", "ASC") == ["b", None, "a"]
    assert keys("group", "ASC", limit=1, offset=1) == ["a"]


def test_within_is_one_group(connection: Connection, project: Project) -> None:
    everything = InteractionFilter(project.id)
    for key, many in ((None, 2), ("a", 4), ("b", 1)):
        of_group = groups.within(everything, "model", key)
        found = groups.list_groups(connection, of_group, "prompt", limit=9)
        assert sum(group.count for group in found.items) == many


def test_label_usage(connection: Connection, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    usage, more = labels.usage(connection, project.id, keys=9, values=2)
    values = (ValueUsage("0", 3, True, 1006), ValueUsage("1", 2, True, 1004))
    assert (usage, more) == (
        [
            LabelUsage("even", 7, True, 1006, (ValueUsage("", 7, True, 1006),), False),
            LabelUsage("n", 7, True, None, values, True),
        ],
        False,
    )
    monkeypatch.setattr(labels, "MOST_COUNTED", 6)
    usage, more = labels.usage(connection, project.id, keys=1, values=9)
    assert ([(each.key, each.count, each.exact) for each in usage], more) == ([("even", 6, False)], True)
    assert labels.usage(connection, project.id, keys=1, values=9, key="n")[0][0].last_used == 1006
    assert labels.usage(connection, uuid7(), keys=9, values=9) == ([], False)


def test_values_that_no_index_has_are_those_of_the_newest(
    connection: Connection, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "MOST_READ", 3)
    ((found,), _) = labels.usage(connection, project.id, keys=9, values=9, key="n")
    assert (found.count, found.exact) == (7, True)
    if connection.dialect.name == "sqlite":
        assert not found.more_values
        assert sum(value.count for value in found.values) == 7
    else:
        assert found.more_values
        assert found.last_used is None
        assert max(value.last_used for value in found.values) == 1006
        assert not any(value.exact for value in found.values)


def test_preferences_leave_out_ties(database: Database, project: Project, metric: Metric, make: Make) -> None:
    one, two, three = (make(model_key=key) for key in ("a", "b", "c"))
    pairs = [(one, two, None), (two, three, "good"), (three, one, None)]
    with database.write() as connection:
        interactions.insert(connection, [one, two, three])
        for at, (preferred, other, tied) in enumerate(pairs):
            connection.execute(
                comparisons.insert().values(
                    id=uuid7(),
                    project_id=project.id,
                    metric_id=metric.id,
                    preferred_id=preferred.id,
                    other_id=other.id,
                    tied=tied,
                    created_at=at,
                )
            )

    def chosen(where: Any = EVERYTHING, metric_id: Any = None) -> list[Any]:
        found: list[Any] = []
        after = None
        while True:
            with database.read() as connection:
                page, after = preferences.list_after(
                    connection, InteractionFilter(project.id, where), metric_id=metric_id, after=after, limit=1
                )
                found += [
                    (each.chosen.model_key, each.rejected.model_key) for each in preferences.load(connection, page)
                ]
            if after is None:
                return found

    assert chosen() == [("a", "b"), ("c", "a")]
    assert chosen(Equals("model", ("c",))) == [("c", "a")]
    assert chosen(metric_id=metric.id) == [("a", "b"), ("c", "a")]
    assert chosen(metric_id=uuid7()) == []
