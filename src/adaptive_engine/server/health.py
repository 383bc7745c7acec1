"""Is the process alive, can it take a request, what is it."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from adaptive_engine import __version__
from adaptive_engine.server.context import ServicesDep
from adaptive_engine.services.readiness import ReadinessState

_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": ReadinessState, "description": "No request can be taken now"}
}

# Load balancers and uptime checks ask with HEAD as well as with GET.
router = APIRouter()


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers. Asks neither the database nor an engine."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_model=ReadinessState, responses=_NOT_READY)
async def readyz(services: ServicesDep) -> Response:
    """Can take a request now; 503 otherwise, with what keeps it from that."""
    state = services.readiness.look()
    body: dict[str, Any] = {"status": state.status, "problems": state.problems}
    return Response(orjson.dumps(body), 200 if state.ready else 503, media_type="application/json")


@router.head("/health", include_in_schema=False)
@router.get("/health", response_model=ReadinessState, responses=_NOT_READY)
async def health(services: ServicesDep) -> Response:
    """The vendor's name of /readyz."""
    return await readyz(services)


@router.get("/version")
async def version() -> dict[str, str]:
    return {"version": __version__}
