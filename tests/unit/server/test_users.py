"""Users, teams, roles, shares and keys over HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2
import pytest

from adaptive_engine.permissions import PERMISSIONS, ROLES
from adaptive_engine.server.lifespan import Services
from adaptive_engine.store import api_keys, interactions, projects, users
from adaptive_engine.types import ApiKey, Project, User, now_ms, uuid7

Ask = Callable[..., Awaitable[httpx2.Response]]

OPEN = {"team": "default", "role": "annotator"}


@pytest.fixture
def ask(services: Services, client: httpx2.AsyncClient) -> Ask:
    """`method path, body`, as an admin or with another key."""
    admin = services.keys.create("test", "admin")[1]

    async def ask(route: str, body: Any = None, key: str = admin) -> httpx2.Response:
        method, path = route.split()
        return await client.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})

    return ask


async def good(answer: Awaitable[httpx2.Response]) -> Any:
    response = await answer
    assert response.status_code in (200, 201), response.text
    return response.json()


async def test_from_a_team_to_a_key_and_back(ask: Ask) -> None:
    team = await good(ask("POST /teams", {"key": "research"}))
    assert (team["object"], team["name"]) == ("team", "research")
    assert [t["key"] for t in (await good(ask("GET /teams")))["data"]] == ["admin", "default", "research"]
    wanted = {"email": "Ada@example.com", "name": "Ada", "teams": [{"team": "research", "role": "power_user"}]}
    user = await good(ask("POST /users", wanted))
    assert (user["email"], user["user_type"], user["api_key"]) == ("ada@example.com", "HUMAN", None)
    assert await good(ask("GET /users/ada@example.com")) == {k: v for k, v in user.items() if k != "api_key"}
    assert user["id"] in {found["id"] for found in (await good(ask("GET /users")))["data"]}
    moved = await good(ask("PUT /users/ada@example.com/teams/default", {"role": "annotator"}))
    assert moved["teams"] == [{"team": "default", "role": "annotator"}, {"team": "research", "role": "power_user"}]
    key = (await good(ask("POST /keys", {"name": "laptop", "user": "ada@example.com"})))["api_key"]
    me = await good(ask("GET /me", key=key))
    assert me["user"] == moved
    assert me["permissions"] == ["project:create"]
    assert me["projects"] == {"default": sorted(ROLES["annotator"])}
    await good(ask("DELETE /users/ada@example.com/teams/default"))
    assert (await good(ask("GET /me", key=key)))["projects"] == {}
    await good(ask("DELETE /users/ada@example.com"))
    refused = await ask("GET /me", key=key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    await good(ask("DELETE /teams/research"))


async def test_lists_come_whole(services: Services, ask: Ask) -> None:
    count = 1001
    names = [f"many-{at}" for at in range(count)]
    with services.database.write() as connection:
        for at, name in enumerate(names):
            users.create(connection, User(uuid7(), f"{name}@example.com", name, "HUMAN", now_ms()))
            key = ApiKey(f"many{at:08d}", name, "inference", None, at.to_bytes(32, "big"), now_ms(), revoked_at=1)
            api_keys.create(connection, key)
            projects.create(connection, Project(uuid7(), name, "", "", now_ms()))
    services.routing.refresh()
    for route, field in (("users", "name"), ("keys", "name"), ("projects", "key")):
        listed = await good(ask(f"GET /{route}"))
        assert listed.keys() == {"object", "data"}, "nothing that says there were more"
        assert set(names) <= {found[field] for found in listed["data"]}
    query = "{ users { name teams { team { key } role { key } } } projects { key } }"
    answer = (await good(ask("POST http://server/api/graphql", {"query": query})))["data"]
    assert set(names) <= {found["name"] for found in answer["users"]}
    assert set(names) <= {found["key"] for found in answer["projects"]}


async def test_a_service_account_is_shown_its_key_once(ask: Ask) -> None:
    wanted = {
        "name": "ci-bot",
        "user_type": "SYSTEM",
        "generate_api_key": True,
        "teams": [{"team": "default", "role": "inference"}],
    }
    account = await good(ask("POST /users", wanted))
    assert account["email"] == "ci-bot@system.adaptive.local"
    key = account["api_key"]
    body = {"project": "default", "messages": [{"role": "user", "content": "Hi"}], "completion": "Hello."}
    logged = await good(ask("POST /interactions", body, key=key))
    assert (await ask(f"GET /interactions/{logged['completion_id']}", key=key)).status_code == 403
    # It changes its key by itself.
    again = await good(ask("POST /keys", {"name": "new", "user": account["id"]}, key=key))
    assert (await ask("GET /me", key=key)).status_code == 401
    listed = (await good(ask("GET /keys", key=again["api_key"])))["data"]
    assert [(found["name"], found["user"], found["role"]) for found in listed] == [
        ("ci-bot", account["email"], None),
        ("new", account["email"], None),
    ]
    assert [found["revoked_at"] is None for found in listed] == [False, True]
    assert again["api_key"] not in str(listed)


async def test_who_sent_an_interaction_is_stored_with_it(ask: Ask, services: Services) -> None:
    wanted = {"email": "eve@example.com", "name": "Eve", "generate_api_key": True}
    user = await good(ask("POST /users", {**wanted, "teams": [{"team": "default", "role": "power_user"}]}))
    messages = [{"role": "user", "content": "Hi"}]
    logged = await good(
        ask("POST /interactions", {"project": "default", "messages": messages, "completion": "a"}, key=user["api_key"])
    )
    services.engines.wait()
    body = {"model": "default", "messages": messages, "max_tokens": 1}
    answer = await good(ask("POST /chat/completions", body, key=user["api_key"]))
    with services.database.read() as connection:
        project = projects.get_by_key(connection, "default")
        assert project is not None
        for completion_id in (logged["completion_id"], answer["choices"][0]["completion_id"]):
            stored = interactions.get(connection, [project.id], UUID(completion_id))
            assert stored is not None
            assert str(stored.interaction.created_by) == user["id"]


async def test_an_address_finds_what_all_its_users_sent(ask: Ask) -> None:
    wanted = {"email": "bob@example.com", "name": "Bob", "generate_api_key": True}
    body = {"project": "default", "messages": [{"role": "user", "content": "Hi"}], "completion": "a"}
    sent = []
    for _ in range(2):
        user = await good(ask("POST /users", {**wanted, "teams": [{"team": "default", "role": "power_user"}]}))
        sent.append((await good(ask("POST /interactions", body, key=user["api_key"])))["completion_id"])
        await good(ask("DELETE /users/bob@example.com"))
    search = {"project": "default", "filter": {"created_by": {"eq": "Bob@Example.com"}}}
    found = (await good(ask("POST /interactions/search", search)))["data"]
    assert {row["id"] for row in found} == set(sent)


async def test_roles_and_permissions(ask: Ask) -> None:
    permissions = (await good(ask("GET /permissions")))["data"]
    assert {found["key"]: found["description"] for found in permissions} == PERMISSIONS
    role = await good(ask("POST /roles", {"key": "reviewer", "name": "Reviewer", "permissions": ["project:read"]}))
    assert (role["permissions"], role["built_in"]) == (["project:read"], False)
    key = (await good(ask("POST /keys", {"name": "app", "role": "reviewer", "project": "default"})))["api_key"]
    await good(ask("PATCH /roles/reviewer", {"permissions": ["project:read", "interaction:read"]}))
    assert (await good(ask("GET /me", key=key)))["projects"] == {"default": ["interaction:read", "project:read"]}
    assert (await ask("DELETE /roles/reviewer")).json()["error"]["code"] == "role_in_use"
    roles = {found["key"]: found for found in (await good(ask("GET /roles", key=key)))["data"]}
    assert roles.keys() == {*ROLES, "reviewer"}
    assert roles["annotator"]["built_in"]


async def test_a_project_is_shared(ask: Ask) -> None:
    await good(ask("POST /teams", {"key": "partners"}))
    shares = (await good(ask("GET /projects/default/shares")))["data"]
    assert shares == [{"team": "default", "role": "admin", "is_owner": True}]
    wanted = [*shares, {"team": "partners", "role": "read-only"}]
    assert len((await good(ask("PUT /projects/default/shares", {"shares": wanted})))["data"]) == 2
    assert (await good(ask("PUT /projects/default/shares", {"shares": shares})))["data"] == shares


@pytest.mark.parametrize(
    ("route", "body", "status", "param"),
    [
        ("POST /users", {}, 400, "name"),
        ("POST /users", {"name": "Ada"}, 400, "email"),
        ("POST /users", {"name": "Ada", "email": "nothing"}, 400, "email"),
        ("POST /users", {"name": "CI bot", "user_type": "SYSTEM"}, 400, "name"),
        ("POST /users", {"name": "a", "email": "a@b", "teams": [{"team": "default"}]}, 400, "teams[0].role"),
        ("POST /users", {"name": "a", "email": "a@b", "teams": [{"team": "x", "role": "admin"}]}, 404, "teams[0].team"),
        ("POST /users", {"name": "a", "email": "a@b", "teams": [OPEN, {**OPEN, "role": "x"}]}, 404, "teams[1].role"),
        ("POST /users", {"name": "a", "email": "a@b", "teams": [OPEN, {**OPEN, "role": "read-only"}]}, 400, "teams"),
        ("POST /users", {"name": "a", "email": "a@b", "password": "b"}, 400, "password"),
        ("PUT /users/nobody/teams/default", {"role": "admin"}, 404, "user"),
        ("POST /teams", {"key": "R & D"}, 400, "key"),
        ("POST /teams", {"key": "default"}, 409, "key"),
        ("DELETE /teams/admin", None, 409, "team"),
        ("POST /roles", {"key": "pilot", "permissions": ["project:fly"]}, 400, "permissions"),
        ("PATCH /roles/admin", {"permissions": []}, 409, "role"),
        ("PUT /projects/default/shares", {"shares": []}, 400, "shares"),
        ("PUT /projects/default/shares", {"shares": [{"team": "x", "role": "admin"}]}, 404, "shares[0].team"),
        ("POST /keys", {"name": "app"}, 400, "role"),
        ("POST /keys", {"name": "app", "role": "admin", "project": "nowhere"}, 404, "project"),
        ("POST /keys", {"name": "app", "role": "admin", "expires_at": "2020-01-01T00:00:00Z"}, 400, "expires_at"),
        ("POST /keys", {"name": "app", "role": "admin", "expires_at": "2030-01-01T00:00:00"}, 400, "expires_at"),
        ("DELETE /keys/nobody", None, 404, "key"),
    ],
)
async def test_mistakes_are_named(ask: Ask, route: str, body: Any, status: int, param: str) -> None:
    refused = await ask(route, body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (status, param), refused.text
    assert (await ask("GET /users/a@b")).status_code == 404
