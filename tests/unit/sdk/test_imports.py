from __future__ import annotations

from typing import Any

import pytest

from adaptive_engine.sdk import ConflictError
from unit.sdk.both import result
from unit.sdk.scripted import COMPLETION, Reply, ScriptedServer, error_body


def found(**fields: Any) -> dict[str, Any]:
    begun = {"id": COMPLETION, "name": "small", "path": None, "key": "small", "state": "RUNNING", "stage": None}
    times = {"created_at": "2026-01-01T00:00:00Z", "ended_at": None}
    return {**begun, **times, "done": 0, "total": None, "error": None, **fields}


async def test_an_import_is_begun_and_cancelled(server: ScriptedServer, client) -> None:
    server.replies(Reply(found(), status=202), Reply(found(state="CANCELLED")))
    begun = await result(client.imports.create("small", key="k"))
    assert (server.last.method, server.last.path) == ("POST", "/api/v1/admin/imports")
    assert server.last.body == {"name": "small", "key": "k"}
    assert (await result(client.imports.cancel(begun.id))).state == "CANCELLED"
    assert server.last.path == f"/api/v1/admin/imports/{COMPLETION}/cancel"
    server.replies(Reply(error_body("busy", code="import_running"), 409))
    with pytest.raises(ConflictError, match="busy"):
        await result(client.imports.create(path="a.gguf"))
    assert server.last.body == {"path": "a.gguf"}


async def test_waiting_tells_how_far_it_is(server: ScriptedServer, client) -> None:
    failure = {"message": "It is broken.", "code": "invalid_model"}
    server.replies(Reply(found(state="FAILED", stage="read", done=5, total=5, error=failure)))
    seen: list[Any] = []
    ended = await result(client.imports.wait(COMPLETION, seen.append))
    assert (ended.state, ended.error.message) == ("FAILED", "It is broken.")
    assert seen == [ended]


async def test_what_there_is(server: ScriptedServer, client) -> None:
    entry = {"name": "small", "title": "Small", "license": "MIT", "size": 7}
    server.replies(Reply({"catalog": [entry], "files": None}), Reply({"data": [found()]}))
    sources = await result(client.imports.sources())
    assert (sources.catalog[0].title, sources.files) == ("Small", None)
    assert [each.key for each in await result(client.imports.list())] == ["small"]
    server.replies(Reply(error_body("gone", code="import_not_found"), 404))
    assert await result(client.imports.get("x")) is None
