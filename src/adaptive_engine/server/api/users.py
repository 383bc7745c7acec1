"""/api/v1/users and /api/v1/me: people, service accounts, and their places in teams. `{user}` is an e-mail or an id."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from adaptive_engine.server.api.interactions import from_ms
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import access, api_keys, users
from adaptive_engine.services.api_keys import NewKey
from adaptive_engine.services.users import NewUser, UserInTeams
from adaptive_engine.types import Principal
from adaptive_engine.wire import users as wire

router = APIRouter()

_BODY = {"required": True, "content": {"application/json": {"schema": wire.UserCreate.model_json_schema()}}}
_MEMBER_BODY = {"required": True, "content": {"application/json": {"schema": wire.TeamMemberSet.model_json_schema()}}}


@router.get("/me")
async def get_me(services: ServicesDep, principal: PrincipalDep) -> wire.Me:
    """Who the key of this request belongs to, and what it may do."""

    def read() -> UserInTeams | None:
        with services.database.read() as connection:
            return users.own(connection, principal)

    own = await asyncio.to_thread(read)
    projects = services.routing.projects(principal)
    return wire.Me(
        key=principal.key_id,
        user=_to_wire(own) if own else None,
        permissions=sorted(principal.everywhere),
        projects={project.key: access.permissions_in(principal, project.id) for project in projects},
    )


@router.get("/users")
async def list_users(services: ServicesDep, principal: PrincipalDep) -> wire.UserList:
    """All users, by e-mail address."""

    def read() -> list[UserInTeams]:
        with services.database.read() as connection:
            return users.list_all(connection, principal)

    return wire.UserList(data=[_to_wire(found) for found in await asyncio.to_thread(read)])


@router.get("/users/{user}")
async def get_user(services: ServicesDep, principal: PrincipalDep, user: str) -> wire.User:
    """One user."""

    def read() -> UserInTeams:
        with services.database.read() as connection:
            return users.get(connection, principal, user)

    return _to_wire(await asyncio.to_thread(read))


@router.post("/users", status_code=201, openapi_extra={"requestBody": _BODY})
async def create_user(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.UserCreated:
    """Create a person or a service account; with `generate_api_key`, make its first key too."""
    require_json(request)
    body = parse(wire.UserCreate, await request.body())
    return await asyncio.to_thread(_create, services, principal, body)


def _create(services: Services, principal: Principal, body: wire.UserCreate) -> wire.UserCreated:
    wanted = NewUser(body.name, body.email, body.user_type, [(place.team, place.role) for place in body.teams])
    text = None
    with services.keys.changing() as connection:
        created = users.create(connection, principal, wanted)
        if body.generate_api_key:
            key = NewKey(name=created.user.name, user=created.user.email)
            _, text = api_keys.create(connection, services.keys, principal, key)
    return wire.UserCreated(**_to_wire(created).model_dump(), api_key=text)


@router.delete("/users/{user}")
async def delete_user(services: ServicesDep, principal: PrincipalDep, user: str) -> wire.User:
    """Delete a user and end their keys at once. What they made stays."""

    def write() -> UserInTeams:
        with services.keys.changing() as connection:
            return users.delete(connection, principal, user)

    return _to_wire(await asyncio.to_thread(write))


@router.put("/users/{user}/teams/{team}", openapi_extra={"requestBody": _MEMBER_BODY})
async def set_team_member(
    request: Request, services: ServicesDep, principal: PrincipalDep, user: str, team: str
) -> wire.User:
    """Add a user to a team, or change their role there."""
    require_json(request)
    body = parse(wire.TeamMemberSet, await request.body())

    def write() -> UserInTeams:
        with services.keys.changing() as connection:
            return users.set_team_member(connection, principal, user, team, body.role)

    return _to_wire(await asyncio.to_thread(write))


@router.delete("/users/{user}/teams/{team}")
async def remove_team_member(services: ServicesDep, principal: PrincipalDep, user: str, team: str) -> wire.User:
    """Take a user out of a team."""

    def write() -> UserInTeams:
        with services.keys.changing() as connection:
            return users.remove_team_member(connection, principal, user, team)

    return _to_wire(await asyncio.to_thread(write))


def _to_wire(found: UserInTeams) -> wire.User:
    user = found.user
    return wire.User(
        id=user.id,
        email=user.email,
        name=user.name,
        user_type=user.user_type,
        created_at=from_ms(user.created_at),
        teams=[wire.TeamWithRole(team=place.team.key, role=place.role.key) for place in found.memberships],
    )
