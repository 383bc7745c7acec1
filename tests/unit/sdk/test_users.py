"""Users, teams, roles, permissions, keys and shares: what is sent, and what comes of the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from adaptive_engine.sdk import NotFoundError
from unit.sdk.both import result
from unit.sdk.scripted import Reply, ScriptedServer, error_body

SINCE = {"id": "0199f6a2-0000-7000-8000-000000000001", "created_at": "2026-01-01T00:00:00Z"}
USER = {**SINCE, "email": "ada@example.com", "name": "Ada", "user_type": "HUMAN", "teams": []}
TEAM = {**SINCE, "key": "research", "name": "Research"}
ROLE = {**SINCE, "key": "reviewer", "name": "Reviewer", "permissions": ["project:read"], "built_in": False}
KEY = {
    **SINCE,
    "name": "app",
    "role": "inference",
    "project": "proj",
    "user": None,
    "expires_at": None,
    "revoked_at": None,
}
ME = {"key": "k7", "permissions": ["project:create"], "projects": {"proj": ["project:read"]}}


def sent(server: ScriptedServer) -> tuple[str, str, Any]:
    return server.last.method, server.last.path.removeprefix("/api/v1"), server.last.body


async def test_me(server: ScriptedServer, client) -> None:
    server.replies(Reply({**ME, "user": USER}), Reply({**ME, "user": None}))
    assert (await result(client.users.me())).email == "ada@example.com"
    assert await result(client.users.me()) is None
    assert (await result(client.permissions.own())).projects == {"proj": ["project:read"]}
    assert sent(server) == ("GET", "/me", None)


async def test_users(server: ScriptedServer, client) -> None:
    server.replies(Reply({"data": [USER]}))
    assert [user.name for user in await result(client.users.list())] == ["Ada"]
    server.replies(Reply({**USER, "api_key": None}, status=201))
    await result(client.users.create("ada@example.com", "Ada", [("research", "annotator")]))
    places = [{"team": "research", "role": "annotator"}]
    body = {"email": "ada@example.com", "name": "Ada", "teams": places, "generate_api_key": False}
    assert sent(server) == ("POST", "/users", body)
    server.replies(Reply({**USER, "api_key": "ad_secret"}, status=201))
    assert (await result(client.users.create_service_account("ci-bot"))).api_key == "ad_secret"
    body = {"name": "ci-bot", "user_type": "SYSTEM", "teams": [], "generate_api_key": True}
    assert sent(server) == ("POST", "/users", body)
    server.replies(Reply(USER))
    await result(client.users.delete("ada@example.com"))
    assert sent(server) == ("DELETE", "/users/ada%40example.com", None)
    await result(client.users.add_to_team("ada@example.com", "research", "annotator"))
    assert sent(server) == ("PUT", "/users/ada%40example.com/teams/research", {"role": "annotator"})
    await result(client.users.remove_from_team("ada@example.com", "research"))
    assert sent(server) == ("DELETE", "/users/ada%40example.com/teams/research", None)


async def test_get_a_user(server: ScriptedServer, client) -> None:
    server.replies(Reply(USER), Reply(error_body("none", code="user_not_found"), status=404))
    assert (await result(client.users.get("ada@example.com"))).name == "Ada"
    assert await result(client.users.get("nobody")) is None
    server.replies(Reply(error_body("old server", code="route_not_found"), status=404))
    with pytest.raises(NotFoundError):
        await result(client.users.get("nobody"))


async def test_teams(server: ScriptedServer, client) -> None:
    server.replies(Reply({"data": [TEAM]}), Reply(TEAM))
    assert [team.key for team in await result(client.teams.list())] == ["research"]
    await result(client.teams.create("research", "Research"))
    assert sent(server) == ("POST", "/teams", {"key": "research", "name": "Research"})
    await result(client.teams.delete("research"))
    assert sent(server) == ("DELETE", "/teams/research", None)


async def test_roles_and_permissions(server: ScriptedServer, client) -> None:
    server.replies(Reply({"data": [ROLE]}), Reply(ROLE))
    assert [role.key for role in await result(client.roles.list())] == ["reviewer"]
    await result(client.roles.create("reviewer", ["project:read"]))
    assert sent(server) == ("POST", "/roles", {"key": "reviewer", "permissions": ["project:read"]})
    await result(client.roles.update("reviewer", []))
    assert sent(server) == ("PATCH", "/roles/reviewer", {"permissions": []})
    await result(client.roles.delete("reviewer"))
    assert sent(server) == ("DELETE", "/roles/reviewer", None)
    server.replies(Reply({"data": [{"key": "project:read", "description": "see a project"}]}))
    assert await result(client.permissions.list()) == ["project:read"]


async def test_keys(server: ScriptedServer, client) -> None:
    server.replies(Reply({"data": [KEY]}))
    assert [key.role for key in await result(client.keys.list())] == ["inference"]
    server.replies(Reply({**KEY, "api_key": "ad_secret"}, status=201))
    later = datetime(2027, 1, 1, tzinfo=UTC)
    created = await result(client.keys.create("app", role="inference", project="proj", expires_at=later))
    assert created.api_key == "ad_secret"
    method, path, body = sent(server)
    assert (method, path) == ("POST", "/keys")
    assert datetime.fromisoformat(body.pop("expires_at")) == later
    assert body == {"name": "app", "role": "inference", "project": "proj"}
    server.replies(Reply(KEY))
    await result(client.keys.revoke("k7"))
    assert sent(server) == ("DELETE", "/keys/k7", None)


async def test_shares(server: ScriptedServer, client) -> None:
    owner = {"team": "default", "role": "admin", "is_owner": True}
    guest = {"team": "partners", "role": "read-only", "is_owner": False}
    server.replies(Reply({"data": [owner]}), Reply({"data": [owner, guest]}))
    assert [share.team for share in await result(client.projects.share("proj", "partners", "read-only"))] == [
        "default",
        "partners",
    ]
    assert sent(server) == ("PUT", "/projects/proj/shares", {"shares": [owner, guest]})
    # Another role for an owner: it stays one.
    await result(client.projects.share("proj", "default", "power_user"))
    assert sent(server)[2] == {"shares": [guest, {**owner, "role": "power_user"}]}
    await result(client.projects.unshare("proj", "partners"))
    assert sent(server)[2] == {"shares": [owner]}
