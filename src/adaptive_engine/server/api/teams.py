"""/api/v1/teams: users who share projects."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from adaptive_engine.server.api.interactions import from_ms
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import teams
from adaptive_engine.types import Team
from adaptive_engine.wire import teams as wire

router = APIRouter()

_BODY = {"required": True, "content": {"application/json": {"schema": wire.TeamCreate.model_json_schema()}}}


@router.get("/teams")
async def list_teams(services: ServicesDep, principal: PrincipalDep) -> wire.TeamList:
    """All teams for those who can do something with them, their own for others."""

    def read() -> list[Team]:
        with services.database.read() as connection:
            return teams.visible(connection, principal)

    return wire.TeamList(data=[_to_wire(team) for team in await asyncio.to_thread(read)])


@router.post("/teams", status_code=201, openapi_extra={"requestBody": _BODY})
async def create_team(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Team:
    """Create a team without members."""
    require_json(request)
    body = parse(wire.TeamCreate, await request.body())

    def write() -> Team:
        with services.keys.changing() as connection:
            return teams.create(connection, principal, body.key, body.name)

    return _to_wire(await asyncio.to_thread(write))


@router.delete("/teams/{team}")
async def delete_team(services: ServicesDep, principal: PrincipalDep, team: str) -> wire.Team:
    """Delete a team that is not the only owner of a project. Its members stay users."""

    def write() -> Team:
        with services.keys.changing() as connection:
            return teams.delete(connection, principal, team)

    return _to_wire(await asyncio.to_thread(write))


def _to_wire(team: Team) -> wire.Team:
    return wire.Team(id=team.id, key=team.key, name=team.name, created_at=from_ms(team.created_at))
