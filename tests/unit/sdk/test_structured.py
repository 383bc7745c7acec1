from __future__ import annotations

from pydantic import BaseModel

from unit.sdk.both import result
from unit.sdk.scripted import Reply, ScriptedServer

REPORT = {
    "verdict": "partly_enforced",
    "enforced": ["type"],
    "rewritten": [],
    "narrowed": [],
    "unenforced": [{"pointer": "/properties/a/format", "keyword": "format", "reason": "no grammar"}],
    "compile_ms": 3.5,
}


class City(BaseModel):
    name: str


async def test_validate(server: ScriptedServer, client) -> None:
    server.replies(Reply(REPORT))
    report = await result(client.structured.validate(City, model="default"))
    assert report.unenforced[0].pointer == "/properties/a/format"
    assert server.last.path == "/api/v1/structured/validate"
    sent = server.last.body
    assert sent["model"] == "default"
    assert sent["response_format"]["json_schema"]["schema"]["required"] == ["name"]
