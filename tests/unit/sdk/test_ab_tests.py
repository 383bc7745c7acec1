from __future__ import annotations

from uuid import UUID

import pytest

from adaptive_engine.sdk import ConflictError, NotFoundError
from adaptive_engine.wire.ab_tests import AbTestCreate
from unit.sdk.both import result
from unit.sdk.scripted import Reply, ScriptedServer, error_body

ID = "01890000-0000-7000-8000-000000000003"
TEST = {
    "id": ID,
    "project": "proj",
    "key": "a/b",
    "name": "a/b",
    "metric": "helpful",
    "models": [{"id": ID, "key": "m"}],
    "score_type": "DIRECT",
    "status": "WARMUP",
    "traffic_split": 1.0,
    "auto_deploy": False,
    "alpha": 0.05,
    "min_scores": 30,
    "scores": 0,
    "has_enough_scores": False,
    "report": {"p_value": None, "variants": []},
    "verdict": None,
    "warnings": [],
    "begun_at": "2026-11-01T00:00:00Z",
    "ended_at": None,
    "created_at": "2026-11-01T00:00:00Z",
}


async def test_create(server: ScriptedServer, client) -> None:
    server.replies(Reply(TEST, status=201))
    test = await result(client.ab_tests.create("a/b", "helpful", ("m", "n"), 0.5, "preference", True, min_scores=50))
    assert test.id == UUID(ID)
    sent = AbTestCreate.model_validate(server.last.body)
    assert (sent.project, sent.models, sent.traffic_split, sent.score_type) == ("proj", ["m", "n"], 0.5, "COMPARISON")
    assert (sent.auto_deploy, sent.min_scores, sent.alpha) == (True, 50, None)
    with pytest.raises(ValueError, match="feedback_type"):
        await result(client.ab_tests.create("a/b", "helpful", ["m"], feedback_type="stars"))


async def test_get(server: ScriptedServer, client) -> None:
    server.replies(Reply(TEST))
    assert (await result(client.ab_tests.get("a/b"))).key == "a/b"
    assert (server.last.path, server.last.query) == ("/api/v1/ab_tests/a%2Fb", [("project", "proj")])
    await result(client.ab_tests.get(ID))
    assert (server.last.path, server.last.query) == (f"/api/v1/ab_tests/{ID}", [])
    server.replies(Reply(error_body("EntityNotFound: x", code="ab_test_not_found"), status=404))
    assert await result(client.ab_tests.get("x", project="p")) is None
    assert server.last.query == [("project", "p")]
    server.replies(Reply(error_body("EntityNotFound: x", code="project_not_found"), status=404))
    with pytest.raises(NotFoundError):
        await result(client.ab_tests.get("x", project="nowhere"))


async def test_list(server: ScriptedServer, client) -> None:
    server.replies(Reply({"data": [TEST]}))
    assert [test.key for test in await result(client.ab_tests.list())] == ["a/b"]
    assert server.last.query == [("project", "proj")]
    await result(client.ab_tests.list(active=False, status="DONE", project="p"))
    assert server.last.query == [("project", "p"), ("active", "false"), ("status", "DONE")]


async def test_series(server: ScriptedServer, client) -> None:
    server.replies(Reply({"width_seconds": 60, "data": []}))
    assert (await result(client.ab_tests.series("a/b"))).width_seconds == 60
    assert (server.last.path, server.last.query) == ("/api/v1/ab_tests/a%2Fb/series", [("project", "proj")])


async def test_cancel(server: ScriptedServer, client) -> None:
    server.replies(Reply({**TEST, "status": "CANCELLED"}))
    assert (await result(client.ab_tests.cancel(UUID(ID)))).status == "CANCELLED"
    assert (server.last.method, server.last.path) == ("POST", f"/api/v1/ab_tests/{ID}/cancel")
    server.replies(Reply(error_body("It has ended."), status=409, headers={"x-should-retry": "false"}))
    with pytest.raises(ConflictError):
        await result(client.ab_tests.cancel("a/b"))
    assert server.last.query == [("project", "proj")]
