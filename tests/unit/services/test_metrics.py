from __future__ import annotations

import statistics
from typing import Any

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.services import graders, metrics
from adaptive_engine.services.feedback import MAX_SCORE
from adaptive_engine.store import Database, scans
from adaptive_engine.store import statistics as store_statistics
from adaptive_engine.store.statistics import DAY_MS, HOUR_MS, Grouping, MetricGroup
from adaptive_engine.types import Judge, Metric, Project, Usage, now_ms, uuid7
from unit.services.platform import compare, fill, score, store_answer


def summarise(database: Database, project: Project, key: str, grouping: Grouping, **span: int) -> list[MetricGroup]:
    with database.read() as connection:
        return metrics.summarise(connection, project, key, grouping, **span)[1].groups


def metric(project: Project, key: str, **fields: Any) -> Metric:
    defaults = {"kind": "SCALAR", "scoring_type": "HIGHER_IS_BETTER", "description": "", "unit": None}
    return Metric(uuid7(), project.id, key, key, created_at=now_ms(), **{**defaults, **fields})


def test_the_server_measures_by_itself(database: Database, project: Project) -> None:
    with database.read() as connection:
        listed = metrics.list_for_project(connection, project)
        latency = metrics.find(connection, project, "latency")
        assert metrics.find(connection, project, str(latency.id)) == latency
    assert [use.metric.key for use in listed[:3]] == ["cost", "helpful", "time_to_first_token"]
    assert {use.metric.category for use in listed} == {"USER", "SYSTEM"}
    assert (latency.unit, latency.scoring_type) == ("ms", "LOWER_IS_BETTER")


def test_what_the_server_measures_takes_no_values(database: Database, project: Project) -> None:
    with database.read() as connection:
        for name in ("latency", str(metrics.find(connection, project, "latency").id)):
            with pytest.raises(InvalidRequest, match="'latency' is measured by the server itself"):
                metrics.find_scorable(connection, project.id, name)


@pytest.mark.parametrize("key", ["latency", "total_tokens", "x/statistics"])
def test_some_keys_are_the_servers_own(database: Database, project: Project, key: str) -> None:
    with database.write() as connection, pytest.raises(InvalidRequest) as refusal:
        metrics.register(connection, metric(project, key))
    assert refusal.value.param == "key"


def test_which_data_there_are(database: Database, project: Project) -> None:
    one, other = (store_answer(database, project, "a").id for _ in range(2))
    with database.read() as connection:
        uses = {use.metric.key: use for use in metrics.list_for_project(connection, project)}
    assert (uses["helpful"].has_direct_scores, uses["helpful"].has_comparison_scores) == (False, False)
    assert uses["latency"].has_direct_scores
    compare(database, project, one, other)
    score(database, store_answer(database, project, "a"), 3.0, metric="cost")
    with database.read() as connection:
        uses = {use.metric.key: use for use in metrics.list_for_project(connection, project)}
    assert (uses["helpful"].has_direct_scores, uses["helpful"].has_comparison_scores) == (False, True)
    assert (uses["cost"].has_direct_scores, uses["cost"].has_comparison_scores) == (True, False)


def test_update_and_delete(database: Database, project: Project) -> None:
    row = store_answer(database, project, "a")
    score(database, row, 3.0, metric="cost")
    with database.write() as connection:
        changed = metrics.update(connection, project, "cost", {"name": "Price", "unit": "EUR"})
        assert (changed.name, changed.unit, changed.key) == ("Price", "EUR", "cost")
        for refused in ({}, {"name": "x"}):
            with pytest.raises(InvalidRequest):
                metrics.update(connection, project, "latency" if refused else "cost", refused)
        metrics.delete(connection, project, str(changed.id))
        with pytest.raises(NotFound):
            metrics.find(connection, project, "cost")
        with pytest.raises(InvalidRequest):
            metrics.delete(connection, project, "latency")


def test_a_metric_of_a_grader_is_deleted_after_it(database: Database, project: Project) -> None:
    with database.write() as connection:
        graders.create(connection, project.id, "judged", Judge("a", "Polite."))
        with pytest.raises(Conflict, match="graders: 'judged'"):
            metrics.delete(connection, project, "judged")
        graders.delete(connection, project.id, "judged")
        metrics.delete(connection, project, "judged")
        with pytest.raises(NotFound):
            metrics.find(connection, project, "judged")


def test_statistics_by_model(database: Database, project: Project) -> None:
    values = {"a": [1e9 + 1, 1e9 + 2, 1e9 + 4], "b": [1e9]}
    for model, logged in values.items():
        for value in logged:
            score(database, store_answer(database, project, model), value, metric="cost")
    # Of another project, which has a metric of the same key.
    stranger = fill(database, "stranger")
    score(database, store_answer(database, stranger, "a"), 5.0, metric="cost")
    a, b = summarise(database, project, "cost", Grouping("model"))
    assert (a.group, a.count, a.min, a.max, a.sum) == ("a", 3, 1e9 + 1, 1e9 + 4, 3e9 + 7)
    assert a.mean == pytest.approx(statistics.mean(values["a"]))
    assert a.stddev == pytest.approx(statistics.stdev(values["a"]))
    assert (b.group, b.count, b.stddev) == ("b", 1, None)
    (everything,) = summarise(database, project, "cost", Grouping())
    assert (everything.group, everything.count) == (None, 4)
    assert everything.stddev == pytest.approx(statistics.stdev(values["a"] + values["b"]))
    assert summarise(database, project, "helpful", Grouping("model")) == []


