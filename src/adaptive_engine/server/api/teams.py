"""/api/v1/teams: users who share projects."""

from __future__ import annotations

from fastapi import APIRouter, Request

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services import teams
from adaptive_engine.types import Team
from adaptive_engine.wire import teams as wire

router = APIRouter()


@router.get("/teams")
async def list_teams(services: ServicesDep, principal: PrincipalDep) -> wire.TeamList:
    """All teams for those who can do something with them, their own for others."""
    return wire.TeamList(data=[_to_wire(team) for team in await services.read(teams.visible, principal)])


@router.post("/teams", status_code=201, openapi_extra=body_of(wire.TeamCreate))
async def create_team(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Team:
    """Create a team without members."""
    body = await read_body(request, wire.TeamCreate)
    return _to_wire(await services.change_access(principal, teams.create, body.key, body.name))


@router.delete("/teams/{team}")
async def delete_team(services: ServicesDep, principal: PrincipalDep, team: str) -> wire.Team:
    """Delete a team that is not the only owner of a project. Its members stay users."""
    return _to_wire(await services.change_access(principal, teams.delete, team))


def _to_wire(team: Team) -> wire.Team:
    return wire.Team(id=team.id, key=team.key, name=team.name, created_at=from_ms(team.created_at))
