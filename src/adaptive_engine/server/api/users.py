"""/api/v1/users and /api/v1/me: people, service accounts, and their places in teams. `{user}` is an e-mail or an id."""

from __future__ import annotations

from fastapi import APIRouter, Request

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import access, api_keys, users
from adaptive_engine.services.users import NewUser, UserInTeams
from adaptive_engine.store import Connection
from adaptive_engine.types import Principal
from adaptive_engine.wire import users as wire

router = APIRouter()


@router.get("/me")
async def get_me(services: ServicesDep, principal: PrincipalDep) -> wire.Me:
    """Who the key of this request belongs to, and what it may do."""
    own = await services.read(users.own, principal)
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
    return wire.UserList(data=[_to_wire(found) for found in await services.read(users.list_all, principal)])


@router.get("/users/{user}")
async def get_user(services: ServicesDep, principal: PrincipalDep, user: str) -> wire.User:
    """One user."""
    return _to_wire(await services.read(users.get, principal, user))


@router.post("/users", status_code=201, openapi_extra=body_of(wire.UserCreate))
async def create_user(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.UserCreated:
    """Create a person or a service account; with `generate_api_key`, make its first key too."""
    body = await read_body(request, wire.UserCreate)
    wanted = NewUser(body.name, body.email, body.user_type, [(place.team, place.role) for place in body.teams])

    def create(connection: Connection, principal: Principal) -> wire.UserCreated:
        created = users.create(connection, principal, wanted)
        text = None
        if body.generate_api_key:
            text = api_keys.create_first(connection, services.keys, principal, created.user)
        return wire.UserCreated(**_to_wire(created).model_dump(), api_key=text)

    return await services.change_access(principal, create)


@router.delete("/users/{user}")
async def delete_user(services: ServicesDep, principal: PrincipalDep, user: str) -> wire.User:
    """Delete a user and end their keys at once. What they made stays."""
    return _to_wire(await services.change_access(principal, users.delete, user))


@router.put("/users/{user}/teams/{team}", openapi_extra=body_of(wire.TeamMemberSet))
async def set_team_member(
    request: Request, services: ServicesDep, principal: PrincipalDep, user: str, team: str
) -> wire.User:
    """Add a user to a team, or change their role there."""
    body = await read_body(request, wire.TeamMemberSet)
    return _to_wire(await services.change_access(principal, users.set_team_member, user, team, body.role))


@router.delete("/users/{user}/teams/{team}")
async def remove_team_member(services: ServicesDep, principal: PrincipalDep, user: str, team: str) -> wire.User:
    """Take a user out of a team."""
    return _to_wire(await services.change_access(principal, users.remove_team_member, user, team))


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
