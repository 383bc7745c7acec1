"""/api/v1/projects/{project}/traffic, and a metric by model over time."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from adaptive_engine.server.lifespan import Services
from adaptive_engine.store import interactions, projects
from adaptive_engine.store.statistics import DAY_MS
from adaptive_engine.types import Interaction, Usage, uuid7

START = 20_000 * DAY_MS
TIMES = {"from": str(START), "to": str(START + DAY_MS)}


@pytest.fixture(scope="module")
def headers(services: Services) -> dict[str, str]:
    """Of a key for a project with two answers and a failure."""
    with services.database.write() as connection:
        project = projects.get_by_key(connection, "default")
        assert project is not None
        rows = [
            Interaction(
                *(uuid7(), project.id, uuid7(), [], state, "LIVE", START + at),
                model_key=model,
                usage=Usage(10, 5, 4),
                timings={"ttft_ms": 20.0, "total_ms": 100.0 * (at + 1)},
            )
            for at, (state, model) in enumerate([("complete", "a"), ("length", "b"), ("error", None)])
        ]
        interactions.insert(connection, rows)
    return {"Authorization": f"Bearer {services.keys.create('test', 'read-only', project.id)[1]}"}


async def ask(client: httpx2.AsyncClient, headers: dict[str, str], **query: str) -> httpx2.Response:
    return await client.get("/projects/default/traffic", params=query, headers=headers)


async def test_what_was_asked_is_counted(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    found: dict[str, Any] = (await ask(client, headers, width="day", **TIMES)).json()
    assert [group["group"] for group in found["data"]] == ["2024-10-04T00:00:00Z"]
    assert [(group["group"], group["answered"]) for group in found["models"]] == [("a", 1), ("b", 1), (None, 0)]
    total = found["total"]
    assert (total["answered"], total["failed"], total["cancelled"]) == (2, 1, 0)
    assert (total["prompt_tokens"], total["cached_tokens"], total["completion_tokens"]) == (30, 12, 15)
    assert total["time_to_first_token_ms"]["p50"] == pytest.approx(20, rel=0.013)
    assert total["latency_ms"]["p99"] == pytest.approx(200, rel=0.013)
    assert found["searched_to"] is None
    assert (await ask(client, headers)).json()["data"] == []


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"width": "week"}, "width"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2020-01-01T00:00:00Z"}, "from"),
        ({"width": "day", "from": "0", "to": str(START)}, "from"),
        ({"model": "a"}, "model"),
    ],
)
async def test_mistakes_are_named(
    client: httpx2.AsyncClient, headers: dict[str, str], query: dict[str, str], param: str
) -> None:
    refused = await ask(client, headers, **query)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), refused.text


async def test_a_metric_over_time_by_model(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    query = {"project": "default", "group_by": "day", "by_model": "true", **TIMES}
    found = (await client.get("/metrics/latency/statistics", params=query, headers=headers)).json()
    day = "2024-10-04T00:00:00Z"
    assert [(group["group"], group["model"], group["mean"]) for group in found["data"]] == [
        (day, "a", 100.0),
        (day, "b", 200.0),
    ]
    refused = await client.get("/metrics/latency/statistics", params={**query, "group_by": "model"}, headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "by_model")
