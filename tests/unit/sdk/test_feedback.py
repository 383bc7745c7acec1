from __future__ import annotations

from uuid import UUID

import pytest

from adaptive_engine.sdk import ConflictError, NotFoundError
from adaptive_engine.wire.feedback import ComparedText, ComparisonCreate, FeedbackCreate, MetricCreate, OutcomeCreate
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


async def test_an_empty_key_is_no_list(server: ScriptedServer, client) -> None:
    for call in (client.feedback.get_key, client.feedback.delete_key, client.graders.get, client.ab_tests.get):
        with pytest.raises(ValueError, match=r"^key is empty"):
            await result(call(""))
    with pytest.raises(ValueError, match=r"^model is empty"):
        await result(client.models.get(""))
    assert server.received == []


async def test_list_keys(server: ScriptedServer, client) -> None:
    server.replies(Reply({"object": "list", "data": [METRIC]}))
    assert [metric.key for metric in await result(client.feedback.list_keys(project="p"))] == ["a/b"]
    assert (server.last.path, server.last.query) == ("/api/v1/metrics", [("project", "p")])


async def test_log_preference(server: ScriptedServer, client) -> None:
    server.replies(Reply({"comparison_id": ID}, status=201))
    created = await result(client.feedback.log_preference("a/b", UUID(COMPLETION), ID, user="ada", tied="good"))
    assert created.comparison_id == UUID(ID)
    # The completions tell the project.
    assert server.last.body == {
        "metric": "a/b",
        "preferred_completion": COMPLETION,
        "other_completion": ID,
        "tied": "good",
        "user_id": "ada",
    }
    texts = [{"text": "A.", "model": "m"}, {"text": "B.", "model": "m"}]
    await result(client.feedback.log_preference("a/b", *texts, messages=[{"role": "user", "content": "?"}]))
    body = ComparisonCreate.model_validate(server.last.body)
    assert (body.project, body.other_completion) == ("proj", ComparedText(text="B.", model="m"))
    with pytest.raises(ValueError, match="other_completion"):
        await result(client.feedback.log_preference("a/b", COMPLETION, "x"))


async def test_outcomes(server: ScriptedServer, client) -> None:
    server.replies(Reply({"outcome_id": ID}, status=201))
    assert (await result(client.feedback.log_outcome(2.5, COMPLETION, "a/b"))).outcome_id == UUID(ID)
    assert OutcomeCreate.model_validate(server.last.body).project_id == "proj"
    server.replies(Reply({"data": []}))
    assert await result(client.feedback.list_outcomes(COMPLETION, "p")) == []
    assert (server.last.path, dict(server.last.query)) == (
        "/api/v1/outcomes",
        {"project": "p", "session_id": COMPLETION},
    )


async def test_update_and_delete_key(server: ScriptedServer, client) -> None:
    server.replies(Reply(METRIC))
    await result(client.feedback.update_key("a/b", unit="ms"))
    assert (server.last.method, server.last.path) == ("PATCH", "/api/v1/metrics/a%2Fb")
    assert (server.last.body, server.last.query) == ({"unit": "ms"}, [("project", "proj")])
    server.replies(Reply(content=b"", status=204))
    assert await result(client.feedback.delete_key("a/b")) is None
    assert server.last.method == "DELETE"


async def test_statistics(server: ScriptedServer, client) -> None:
    group = {"group": "2026-11-01T00:00:00Z", "count": 1, "mean": 1, "min": 1, "max": 1, "stddev": None, "sum": 1}
    server.replies(Reply({"project": "proj", "metric": "latency", "unit": "ms", "group_by": "day", "data": [group]}))
    found = await result(client.feedback.statistics("latency", "day", {"from": 5}))
    assert found.data[0].count == 1
    assert server.last.path == "/api/v1/metrics/latency/statistics"
    assert server.last.query == [("project", "proj"), ("group_by", "day"), ("from", "5")]
