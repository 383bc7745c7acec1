"""What the routes work with: one object made at start, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from adaptive_engine.services.completions import Completions
from adaptive_engine.services.engines import Engines
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.services.routing import Routing
from adaptive_engine.settings import Settings
from adaptive_engine.store.database import Database
from adaptive_engine.store.recorder import Recorder
from adaptive_engine.types import Principal


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a server is made of."""

    settings: Settings
    database: Database
    recorder: Recorder
    keys: KeyRing
    routing: Routing
    engines: Engines
    completions: Completions


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def principal(request: Request) -> Principal:
    """Set by the Authentication middleware, without which no route is reached."""
    found: Principal = request.state.principal
    return found


ServicesDep = Annotated[Services, Depends(services)]
PrincipalDep = Annotated[Principal, Depends(principal)]
