"""Shares: which teams a project belongs to or is open for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services import access, roles, teams
from adaptive_engine.store import Connection, shares
from adaptive_engine.types import Principal, Project, Share


@dataclass(frozen=True, slots=True)
class Sharing:
    """One team of a project; both are keys or ids."""

    team: str
    role: str
    is_owner: bool = False


def replace(connection: Connection, principal: Principal, project: Project, wanted: Sequence[Sharing]) -> list[Share]:
    """Share the project with exactly these teams.

    Raises NotFound for an unknown team or role, InvalidRequest for a list without an owner or with a team twice, and
    PermissionDenied for new shares that permit more than the caller may do in the project. Who owns a project is
    changed only by those who may do everything in it.
    """
    if not principal.may("project:share", project.id):
        raise access.denied("project:share", project.key)
    named = [
        Share(
            project.id,
            teams.find(connection, share.team, f"shares[{index}].team"),
            roles.find(connection, share.role, f"shares[{index}].role"),
            share.is_owner,
        )
        for index, share in enumerate(wanted)
    ]
    _require_sound(named)
    _require_entitled(connection, principal, project, named)
    shares.delete(connection, project.id)
    shares.add(connection, named)
    return shares.list_for_project(connection, project.id)


def _require_entitled(connection: Connection, principal: Principal, project: Project, named: Sequence[Share]) -> None:
    """Judges what changes; what stays as it is needs nobody's permission again."""
    held = access.permissions_in(principal, project.id)
    before = {share.team.id: share for share in shares.list_for_project(connection, project.id)}
    after = {share.team.id: share for share in named}
    for team_id in before.keys() | after.keys():
        old, new = before.get(team_id), after.get(team_id)
        if old == new:
            continue
        if (old and old.is_owner) or (new and new.is_owner):
            access.require_held(held, access.OF_PROJECTS, "shares")
        elif new:
            access.require_held(held, access.counting_in_project(new.role.permissions), "shares")


def _require_sound(named: Sequence[Share]) -> None:
    if len({share.team.id for share in named}) < len(named):
        raise InvalidRequest("shares: a team is in the list twice. Name each once.", param="shares")
    if not any(share.is_owner for share in named):
        raise InvalidRequest("shares: a project belongs to a team. Set is_owner for at least one.", param="shares")
