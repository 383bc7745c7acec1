"""GraphQL operations that no client of the vendor sends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from time import tzset
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from graphql import GraphQLError

from adaptive_engine.server.graphql import execution, schema
from adaptive_engine.server.graphql.limits import Budget
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import models
from adaptive_engine.store import projects
from adaptive_engine.types import Project, now_ms, uuid7


def test_a_start_does_not_import_it() -> None:
    code = "import sys\nfrom adaptive_engine.server import app, assembly\nassert 'graphql' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_lists_in_lists_end_at_a_limit(
    services: Services, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "Budget", partial(Budget, 1000))
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


def as_admin(services: Services, client: httpx2.AsyncClient) -> Callable[..., Awaitable[Any]]:
    """Posts a body to a path below /api/; what that succeeds with."""
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}

    async def send(path: str, **body: Any) -> Any:
        answer = await client.post(f"http://server/api/{path}", json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    return send


async def test_an_empty_order_is_the_usual_one(services: Services, client: httpx2.AsyncClient) -> None:
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}
    for text in ("first", "second"):
        body = {"project": "default", "messages": [{"role": "user", "content": "Hi"}], "completion": text}
        assert (await client.post("/interactions", json=body, headers=headers)).status_code == 201

    async def ask(field: str) -> Any:
        body = {"query": f"{{ {field} }}"}
        return (await client.post("http://server/api/graphql", json=body, headers=headers)).json()

    def listed(more: str) -> str:
        return f'completions(filter: {{project: "default"}}, {more}) {{ nodes {{ completion }} edges {{ cursor }} }}'

    found = await ask(listed("order: [], page: {first: 2}"))
    assert [node["completion"] for node in found["data"]["completions"]["nodes"]] == ["second", "first"]
    assert found == await ask(listed("page: {first: 2}"))
    groups = await ask('completionsGrouped(filter: {project: "default"}, groupBy: MODEL, order: []) { totalCount }')
    assert groups["data"]["completionsGrouped"]["totalCount"] >= 1
    twice = 'order: [{field: "created_at", order: ASC}, {field: "created_at", order: DESC}]'
    for refused, param in ((twice, "order"), ("page: {last: 0}", "page.last"), ("page: {first: 0}", "page.first")):
        (error,) = (await ask(listed(refused)))["errors"]
        assert error["extensions"]["param"] == param


async def test_a_metric_with_outcomes_is_not_unlinked(services: Services, client: httpx2.AsyncClient) -> None:
    send = as_admin(services, client)
    session = str(uuid7())
    await send("v1/metrics", project="default", key="solved", kind="bool")
    messages = [{"role": "user", "content": "Hi"}]
    await send("v1/interactions", project="default", messages=messages, completion="Hello.", session_id=session)
    await send("v1/outcome", project_id="default", metric="solved", session_id=session, value=True)
    query = 'mutation { unlinkMetric(input: {useCase: "default", metric: "solved"}) }'
    (error,) = (await send("graphql", query=query))["errors"]
    assert "they may be lost" in error["message"]


async def test_the_sides_of_comparisons_are_read_together(services: Services, client: httpx2.AsyncClient) -> None:
    send = as_admin(services, client)
    await send("v1/metrics", project="default", key="better", kind="bool")

    async def read_when_compared(times: int) -> tuple[int, int]:
        """How many sides there are then, and how many statements read interactions by their ids."""
        for _ in range(times):
            sides = [{"text": text, "model": "tiny"} for text in ("Good day.", "What now?")]
            about = {"project": "default", "metric": "better", "prompt": "Hi"}
            await send("v1/comparison", **about, preferred_completion=sides[0], other_completion=sides[1])
        statements: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            if "WHERE interactions.id" in statement:
                statements.append(statement)

        query = """{ completions(filter: {project: "default"}) { nodes {
            comparisonScores { preferedCompletion { id } otherCompletion { id } } } } }"""
        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        nodes = (await send("graphql", query=query))["data"]["completions"]["nodes"]
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
        sides = [side["id"] for node in nodes for score in node["comparisonScores"] for side in score.values()]
        return len(sides), len(statements)

    assert await read_when_compared(1) == (2, 2), "the page, and the sides"
    assert await read_when_compared(3) == (8, 2)


@pytest.mark.parametrize(("time", "epoch_ms"), [("2026-01-02T03:04:05", 1767323045000), (10**30, None), (True, None)])
def test_times_are_read_as_everywhere(monkeypatch: pytest.MonkeyPatch, time: Any, epoch_ms: int | None) -> None:
    scalar: Any = schema.current().type_map["DateTimeInput"]
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    tzset()
    try:
        with nullcontext() if epoch_ms is not None else pytest.raises(GraphQLError, match="RFC 3339"):
            assert scalar.parse_value(time) == epoch_ms
    finally:
        monkeypatch.undo()
        tzset()


_ADD = "mutation Add($input: AddExternalModelInput!) { addExternalModel(input: $input) { key } }"


@pytest.mark.parametrize(
    ("query", "data", "says"),
    [
        ('mutation { addExternalModel(input: {providerData: {openAI: {apiKey: "%s"}}}) { key } }', None, "'name'"),
        ('mutation { addExternalModel(input: {name: {x: "%s"}}) { key } }', None, "a non string value."),
        ('mutation { addExternalModel(input: "%s") { key } }', None, "to be an object."),
        ('mutation { addExternalModel(input: {provider: "%s"}) { key } }', None, "non-enum value."),
        ('mutation { addExternalModel(input: {name "%s"}) { key } }', None, "found a String."),
        ('mutation { addExternalModel(input: {name: "%s', None, "Unterminated string."),
        (_ADD, {"openAI": {"apiKey": "%s"}}, "'externalModelId'"),
        (_ADD, {"openAI": {"apiKey": ["%s"], "externalModelId": "m"}}, "a non string value."),
        (_ADD, "%s", "to be an object."),
    ],
)
async def test_values_that_are_refused_are_not_repeated(
    services: Services, client: httpx2.AsyncClient, query: str, data: Any, says: str
) -> None:
    """They may be the API key of a provider."""
    secret = "sk-canary-of-a-provider"
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}
    given = {"name": "m", "provider": "OPEN_AI", "providerData": data}
    body = {"query": query % secret if "%s" in query else query, "variables": {"input": given}}
    text = json.dumps(body).replace("%s", secret)
    refused = await client.post("http://server/api/graphql", content=text, headers=headers)
    messages = [error["message"] for error in refused.json()["errors"]]
    assert any(says in message for message in messages), messages
    assert "canary" not in refused.text
