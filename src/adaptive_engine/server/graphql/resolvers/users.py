"""Users, teams, roles and permissions. No integrations: the server notifies nobody."""

from __future__ import annotations

from typing import Any

from ariadne import MutationType, ObjectType, QueryType

from adaptive_engine.permissions import PERMISSIONS
from adaptive_engine.server.graphql.context import Info
from adaptive_engine.server.graphql.fields import read_from
from adaptive_engine.services import api_keys, roles, teams, users
from adaptive_engine.services.users import NewUser, UserInTeams
from adaptive_engine.store import Connection
from adaptive_engine.store import roles as stored_roles
from adaptive_engine.types import AccessRole, Membership, Principal, Team
from adaptive_engine.wire.roles import RoleCreate
from adaptive_engine.wire.teams import TeamCreate
from adaptive_engine.wire.users import UserCreate

query = QueryType()
mutation = MutationType()
current_mutation = MutationType()
use_case_mutation = MutationType()
user = ObjectType("User")
team = ObjectType("Team")
role = ObjectType("Role")

for each in (team, role):
    each.set_alias("createdAt", "created_at")


_OF_USER = {"id": "id", "email": "email", "name": "name", "userType": "user_type", "createdAt": "created_at"}
for field, attribute in _OF_USER.items():
    user.set_field(field, read_from(f"user.{attribute}"))
user.set_alias("teams", "memberships")


@query.field("me")
async def get_me(_: Any, info: Info) -> UserInTeams | None:
    context = info.context
    return await context.read(users.own, context.principal)


@query.field("users")
async def list_users(_: Any, info: Info) -> list[UserInTeams]:
    context = info.context
    return await context.read(users.list_all, context.principal)


@query.field("teams")
async def list_teams(_: Any, info: Info) -> list[Team]:
    context = info.context
    return await context.read(teams.visible, context.principal)


@query.field("roles")
async def list_roles(_: Any, info: Info) -> list[AccessRole]:
    return await info.context.read(stored_roles.list_all)


@query.field("permissions")
async def list_permissions(_: Any, info: Info) -> list[str]:
    return list(PERMISSIONS)


@query.field("integrations")
async def list_integrations(_: Any, info: Info, team: str) -> list[Any]:
    await info.context.read(teams.find, team)
    return []


@user.field("apiKeys")
async def user_api_keys(found: UserInTeams, info: Info) -> list[dict[str, Any]]:
    """Whose they are and since when; the text of a key is shown once, when it is made."""
    context = info.context
    visible = await context.read(api_keys.visible, context.principal)
    return [
        {"key": f"ad_{key.id}_...", "createdAt": key.created_at}
        for key in visible
        if key.user_id == found.user.id and key.revoked_at is None
    ]


@role.field("permissions")
async def role_permissions(found: AccessRole, _: Info) -> list[str]:
    return sorted(found.permissions)


@current_mutation.field("createUser")
async def create_user(_: Any, info: Info, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    context = info.context
    given = UserCreate.model_validate(
        {
            "name": input["name"],
            "email": input.get("email"),
            "user_type": input["userType"],
            "teams": input["teams"],
            "generate_api_key": bool(input.get("generateApiKey")),
        }
    )
    wanted = NewUser(given.name, given.email, given.user_type, [(place.team, place.role) for place in given.teams])

    def change(connection: Connection, principal: Principal) -> dict[str, Any]:
        created = users.create(connection, principal, wanted)
        text = None
        if given.generate_api_key:
            text = api_keys.create_first(connection, context.services.keys, principal, created.user)
        return {"user": created, "generatedApiKey": text}

    return await context.change_access(context.principal, change)


@use_case_mutation.field("createUser")
async def create_user_alone(_: Any, info: Info, input: dict[str, Any]) -> UserInTeams:  # noqa: A002
    made: UserInTeams = (await create_user(_, info, input))["user"]
    return made


@mutation.field("deleteUser")
async def delete_user(_: Any, info: Info, user: str) -> UserInTeams:
    context = info.context
    return await context.change_access(context.principal, users.delete, user)


@mutation.field("setTeamMember")
async def set_team_member(_: Any, info: Info, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    context = info.context

    def change(connection: Connection, principal: Principal) -> dict[str, Any]:
        found = users.set_team_member(connection, principal, input["user"], input["team"], input["role"])
        place = _place(found, teams.find(connection, input["team"]))
        return {"user": found, "team": place.team, "role": place.role}

    return await context.change_access(context.principal, change)


@mutation.field("removeTeamMember")
async def remove_team_member(_: Any, info: Info, input: dict[str, Any]) -> UserInTeams:  # noqa: A002
    context = info.context
    return await context.change_access(context.principal, users.remove_team_member, input["user"], input["team"])


@mutation.field("createTeam")
async def create_team(_: Any, info: Info, input: dict[str, Any]) -> Team:  # noqa: A002
    context = info.context
    given = TeamCreate.model_validate({"key": input.get("key") or input["name"], "name": input["name"]})
    return await context.change_access(context.principal, teams.create, given.key, given.name)


@mutation.field("createRole")
async def create_role(_: Any, info: Info, input: dict[str, Any]) -> AccessRole:  # noqa: A002
    context = info.context
    key = input.get("key") or input["name"]
    given = RoleCreate.model_validate({"key": key, "name": input["name"], "permissions": input["permissions"]})
    return await context.change_access(context.principal, roles.create, given.key, given.name, given.permissions)


def _place(found: UserInTeams, in_team: Team) -> Membership:
    return next(each for each in found.memberships if each.team.id == in_team.id)


BINDABLES = (query, mutation, user, team, role)
