from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from adaptive_engine.store import Database, interactions, scans, traffic
from adaptive_engine.store.statistics import DAY_MS, HOUR_MS
from adaptive_engine.store.traffic import TrafficReport, Width
from adaptive_engine.types import Interaction, Project, Usage

Make = Callable[..., Interaction]
START = 20_000 * DAY_MS


def report(
    database: Database, project: Project, width: Width = "hour", first: int | None = None, last: int | None = None
) -> TrafficReport:
    with database.read() as connection:
        return traffic.of_project(connection, project.id, width, first, last)


def store(database: Database, *rows: Interaction) -> None:
    with database.write() as connection:
        interactions.insert(connection, rows)


def answer(make: Make, at: int = START, latency: float = 10.0, **fields: Any) -> Interaction:
    timings = {"ttft_ms": latency / 2, "total_ms": latency}
    given = {"state": "complete", "model_key": "a", "timings": timings, "usage": Usage(10, 5, 4)}
    return make(created_at=at, **{**given, **fields})


def test_how_requests_ended_is_counted_by_time_and_model(database: Database, project: Project, make: Make) -> None:
    store(
        database,
        answer(make),
        answer(make, state="length"),
        answer(make, START + HOUR_MS - 1, model_key="b"),
        answer(make, START + HOUR_MS, state="error"),
        answer(make, START + HOUR_MS, state="aborted", model_key=None),
        answer(make, START + HOUR_MS, state="cancelled"),
        # What was logged by hand was not asked here, and what still runs has not ended.
        answer(make, source="OFFLINE"),
        answer(make, state="pending"),
    )
    found = report(database, project)
    counts = [(each.group, each.answered, each.failed, each.cancelled) for each in (*found.spans, *found.models)]
    assert counts == [(START, 3, 0, 0), (START + HOUR_MS, 0, 2, 1), ("a", 2, 1, 1), ("b", 1, 0, 0), (None, 0, 1, 0)]
    total = found.total
    assert (total.answered, total.failed, total.cancelled) == (3, 2, 1)
    assert (total.prompt_tokens, total.cached_tokens, total.completion_tokens) == (60, 24, 30)
    assert found.searched_to is None
    assert [each.group for each in report(database, project, "day").spans] == [START]
    (later,) = report(database, project, "hour", START + 1, START + HOUR_MS).spans
    assert (later.answered, later.failed) == (1, 0)


def test_only_answers_have_percentiles(database: Database, project: Project, make: Make) -> None:
    assert report(database, project).total.latency_ms is None
    store(database, answer(make, state="error", latency=9e5), answer(make, latency=40, timings={"total_ms": 40.0}))
    total = report(database, project).total
    assert total.time_to_first_token_ms is None
    assert total.latency_ms is not None
    assert total.latency_ms.p50 == total.latency_ms.p99 == pytest.approx(40, rel=0.013)


def test_percentiles_are_those_of_the_values(database: Database, project: Project, make: Make) -> None:
    values = [random.Random(7).lognormvariate(6, 2) for _ in range(500)]
    store(database, *(answer(make, latency=value) for value in values))
    total = report(database, project).total
    for found, divisor in ((total.latency_ms, 1), (total.time_to_first_token_ms, 2)):
        assert found is not None
        for share, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
            expected = sorted(values)[math.ceil(share * len(values)) - 1] / divisor
            assert value == pytest.approx(expected, rel=0.013, abs=0.06)


@pytest.mark.parametrize("latency", [0.0, 0.04, 9.96, 10.0, 99.9, 100.0, 59_999.0, 7.2e6, 9.9e7, 1e8, 1e300])
def test_every_time_has_a_class(database: Database, project: Project, make: Make, latency: float) -> None:
    store(database, answer(make, latency=latency))
    found = report(database, project).total.latency_ms
    assert found is not None
    assert found.p50 == pytest.approx(min(latency, 1e8), rel=0.013, abs=0.06)


def test_counting_stops_in_time_and_says_where(
    database: Database, project: Project, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(database, *(answer(make, START + at) for at in range(100)))
    monkeypatch.setattr(scans, "FIRST_WINDOW", 10)
    whole = report(database, project)
    assert (whole.total.answered, whole.searched_to) == (100, None)
    monkeypatch.setattr(traffic, "TRAFFIC_SECONDS", 0.0)
    part = report(database, project)
    assert part.searched_to == START + 100 - part.total.answered
    assert part.total.latency_ms == whole.total.latency_ms
