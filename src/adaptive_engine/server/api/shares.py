"""/api/v1/projects/{project}/shares: which teams a project belongs to or is open for."""

from __future__ import annotations

from fastapi import APIRouter, Request

from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.services import shares
from adaptive_engine.services.shares import Sharing
from adaptive_engine.store import shares as store
from adaptive_engine.types import Share
from adaptive_engine.wire import shares as wire

router = APIRouter(prefix="/projects/{project}/shares")


@router.get("")
async def list_shares(services: ServicesDep, principal: PrincipalDep, project: str) -> wire.ShareList:
    """The teams of a project, by key."""
    found = services.routing.project(principal, project)
    return _to_wire(await services.read(store.list_for_project, found.id))


@router.put("", openapi_extra=body_of(wire.SharesReplace))
async def replace_shares(
    request: Request, services: ServicesDep, principal: PrincipalDep, project: str
) -> wire.ShareList:
    """Share a project with exactly these teams."""
    found = services.routing.project(principal, project, needs="project:share")
    body = await read_body(request, wire.SharesReplace)
    wanted = [Sharing(share.team, share.role, share.is_owner) for share in body.shares]
    return _to_wire(await services.change_access(principal, shares.replace, found, wanted))


def _to_wire(found: list[Share]) -> wire.ShareList:
    return wire.ShareList(
        data=[wire.Share(team=share.team.key, role=share.role.key, is_owner=share.is_owner) for share in found]
    )
