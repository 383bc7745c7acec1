from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from adaptive_engine.sdk import ConflictError, NotFoundError
from unit.sdk.both import result
from unit.sdk.scripted import COMPLETION, Reply, ScriptedServer, error_body


def card(project: str) -> dict[str, object]:
    named = {"id": f"{project}/m", "project": project, "name": "M"}
    return {**named, "created": 1, "owned_by": "internal", "context_length": 2048}


def model(**fields: Any) -> dict[str, Any]:
    return {
        "id": "0199f6a2-0000-7000-8000-000000000001",
        "key": "m",
        "name": "M",
        "provider": "internal",
        "capabilities": [],
        "context_length": 2048,
        "created_at": "2026-01-01T00:00:00Z",
        "state": "ONLINE",
        "compute_config": {},
        "deployments": [],
        **fields,
    }


async def test_list(server: ScriptedServer, client) -> None:
    server.replies(Reply({"object": "list", "data": [card("proj"), card("other")]}))
    assert [model.id for model in await result(client.models.list())] == ["proj/m", "other/m"]
    assert (server.last.path, server.last.query) == ("/api/v1/models", [])
    server.replies(
        Reply({"object": "list", "data": [card("other")]}), Reply(error_body("none", code="project_not_found"), 404)
    )
    assert [model.id for model in await result(client.models.list("other"))] == ["other/m"]
    assert server.last.query == [("project", "other")]
    with pytest.raises(NotFoundError):
        await result(client.models.list("ohter"))


async def test_list_registered(server: ScriptedServer, client) -> None:
    server.replies(Reply({"data": [model(), model(key="n", state="ERROR", reason="It is damaged.")]}))
    found = await result(client.models.list_registered())
    assert [(model.key, model.state, model.reason) for model in found] == [
        ("m", "ONLINE", None),
        ("n", "ERROR", "It is damaged."),
    ]
    assert server.last.path == "/api/v1/admin/models"


async def test_get(server: ScriptedServer, client) -> None:
    server.replies(Reply(model()), Reply(error_body("none", code="model_not_found"), status=404))
    assert (await result(client.models.get("a/b"))).key == "m"
    assert server.last.path == "/api/v1/admin/models/a%2Fb"
    assert await result(client.models.get("m")) is None
    await result(client.models.get("m", "a b"))
    assert server.last.path == "/api/v1/projects/a%20b/models/m"
    server.replies(Reply(error_body("old server", code="route_not_found"), status=404))
    with pytest.raises(NotFoundError):
        await result(client.models.get("m"))


async def test_deploy_and_attach_are_one(server: ScriptedServer, client) -> None:
    server.replies(Reply(model(state="PENDING"), status=202))
    assert (await result(client.models.deploy("m"))).state == "PENDING"
    assert server.last.body == {"model": "m", "wait": False, "make_default": False}
    await result(client.models.attach("m", wait=True, make_default=True, project="other", settings={"seed": 1}))
    assert (server.last.method, server.last.path) == ("POST", "/api/v1/projects/other/models")
    assert server.last.body == {"model": "m", "wait": True, "make_default": True, "settings": {"seed": 1}}
    await result(client.models.add_to_project("m"))
    assert server.last.path == "/api/v1/projects/proj/models"
    assert server.last.body == {"model": "m", "desired_online": False}


async def test_detach(server: ScriptedServer, client) -> None:
    server.replies(Reply({"project": "proj", "model": "m", "deleted": True}))
    assert await result(client.models.detach("m")) is True
    assert (server.last.method, server.last.path, server.last.query) == ("DELETE", "/api/v1/projects/proj/models/m", [])
    await result(client.models.detach("m", "other", force=True))
    assert (server.last.path, server.last.query) == ("/api/v1/projects/other/models/m", [("force", "true")])


class City(BaseModel):
    name: str


async def test_settings(server: ScriptedServer, client) -> None:
    deployment = {"id": COMPLETION, "project": "proj", "is_default": True, "desired_online": True}
    deployment |= {"created_at": "2026-01-01T00:00:00Z", "settings": {"temperature": 0.5}}
    warning = {"code": "schema_keyword_not_enforced", "message": "uniqueItems", "param": "settings"}
    server.replies(Reply(model(deployments=[deployment], warnings=[warning])))
    changed = await result(client.models.update("m", settings={"seed": None, "response_format": City}))
    assert server.last.body["settings"]["seed"] is None
    assert server.last.body["settings"]["response_format"]["json_schema"]["name"] == "City"
    assert changed.deployment("proj").settings.temperature == 0.5
    assert changed.deployment("other") is None
    assert changed.warnings[0].message == "uniqueItems"


async def test_what_is_not_given_is_not_sent(server: ScriptedServer, client) -> None:
    server.replies(Reply(model()))
    await result(client.models.update("m", desired_online=False))
    assert (server.last.method, server.last.path) == ("PATCH", "/api/v1/projects/proj/models/m")
    assert server.last.body == {"desired_online": False}
    await result(client.models.update_compute_config("m", {"kv_cache_len": None}))
    assert (server.last.method, server.last.path) == ("PATCH", "/api/v1/admin/models/m")
    assert server.last.body == {"compute_config": {"kv_cache_len": None}}


async def test_terminate(server: ScriptedServer, client) -> None:
    refusal = Reply(error_body("two projects", code="model_in_use"), 409, {"x-should-retry": "false"})
    server.replies(refusal, Reply(model(state="OFFLINE")))
    with pytest.raises(ConflictError, match="two projects"):
        await result(client.models.terminate("m"))
    assert (await result(client.models.terminate("m", force=True))).state == "OFFLINE"
    assert (server.last.path, server.last.body) == ("/api/v1/admin/models/m/terminate", {"force": True})
