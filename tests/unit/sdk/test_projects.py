from __future__ import annotations

from typing import Any

import pytest

from adaptive_engine.sdk import ConflictError, NotFoundError
from unit.sdk.both import result
from unit.sdk.scripted import COMPLETION, Reply, ScriptedServer, error_body


def project(key: str = "support", **fields: Any) -> dict[str, Any]:
    named = {"id": COMPLETION, "key": key, "name": key, "description": ""}
    return {**named, "created_at": "2026-01-01T00:00:00Z", **fields}


async def test_create(server: ScriptedServer, client) -> None:
    server.replies(Reply(project(), status=201), Reply(error_body("taken", code="project_exists"), 409))
    assert (await result(client.projects.create("support"))).key == "support"
    assert (server.last.method, server.last.path) == ("POST", "/api/v1/projects")
    assert server.last.body == {"key": "support"}
    with pytest.raises(ConflictError, match="taken"):
        await result(client.projects.create(name="Support", description="d"))
    assert server.last.body == {"name": "Support", "description": "d"}


async def test_list(server: ScriptedServer, client) -> None:
    server.replies(Reply({"data": [project("a"), project("b", archived_at="2026-01-01T00:00:00Z")]}))
    assert [found.key for found in await result(client.projects.list())] == ["a", "b"]
    assert (server.last.path, server.last.query) == ("/api/v1/projects", [])
    await result(client.projects.list(archived=True))
    assert server.last.query == [("archived", "true")]


async def test_get(server: ScriptedServer, client) -> None:
    server.replies(
        Reply(project(settings={"default_metric": "ok"})), Reply(error_body("none", code="project_not_found"), 404)
    )
    found = await result(client.projects.get())
    assert (server.last.path, found.settings.default_metric) == ("/api/v1/projects/proj", "ok")
    assert await result(client.projects.get("a/b")) is None
    assert server.last.path == "/api/v1/projects/a%2Fb"
    server.replies(Reply(error_body("old server", code="route_not_found"), status=404))
    with pytest.raises(NotFoundError):
        await result(client.projects.get())


async def test_update_archive_and_unarchive(server: ScriptedServer, client) -> None:
    server.replies(Reply(project()))
    await result(client.projects.update("support", description="", settings={"default_metric": None}))
    assert (server.last.method, server.last.path) == ("PATCH", "/api/v1/projects/support")
    assert server.last.body == {"description": "", "settings": {"default_metric": None}}
    for change in ("archive", "unarchive"):
        await result(getattr(client.projects, change)("support"))
        assert (server.last.method, server.last.path) == ("POST", f"/api/v1/projects/support/{change}")


async def test_traffic(server: ScriptedServer, client) -> None:
    total = dict.fromkeys(("answered", "failed", "cancelled", "prompt_tokens", "cached_tokens"), 0)
    group = {**total, "group": None, "completion_tokens": 0, "time_to_first_token_ms": None}
    times = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    body = {"project": "proj", "width": "day", "data": [], "models": [], "total": {**group, "latency_ms": times}}
    server.replies(Reply({**body, "searched_to": None}))
    found = await result(client.projects.traffic(width="day", timerange={"from": 5}))
    assert (server.last.path, server.last.query) == (
        "/api/v1/projects/proj/traffic",
        [("width", "day"), ("from", "5")],
    )
    assert found.total.latency_ms.p95 == 2.0
