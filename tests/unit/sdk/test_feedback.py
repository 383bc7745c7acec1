from __future__ import annotations

from uuid import UUID

import pytest

from adaptive_engine.sdk import ConflictError, NotFoundError
from adaptive_engine.wire.feedback import FeedbackCreate, MetricCreate
from unit.sdk.both import result
from unit.sdk.scripted import COMPLETION, Reply, ScriptedServer, error_body

ID = "01890000-0000-7000-8000-000000000003"
METRIC = {
    "id": ID,
    "project": "proj",
    "key": "a/b",
    "name": "a/b",
    "kind": "SCALAR",
    "scoring_type": "HIGHER_IS_BETTER",
    "description": "",
    "unit": None,
    "created_at": "2026-11-01T00:00:00Z",
}


async def test_register_key(server: ScriptedServer, client) -> None:
    server.replies(Reply(METRIC, status=201))
    metric = await result(client.feedback.register_key("a/b"))
    assert metric.id == UUID(ID)
    assert server.last.body == {
        "project": "proj",
        "key": "a/b",
        "kind": "scalar",
        "scoring_type": "higher_is_better",
    }
    await result(client.feedback.register_key("a/b", "bool", "lower_is_better", "N", "D", "ms", "p"))
    assert MetricCreate.model_validate(server.last.body).unit == "ms"


async def test_register_key_twice(server: ScriptedServer, make_client) -> None:
    server.replies(Reply(error_body("The metric exists."), status=409, headers={"x-should-retry": "false"}))
    with pytest.raises(ConflictError):
        await result(make_client().feedback.register_key("a/b"))


@pytest.mark.parametrize("value", [True, False, 0, 1.5])
async def test_log_metric(server: ScriptedServer, client, value: bool | float) -> None:
    server.replies(Reply({"feedback_id": ID}, status=201))
    created = await result(
        client.feedback.log_metric(value, UUID(COMPLETION), "a/b", details="d", reason="r", user="ada")
    )
    assert created.feedback_id == UUID(ID)
    assert (server.last.method, server.last.path) == ("POST", "/api/v1/feedback")
    assert server.last.body["value"] is value or server.last.body["value"] == value
    assert FeedbackCreate.model_validate(server.last.body).metric == "a/b"


async def test_log_metric_needs_a_uuid(server: ScriptedServer, client) -> None:
    with pytest.raises(ValueError, match="completion_id"):
        await result(client.feedback.log_metric(1, "x", "a"))
    assert server.received == []


async def test_get_key(server: ScriptedServer, client) -> None:
    server.replies(Reply(METRIC))
    assert (await result(client.feedback.get_key("a/b"))).key == "a/b"
    assert server.last.path == "/api/v1/metrics/a%2Fb"
    assert server.last.query == [("project", "proj")]
    server.replies(Reply(error_body("EntityNotFound: x", code="metric_not_found"), status=404))
    assert await result(client.feedback.get_key("x")) is None
    server.replies(Reply("nothing here", status=404))
    with pytest.raises(NotFoundError):
        await result(client.feedback.get_key("x"))


async def test_list_keys(server: ScriptedServer, client) -> None:
    server.replies(Reply({"object": "list", "data": [METRIC]}))
    assert [metric.key for metric in await result(client.feedback.list_keys(project="p"))] == ["a/b"]
    assert (server.last.path, server.last.query) == ("/api/v1/metrics", [("project", "p")])
