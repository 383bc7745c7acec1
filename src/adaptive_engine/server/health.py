"""Is the process alive, can it take a request, what is it."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from adaptive_engine import __version__
from adaptive_engine.server.context import ServicesDep

# Load balancers and uptime checks ask with HEAD as well as with GET.
router = APIRouter()


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers. Asks neither the database nor an engine."""
    return {"status": "ok"}


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz")
async def readyz(services: ServicesDep) -> Response:
    """Can take a request now; 503 otherwise. One of several models that does not answer is a problem to be told, but
    the others need their requests.
    """
    wanted = services.routing.wanted()
    models = services.backends.problems(wanted)
    problems = [f"model '{key}': {reason}" for key, reason in models.items()]
    if services.recorder.problem is not None:
        problems.append(f"store: {services.recorder.problem}")
    unavailable = services.recorder.problem is not None or (wanted and models.keys() == wanted)
    status = "unavailable" if unavailable else "degraded" if problems else "ok"
    body: dict[str, Any] = {"status": status, "problems": problems}
    return Response(orjson.dumps(body), 503 if unavailable else 200, media_type="application/json")


@router.head("/health", include_in_schema=False)
@router.get("/health")
async def health(services: ServicesDep) -> Response:
    """The vendor's name of /readyz."""
    return await readyz(services)


@router.get("/version")
async def version() -> dict[str, str]:
    return {"version": __version__}