def test_the_largest_scores_can_be_summed(database: Database, project: Project) -> None:
    for value in (MAX_SCORE, -MAX_SCORE, MAX_SCORE):
        score(database, store_answer(database, project, "a"), value, metric="cost")
    (found,) = summarise(database, project, "cost", Grouping())
    assert (found.mean, found.sum) == pytest.approx((MAX_SCORE / 3, MAX_SCORE))
    assert found.stddev == pytest.approx(statistics.stdev([1.0, -1.0, 1.0]) * MAX_SCORE)


def test_statistics_by_label(database: Database, project: Project) -> None:
    for labels, value in (({"lang": "de"}, 1), ({"lang": "en"}, 0), ({"lang": "de", "x": "y"}, 0), ({}, 1)):
        score(database, store_answer(database, project, "a", labels=labels), value)
    found = summarise(database, project, "helpful", Grouping("label", "lang"))
    assert [(group.group, group.count, group.mean) for group in found] == [("de", 2, 0.5), ("en", 1, 0.0)]


@pytest.mark.parametrize(("by", "width"), [("hour", HOUR_MS), ("day", DAY_MS)])
def test_what_the_server_measures_over_time(database: Database, project: Project, by: Any, width: int) -> None:
    start = 20_000 * DAY_MS
    for offset, latency in ((0, 10.0), (width - 1, 30.0), (width, 50.0)):
        timings = {"total_ms": latency, "ttft_ms": latency / 2}
        store_answer(database, project, "a", created_at=start + offset, timings=timings)
    # What was logged by hand, failed or still runs has nothing to measure.
    for fields in ({"source": "OFFLINE"}, {"state": "error"}, {"state": "pending"}):
        store_answer(database, project, "a", created_at=start, timings={"total_ms": 999.0}, **fields)
    found = summarise(database, project, "latency", Grouping(by))
    assert [(group.group, group.count, group.mean) for group in found] == [(start, 2, 20.0), (start + width, 1, 50.0)]
    (first,) = summarise(database, project, "latency", Grouping(), created_from=start, created_to=start + 1)
    assert first.mean == 10.0
    (half,) = summarise(database, project, "time_to_first_token", Grouping())
    assert half.mean == 15.0


def test_a_metric_over_time_by_model(database: Database, project: Project) -> None:
    start = 20_000 * DAY_MS
    for at, model, value in ((0, "a", 1), (0, "b", 0), (1, "a", 0), (DAY_MS, "b", 1)):
        score(database, store_answer(database, project, model, created_at=start + at), value)
    found = summarise(database, project, "helpful", Grouping("day", by_model=True))
    assert [(group.group, group.model, group.mean) for group in found] == [
        (start, "a", 0.5),
        (start, "b", 0.0),
        (start + DAY_MS, "b", 1.0),
    ]


def test_counting_stops_in_time_and_says_where(
    database: Database, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, values = 20_000 * DAY_MS, [1e6 + at % 7 for at in range(60)]
    for at, latency in enumerate(values):
        timings = {"total_ms": latency, "ttft_ms": 1.0}
        store_answer(database, project, "a", created_at=start + at, labels={"lang": "de"}, timings=timings)
    monkeypatch.setattr(scans, "FIRST_WINDOW", 10)

    def latencies(by: Any) -> tuple[MetricGroup, int | None]:
        with database.read() as connection:
            report = metrics.summarise(connection, project, "latency", Grouping(by, "lang"))[1]
        (found,) = report.groups
        counted = values[len(values) - found.count :]
        assert (found.min, found.max, found.sum) == (min(counted), max(counted), sum(counted))
        assert found.mean == pytest.approx(statistics.mean(counted))
        assert found.stddev == pytest.approx(statistics.stdev(counted))
        return found, report.searched_to

    for by in (None, "model", "label", "day"):
        whole, searched_to = latencies(by)
        assert (whole.count, searched_to) == (60, None)
    monkeypatch.setattr(store_statistics, "STATISTICS_SECONDS", 0.0)
    for by in (None, "model", "label", "day"):
        part, searched_to = latencies(by)
        assert 0 < part.count < 60
        assert searched_to == start + 60 - part.count


def test_tokens(database: Database, project: Project) -> None:
    store_answer(database, project, "a", usage=Usage(10, 5, 4))
    for key, expected in (("prompt_tokens", 10), ("completion_tokens", 5), ("total_tokens", 15), ("cached_tokens", 4)):
        assert summarise(database, project, key, Grouping())[0].mean == expected
    # No timings, no latency.
    assert summarise(database, project, "latency", Grouping()) == []


@pytest.mark.parametrize("by", ["model", "label", "hour"])
def test_statistics_do_not_pair_every_score_with_every_interaction(
    database: Database, project: Project, by: Any
) -> None:
    rows = [store_answer(database, project, "a", labels={"lang": "de"}) for _ in range(300)]
    for row in rows:
        score(database, row, 1)
    thousands_of_steps = 0

    def count() -> int:
        nonlocal thousands_of_steps
        thousands_of_steps += 1
        return 0

    with database.read() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_progress_handler(count, 1000)
        (found,) = metrics.summarise(connection, project, "helpful", Grouping(by, "lang"))[1].groups
        driver.set_progress_handler(None, 0)
    assert found.count == 300
    # 300 times 300 would be 300 thousand and more.
    assert thousands_of_steps < 100
