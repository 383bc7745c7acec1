from __future__ import annotations

from unit.sdk.both import result
from unit.sdk.scripted import Reply, ScriptedServer


def card(project: str) -> dict[str, object]:
    named = {"id": f"{project}/m", "project": project, "name": "M"}
    return {**named, "created": 1, "owned_by": "internal", "context_length": 2048}


async def test_list(server: ScriptedServer, client) -> None:
    server.replies(Reply({"object": "list", "data": [card("proj"), card("other")]}))
    assert [model.id for model in await result(client.models.list())] == ["proj/m", "other/m"]
    assert [model.id for model in await result(client.models.list("other"))] == ["other/m"]
    assert server.last.path == "/api/v1/models"
