"""What the routes are given: the parts of the server, and who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from adaptive_engine.server.lifespan import Services as Services
from adaptive_engine.services.access import require
from adaptive_engine.types import Principal


# Both are coroutines because FastAPI runs plain functions in a thread.
async def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


async def principal(request: Request) -> Principal:
    """Set by the Authentication middleware, without which no route is reached."""
    found: Principal = request.state.principal
    return found


async def admin(request: Request) -> Principal:
    """Raises PermissionDenied unless the key may change the server's models."""
    found = await principal(request)
    require(found, "admin:manage_models")
    return found


ServicesDep = Annotated[Services, Depends(services)]
PrincipalDep = Annotated[Principal, Depends(principal)]
AdminDep = Annotated[Principal, Depends(admin)]
