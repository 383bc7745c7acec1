"""GraphQL operations that no client of the vendor sends."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, cast

import httpx2
import pytest
from graphql import GraphQLScalarType

from adaptive_engine.server.graphql import route, schema
from adaptive_engine.server.graphql.limits import Budget
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import models
from adaptive_engine.store import projects
from adaptive_engine.types import Project, now_ms, uuid7


async def test_lists_in_lists_end_at_a_limit(
    services: Services, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "Budget", partial(Budget, 1000))
    with services.database.write() as connection:
        for at in range(7):
            projects.create(connection, Project(uuid7(), f"project-{at}", "", "", now_ms()))
            models.attach(connection, f"project-{at}", "tiny")
    services.routing.refresh()
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'read-only')[1]}"}

    async def ask(levels: int) -> Any:
        query = "key name"
        for _ in range(levels):
            query = f"modelServices {{ model {{ projects {{ {query} }} }} }}"
        body = {"query": f"{{ projects {{ {query} }} }}"}
        return (await client.post("http://server/api/graphql", json=body, headers=headers)).json()

    assert len((await ask(1))["data"]["projects"]) == 8
    refused = await ask(3)
    assert refused["data"] is None
    (error,) = refused["errors"]
    assert "more than 1000 values" in error["message"]


async def test_an_offset_is_not_negative(services: Services, client: httpx2.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}
    query = '{ completionsGrouped(filter: {project: "default"}, groupBy: MODEL, page: {offset: -1}) { totalCount } }'
    answer = await client.post("http://server/api/graphql", json={"query": query}, headers=headers)
    (error,) = answer.json()["errors"]
    assert error["extensions"] == {"code": "invalid_request", "param": "page.offset", "status": 400}


async def test_a_metric_with_outcomes_is_not_unlinked(services: Services, client: httpx2.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}

    async def send(path: str, **body: Any) -> Any:
        answer = await client.post(f"http://server/api/{path}", json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    session = str(uuid7())
    await send("v1/metrics", project="default", key="solved", kind="bool")
    messages = [{"role": "user", "content": "Hi"}]
    await send("v1/interactions", project="default", messages=messages, completion="Hello.", session_id=session)
    await send("v1/outcome", project_id="default", metric="solved", session_id=session, value=True)
    query = 'mutation { unlinkMetric(input: {useCase: "default", metric: "solved"}) }'
    (error,) = (await send("graphql", query=query))["errors"]
    assert "they may be lost" in error["message"]


def test_a_time_without_a_zone_is_the_same_on_every_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        read = cast(GraphQLScalarType, schema.current().type_map["DateTimeInput"]).parse_value
        assert read("2026-01-01T00:00:00") == read("2026-01-01T00:00:00Z")
    finally:
        monkeypatch.undo()
        time.tzset()
