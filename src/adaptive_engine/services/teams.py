"""Teams: users who share projects. Team `admin` is reserved, team `default` comes with every installation."""

from __future__ import annotations

from uuid import UUID

from adaptive_engine.errors import Conflict, NotFound, PermissionDenied
from adaptive_engine.permissions import PERMISSIONS
from adaptive_engine.services import access
from adaptive_engine.services.models import ensure_default_project
from adaptive_engine.services.roles import ensure_built_in
from adaptive_engine.store import Connection, projects, roles, shares, team_members, teams
from adaptive_engine.types import Principal, Share, Team, now_ms, uuid7, uuid_or_none

DEFAULT_TEAM = "default"
_OF_EVERY_INSTALLATION = {access.ADMIN_TEAM: "Administrators", DEFAULT_TEAM: "Default"}


def ensure_first_ones(connection: Connection) -> None:
    """The teams, roles and the project that every installation has. Projects older than teams go to team `default`."""
    ensure_default_project(connection)
    ensure_built_in(connection)
    for key, name in _OF_EVERY_INSTALLATION.items():
        if teams.get_by_key(connection, key) is None:
            team = Team(uuid7(), key, name, now_ms())
            teams.create(connection, team)
            if key == DEFAULT_TEAM:
                for project in projects.list_all(connection):
                    give(connection, project.id, team)


def give(connection: Connection, project_id: UUID, team: Team) -> None:
    """Let a team own a project that is not shared with it."""
    role = roles.get_by_key(connection, access.ADMIN_ROLE)
    assert role is not None, "written at every start"
    shares.add(connection, [Share(project_id, team, role, is_owner=True)])


def find(connection: Connection, id_or_key: str, param: str = "team") -> Team:
    """Raises NotFound."""
    found = teams.get_by_key(connection, id_or_key)
    if found is None and (team_id := uuid_or_none(id_or_key)):
        found = teams.get(connection, team_id)
    if found is None:
        raise NotFound(f"Team '{id_or_key}' does not exist.", code="team_not_found", param=param)
    return found


def visible(connection: Connection, principal: Principal) -> list[Team]:
    """Their own teams; all of them for those who say who belongs to which, or may share a project with any."""
    everywhere = {"admin:manage_users", "admin:manage_teams", "project:share"} & principal.everywhere
    if everywhere or any("project:share" in permitted for permitted in principal.in_projects.values()):
        return teams.list_all(connection)
    if principal.user_id is None:
        return []
    return [member.team for member in team_members.list_for_user(connection, principal.user_id)]


def for_new_project(connection: Connection, principal: Principal, id_or_key: str | None) -> Team:
    """The team that will own a project of the caller's: the one named, or `default`.

    Raises PermissionDenied unless the caller may create projects for that team, and NotFound.
    """
    access.require(principal, "project:create")
    team = find(connection, id_or_key or DEFAULT_TEAM)
    if principal.user_id is None:
        return team
    memberships = team_members.list_for_user(connection, principal.user_id)
    own = {m.team.key for m in memberships if "project:create" in m.role.permissions}
    if team.key not in own and access.ADMIN_TEAM not in own:
        raise PermissionDenied(
            f"You may not {PERMISSIONS['project:create']} for team '{team.key}'. Name one of yours: "
            f"{', '.join(sorted(own))}.",
            param="team",
        )
    return team


def create(connection: Connection, principal: Principal, key: str, name: str | None) -> Team:
    """Raises Conflict when the key is taken."""
    access.require(principal, "admin:manage_teams")
    if teams.get_by_key(connection, key) is not None:
        raise Conflict(f"Team '{key}' exists already. Choose another key.", code="team_exists", param="key")
    team = Team(uuid7(), key, name or key, now_ms())
    teams.create(connection, team)
    return team


def delete(connection: Connection, principal: Principal, id_or_key: str) -> Team:
    """Raises NotFound, or Conflict for a team that comes with the server or is the only owner of a project."""
    access.require(principal, "admin:manage_teams")
    team = find(connection, id_or_key)
    if team.key in _OF_EVERY_INSTALLATION:
        raise Conflict(f"Team '{team.key}' comes with the server and stays.", code="reserved_team", param="team")
    for share in shares.list_for_team(connection, team.id):
        owners = [s for s in shares.list_for_project(connection, share.project_id) if s.is_owner]
        if share.is_owner and len(owners) == 1:
            project = projects.get(connection, share.project_id)
            assert project is not None, "a share is deleted with its project"
            raise Conflict(
                f"Team '{team.key}' is the only owner of project '{project.key}'. Let another team own it first.",
                code="team_in_use",
                param="team",
            )
    teams.delete(connection, team.id)
    return team
