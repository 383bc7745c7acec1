"""Who may do what: what keys and users are permitted, and the rules that keep anybody from taking more.

- A role in team `admin` counts on the whole server. A role in any other team counts in the projects that are shared
  with it, and without the permissions of group `admin`. See `Share` for what a share lets through.
- Nobody gives what they do not have, and nobody ends what those have who may do more with the server than they.
- While there is an admin, one remains.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from adaptive_engine.errors import Conflict, PermissionDenied
from adaptive_engine.permissions import ALL, PERMISSIONS, ROLES
from adaptive_engine.store import Connection, api_keys, roles, shares, team_members, users
from adaptive_engine.types import ApiKey, Principal, Team, now_ms

ADMIN_ROLE: Final = "admin"
ADMIN_TEAM: Final = "admin"
"""The reserved team whose roles count on the whole server."""

OPERATOR: Final = Principal("operator", ALL)
"""Who works on the store itself, with the command line."""

_OF_THE_SERVER: Final = frozenset(permission for permission in PERMISSIONS if permission.startswith("admin:"))
# There is no project yet to have it in: who has it in a team may create projects for that team.
_OF_A_TEAM: Final = frozenset({"project:create"})
OF_PROJECTS: Final = ALL - _OF_THE_SERVER - _OF_A_TEAM


def principal_of_key(connection: Connection, key: ApiKey) -> Principal | None:
    """What a valid key permits; None when its user was deleted."""
    if key.user_id is not None:
        user = users.get(connection, key.user_id)
        if user is None:
            return None
        return dataclasses.replace(principal_of_user(connection, user.id, key.id), limits=key.limits)
    permitted = _role_permissions(connection, key.role)
    if key.project_id is None:
        return Principal(key.id, permitted, limits=key.limits)
    return Principal(key.id, in_projects={key.project_id: counting_in_project(permitted)}, limits=key.limits)


def principal_of_user(connection: Connection, user_id: UUID, key_id: str = "") -> Principal:
    """What a user may do through all teams together."""
    everywhere: set[str] = set()
    in_team: dict[UUID, frozenset[str]] = {}
    for member in team_members.list_for_user(connection, user_id):
        in_team[member.team.id] = member.role.permissions
        everywhere |= member.role.permissions & (ALL if member.team.key == ADMIN_TEAM else _OF_A_TEAM)
    shared = shares.list_for_user(connection, user_id)
    limits = (
        {} if all(share.is_owner for share in shared) else {r.id: r.permissions for r in roles.list_all(connection)}
    )
    in_projects: dict[UUID, frozenset[str]] = {}
    for project_id, team_id, role_id, is_owner in shared:
        own = in_team.get(team_id, frozenset())
        permitted = counting_in_project(own if is_owner else own & limits.get(role_id, frozenset()))
        in_projects[project_id] = in_projects.get(project_id, frozenset()) | permitted
    return Principal(key_id, frozenset(everywhere), in_projects, user_id)


def permissions_in(principal: Principal, project_id: UUID) -> list[str]:
    """What the caller may do in a project, sorted."""
    return sorted(permission for permission in OF_PROJECTS if principal.may(permission, project_id))


def counting_in_team(permissions: frozenset[str], team: Team) -> frozenset[str]:
    """Those of a role's permissions that count for members of the team."""
    return permissions if team.key == ADMIN_TEAM else permissions - _OF_THE_SERVER


def counting_in_project(permissions: frozenset[str]) -> frozenset[str]:
    """Those of a role's permissions that count in a project."""
    return permissions & OF_PROJECTS


def permissions_in_team(connection: Connection, principal: Principal, team: Team | None) -> frozenset[str]:
    """What the caller may do in all that a team has, and so may let others do; without a team, on the whole server."""
    if principal.user_id is None:
        return principal.everywhere
    counting = {ADMIN_TEAM} if team is None else {ADMIN_TEAM, team.key}
    memberships = team_members.list_for_user(connection, principal.user_id)
    return frozenset[str]().union(*(m.role.permissions for m in memberships if m.team.key in counting))


def require(principal: Principal, permission: str) -> None:
    """Raises PermissionDenied unless the caller has the permission on the whole server."""
    if not principal.may(permission):
        raise denied(permission)


def denied(permission: str, project_key: str | None = None, param: str | None = None) -> PermissionDenied:
    """The refusal, with a way to get a key that may."""
    role = min((key for key, permitted in ROLES.items() if permission in permitted), key=lambda key: len(ROLES[key]))
    where, option = (f" in project '{project_key}'", f" --project {project_key}") if project_key else ("", "")
    return PermissionDenied(
        f"This key may not {PERMISSIONS[permission]}{where}: it lacks '{permission}'. Role '{role}' has it: ask an "
        f"administrator for it, or make a key with `adaptive keys create NAME --role {role}{option}`.",
        param=param,
    )


def require_held(held: Collection[str], given: Collection[str], param: str) -> None:
    """Raises PermissionDenied when the caller is about to give permissions that are not among those `held`."""
    missing = sorted(set(given) - set(held))
    if missing:
        raise PermissionDenied(
            f"{param}: nobody can give what they do not have, and this key lacks {', '.join(missing)}.", param=param
        )


def require_not_above(principal: Principal, permitted: Collection[str], param: str) -> None:
    """Raises PermissionDenied when somebody with these permissions on the server may do more with it than the caller.

    It guards what takes away: a platform admin may delete users, but no admin.
    """
    above = sorted(_OF_THE_SERVER.intersection(permitted) - principal.everywhere)
    if above:
        raise PermissionDenied(
            f"{param}: only who may {' and '.join(PERMISSIONS[permission] for permission in above)} can do this.",
            param=param,
        )


@contextmanager
def admin_kept(connection: Connection) -> Iterator[None]:
    """Raises Conflict, for the transaction to be rolled back, when the body leaves no admin where one was."""
    before = has_admin(connection)
    yield
    if before and not has_admin(connection):
        raise Conflict(
            "Nobody could administer this server any more. Make another admin key first, for example with "
            "`adaptive keys create NAME --admin`.",
            code="last_admin",
        )


def has_admin(connection: Connection) -> bool:
    """Whether a valid key has role `admin` on the whole server, its own or its user's."""
    return api_keys.any_on_server(connection, ADMIN_ROLE, ADMIN_TEAM, now_ms())


def _role_permissions(connection: Connection, role_key: str) -> frozenset[str]:
    # Those that come with the server cannot be changed, so most keys need no query for them.
    if role_key in ROLES:
        return ROLES[role_key]
    role = roles.get_by_key(connection, role_key)
    return role.permissions if role else frozenset()
