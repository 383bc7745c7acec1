from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from adaptive_engine.errors import AdaptiveError, Conflict, InvalidRequest, NotFound
from adaptive_engine.services import ab_tests, metrics
from adaptive_engine.services.ab_tests import NewAbTest
from adaptive_engine.services.feedback import MAX_SCORE
from adaptive_engine.store import Database, deployments
from adaptive_engine.store import ab_tests as store
from adaptive_engine.types import AbTest, Project, uuid7
from unit.services.platform import answer, compare, score

WANTED = NewAbTest("which", "helpful", ["a", "b"])

Create = Callable[..., AbTest]


@pytest.fixture
def create(database: Database, project: Project) -> Create:
    def build(**fields: Any) -> AbTest:
        with database.write() as connection:
            return ab_tests.create(connection, project, dataclasses.replace(WANTED, **fields))

    return build


def describe(database: Database, project: Project, test: AbTest, online: Sequence[str] = "abc") -> Any:
    with database.read() as connection:
        current = store.get(connection, test.id)
        assert current is not None
        return ab_tests.describe(connection, project, current, lambda d: d.online and d.model.key in online)


def test_a_new_test_waits_for_scores(create: Create, database: Database, project: Project) -> None:
    test = create(traffic_split=0.25)
    overview = describe(database, project, test)
    assert (overview.test.status, overview.scores, overview.report.p_value) == ("WARMUP", 0, None)
    assert [arm.model_key for arm in overview.test.arms] == ["a", "b"]
    assert overview.warnings == ()
    with database.read() as connection:
        for name in (test.key, str(test.id)):
            assert ab_tests.find(connection, [project.id], name) == test
        with pytest.raises(NotFound):
            ab_tests.find(connection, [uuid7()], test.key)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"traffic_split": 0.0}, "traffic_split"),
        ({"traffic_split": 1.01}, "traffic_split"),
        ({"traffic_split": float("nan")}, "traffic_split"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 0.6}, "alpha"),
        ({"min_scores": 9}, "min_scores"),
        ({"models": ["a"]}, "models"),
        ({"models": ["a"] * 9}, "models"),
        ({"models": ["a", "b", "a"]}, "models[2]"),
        ({"models": ["a", "x"]}, "models[1]"),
        ({"metric": "unknown"}, "metric"),
        ({"metric": "latency"}, "metric"),
        ({"key": "x/cancel"}, "key"),
    ],
)
def test_what_makes_no_test(create: Create, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(AdaptiveError) as refusal:
        create(**fields)
    assert refusal.value.param == param
    assert isinstance(refusal.value, InvalidRequest | NotFound)


def test_a_key_names_one_test(create: Create) -> None:
    create()
    with pytest.raises(Conflict, match="exists already"):
        create()


def test_models_are_named_by_id_too(create: Create, database: Database, project: Project) -> None:
    with database.read() as connection:
        a, b = deployments.list_for_project(connection, project.id)[:2]
    assert [arm.model_key for arm in create(models=[str(a.id), str(b.model.id)]).arms] == ["a", "b"]


def test_scores_are_summed_by_session(create: Create, database: Database, project: Project) -> None:
    test = create(metric="cost", min_scores=10)
    rng = random.Random(1)
    logged: list[list[float]] = []
    for _ in range(40):
        values = [rng.gauss(1000, 3) for _ in range(rng.choice([1, 3]))]
        logged.append(values)
        score(database, answer(database, test, 0), *values, metric="cost")
        score(database, answer(database, test, 1), 1000.0 + rng.gauss(0, 3), metric="cost")
    arm = describe(database, project, test).report.arms[0]
    everything = [value for values in logged for value in values]
    assert (arm.scores, arm.units) == (len(everything), 40)
    assert arm.mean == pytest.approx(np.mean(everything))
    with database.read() as connection:
        row = next(r for r in store.sum_scores(connection, test, 1000.0) if r.model_id == test.arms[0].model_id)
    sums = np.array([sum(values) - 1000 * len(values) for values in logged])
    counts = np.array([len(values) for values in logged])
    assert row.total_squared == pytest.approx((sums**2).sum())
    assert row.products == pytest.approx((sums * counts).sum())
    assert row.scores_squared == (counts**2).sum()


def test_the_largest_scores_can_be_judged(create: Create, database: Database, project: Project) -> None:
    test = create(metric="cost", min_scores=10)
    for at in range(24):
        score(database, answer(database, test, at % 2), MAX_SCORE * (-1) ** (at // 2), metric="cost")
    report = describe(database, project, test).report
    assert report.p_value == pytest.approx(1)
    assert [arm.mean for arm in report.arms] == pytest.approx([0, 0], abs=MAX_SCORE / 1e9)
    assert all(arm.interval and np.isfinite(arm.interval).all() for arm in report.arms)


def test_what_does_not_count(create: Create, database: Database, project: Project) -> None:
    test, other = create(), create(key="other")
    row = answer(database, test, 0)
    score(database, row, 1)
    score(database, row, 5.0, metric="cost")
    score(database, answer(database, other, 0), 0)
    score(database, answer(database, test, 0, ab_test_id=None), 0)
    # A preference says nothing in a test that is judged by values.
    compare(database, project, row.id, answer(database, test, 1).id)
    overview = describe(database, project, test)
    assert [(arm.scores, arm.mean) for arm in overview.report.arms] == [(1, 1.0), (0, None)]
    assert (overview.scores, list(overview.requests.values())) == (1, [1, 1])


def test_preferences_are_counted_pair_by_pair(create: Create, database: Database, project: Project) -> None:
    test = create(score_type="COMPARISON", models=["a", "b", "c"], min_scores=10)
    a, b, c = (answer(database, test, arm).id for arm in range(3))
    for _ in range(30):
        assert compare(database, project, a, b) == test.id
    compare(database, project, b, a)
    compare(database, project, b, a, tied="good")
    compare(database, project, a, b, tied="bad")
    compare(database, project, c, a)
    # Of one model, or with an answer of no test, there is nothing to learn.
    compare(database, project, a, answer(database, test, 0).id)
    assert compare(database, project, answer(database, test, 1, ab_test_id=None).id, a) is None
    overview = describe(database, project, test)
    first = overview.report.arms[0]
    assert overview.scores == 34
    against_b, against_c = first.comparisons
    assert (against_b.wins, against_b.losses, against_b.ties_good, against_b.ties_bad) == (30, 1, 1, 1)
    assert (against_c.wins, against_c.losses) == (0, 1)
    assert first.mean == 30 / 32


def test_time_series(create: Create, database: Database, project: Project) -> None:
    test = create()
    with database.read() as connection:
        assert ab_tests.series(connection, test).buckets == []
    for value in (1, 0, 1):
        score(database, answer(database, test, 0), value)
    score(database, answer(database, test, 1), 0)
    with database.read() as connection:
        series = ab_tests.series(connection, test)
    assert series.width_ms == 60_000
    assert sum(bucket.scores for bucket in series.buckets) == 4
    assert all(bucket.begins_at % 60_000 == 0 for bucket in series.buckets)
    preferences = create(key="p", score_type="COMPARISON")
    a, b = (answer(database, preferences, arm).id for arm in range(2))
    compare(database, project, a, b)
    compare(database, project, a, b, tied="good")
    with database.read() as connection:
        buckets = ab_tests.series(connection, preferences).buckets
    assert {(bucket.scores, bucket.mean) for bucket in buckets} == {(2, 1.0), (2, 0.0)}


def test_warnings_say_who_gets_no_requests(create: Create, database: Database, project: Project) -> None:
    create(key="older", traffic_split=0.4)
    test = create()
    warnings = describe(database, project, test, online="a").warnings
    assert [text.split(":")[0] for text in warnings[:2]] == [
        "Model 'b' is offline and gets no requests.",
        "Fewer than two of its models are online",
    ]
    assert "'older' is asked first and takes 40% of the requests" in warnings[2]


def test_a_test_is_cancelled_once(create: Create, database: Database, project: Project) -> None:
    test = create()
    with database.write() as connection:
        cancelled = ab_tests.cancel(connection, test)
        assert (cancelled.status, cancelled.ended_at is not None) == ("CANCELLED", True)
        with pytest.raises(Conflict, match="CANCELLED"):
            ab_tests.cancel(connection, test)
    with database.read() as connection:
        assert store.list_for_projects(connection, [project.id], active=True) == []
        assert [t.key for t in store.list_for_projects(connection, status="CANCELLED")] == ["which"]


def test_a_metric_that_decides_a_test_stays(create: Create, database: Database, project: Project) -> None:
    test = create()
    with database.write() as connection:
        with pytest.raises(Conflict, match="which"):
            metrics.delete(connection, project, "helpful")
        ab_tests.cancel(connection, test)
        metrics.delete(connection, project, "helpful")
    assert describe(database, project, test).metric is None
