"""Users: people and service accounts, and their places in teams."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.services import access, roles, teams
from adaptive_engine.store import Connection, api_keys, team_members, users
from adaptive_engine.types import Membership, Principal, Team, User, UserType, now_ms, uuid7, uuid_or_none

_ACCOUNT_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_ACCOUNT_DOMAIN = "system.adaptive.local"


@dataclass(frozen=True, slots=True)
class UserInTeams:
    user: User
    memberships: list[Membership]


@dataclass(frozen=True, slots=True)
class NewUser:
    """`teams` are keys or ids of a team and of the role there. An account without an e-mail address is given one."""

    name: str
    email: str | None = None
    user_type: UserType = "HUMAN"
    teams: Sequence[tuple[str, str]] = ()


def find(connection: Connection, id_or_email: str, param: str = "user") -> User:
    """Raises NotFound."""
    found = users.get_by_email(connection, id_or_email.lower())
    if found is None and (user_id := uuid_or_none(id_or_email)):
        found = users.get(connection, user_id)
    if found is None:
        raise NotFound(f"User '{id_or_email}' does not exist.", code="user_not_found", param=param)
    return found


def own(connection: Connection, principal: Principal) -> UserInTeams | None:
    """The caller; None where the key belongs to nobody."""
    user = principal.user_id and users.get(connection, principal.user_id)
    return _in_teams(connection, user) if user else None


def get(connection: Connection, principal: Principal, id_or_email: str) -> UserInTeams:
    """Raises NotFound."""
    access.require(principal, "admin:manage_users")
    return _in_teams(connection, find(connection, id_or_email))


def list_all(connection: Connection, principal: Principal) -> list[UserInTeams]:
    """Sorted by e-mail address."""
    access.require(principal, "admin:manage_users")
    memberships = team_members.list_all(connection)
    by_user: dict[UUID, list[Membership]] = {}
    for member in memberships:
        by_user.setdefault(member.user_id, []).append(member)
    return [UserInTeams(user, by_user.get(user.id, [])) for user in users.list_all(connection)]


def create(connection: Connection, principal: Principal, wanted: NewUser) -> UserInTeams:
    """Raises Conflict when the e-mail address is taken, InvalidRequest, also for a team that is named twice, and what
    `set_team_member` raises.
    """
    access.require(principal, "admin:manage_users")
    email = _email(wanted)
    if users.get_by_email(connection, email) is not None:
        raise Conflict(f"User '{email}' exists already.", code="user_exists", param="email")
    user = User(uuid7(), email, wanted.name, wanted.user_type, now_ms())
    users.create(connection, user)
    for at, (team, role) in enumerate(wanted.teams):
        set_team_member(connection, principal, email, team, role, f"teams[{at}].")
    created = _in_teams(connection, user)
    if len(created.memberships) < len(wanted.teams):
        raise InvalidRequest("teams: a team is in the list twice. Name each once.", param="teams")
    return created


def delete(connection: Connection, principal: Principal, id_or_email: str) -> UserInTeams:
    """The user as they were; their keys end at once. Raises NotFound, and Conflict for the last admin."""
    access.require(principal, "admin:manage_users")
    deleted = _in_teams(connection, find(connection, id_or_email))
    user = deleted.user
    access.require_not_above(principal, access.principal_of_user(connection, user.id).everywhere, "user")
    with access.admin_kept(connection):
        api_keys.end_all_of_user(connection, user.id, now_ms())
        team_members.delete(connection, user.id)
        users.set_deleted(connection, user.id, now_ms())
    return deleted


def set_team_member(
    connection: Connection, principal: Principal, id_or_email: str, team_key: str, role_key: str, path: str = ""
) -> UserInTeams:
    """Add a user to a team, or change their role there. `path` is that of the fields that name team and role.

    Raises NotFound, PermissionDenied when the role permits what the caller may not do in that team, and Conflict for
    the last admin.
    """
    access.require(principal, "admin:manage_teams")
    user = find(connection, id_or_email)
    team, role = teams.find(connection, team_key, f"{path}team"), roles.find(connection, role_key, f"{path}role")
    given = access.counting_in_team(role.permissions, team)
    access.require_held(access.permissions_in_team(connection, principal, team), given, f"{path}role")
    _require_changeable(connection, principal, user, team)
    with access.admin_kept(connection):
        team_members.put(connection, user.id, team.id, role.id)
    return _in_teams(connection, user)


def remove_team_member(connection: Connection, principal: Principal, id_or_email: str, team_key: str) -> UserInTeams:
    """Raises NotFound, also for a user who is not in the team, and Conflict for the last admin."""
    access.require(principal, "admin:manage_teams")
    user, team = find(connection, id_or_email), teams.find(connection, team_key)
    _require_changeable(connection, principal, user, team)
    with access.admin_kept(connection):
        if not team_members.delete(connection, user.id, team.id):
            raise NotFound(f"User '{user.email}' is not in team '{team.key}'.", code="team_not_found", param="team")
    return _in_teams(connection, user)


def _require_changeable(connection: Connection, principal: Principal, user: User, team: Team) -> None:
    if team.key == access.ADMIN_TEAM:
        access.require_not_above(principal, access.principal_of_user(connection, user.id).everywhere, "user")


def _in_teams(connection: Connection, user: User) -> UserInTeams:
    return UserInTeams(user, team_members.list_for_user(connection, user.id))


def _email(wanted: NewUser) -> str:
    if wanted.user_type == "SYSTEM" and not _ACCOUNT_NAME.fullmatch(wanted.name):
        raise InvalidRequest(
            "name: a service account's has 1 to 64 of the characters a-z, 0-9, hyphen and underscore.", param="name"
        )
    if wanted.email is not None:
        return wanted.email.lower()
    if wanted.user_type == "HUMAN":
        raise InvalidRequest(
            "email: a person is known by an e-mail address. Only service accounts need none.", param="email"
        )
    return f"{wanted.name}@{_ACCOUNT_DOMAIN}"
