"""/api/v1/projects/{project}/shares: which teams a project belongs to or is open for."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request

from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.errors import parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.services import shares
from adaptive_engine.services.shares import Sharing
from adaptive_engine.store import shares as store
from adaptive_engine.types import Share
from adaptive_engine.wire import shares as wire

router = APIRouter(prefix="/projects/{project}/shares")

_BODY = {"required": True, "content": {"application/json": {"schema": wire.SharesReplace.model_json_schema()}}}


@router.get("")
async def list_shares(services: ServicesDep, principal: PrincipalDep, project: str) -> wire.ShareList:
    """The teams of a project, by key."""
    found = services.routing.project(principal, project)

    def read() -> list[Share]:
        with services.database.read() as connection:
            return store.list_for_project(connection, found.id)

    return _to_wire(await asyncio.to_thread(read))


@router.put("", openapi_extra={"requestBody": _BODY})
async def replace_shares(
    request: Request, services: ServicesDep, principal: PrincipalDep, project: str
) -> wire.ShareList:
    """Share a project with exactly these teams."""
    require_json(request)
    found = services.routing.project(principal, project, needs="project:share")
    body = parse(wire.SharesReplace, await request.body())
    wanted = [Sharing(share.team, share.role, share.is_owner) for share in body.shares]

    def write() -> list[Share]:
        with services.keys.changing() as connection:
            return shares.replace(connection, principal, found, wanted)

    return _to_wire(await asyncio.to_thread(write))


def _to_wire(found: list[Share]) -> wire.ShareList:
    return wire.ShareList(
        data=[wire.Share(team=share.team.key, role=share.role.key, is_owner=share.is_owner) for share in found]
    )
