"""The busiest route without the framework's way to it.

FastAPI looks through all routes, opens exit stacks and resolves dependencies: a sixth of what a request to a provider
cost this server. The route is FastAPI's all the same, for the description of the API and for all that is wrong with a
request's method or path; what it is given, and how its errors are answered, is what FastAPI would do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adaptive_engine.server.errors import failure_response
from adaptive_engine.server.lifespan import Services
from adaptive_engine.types import Principal

Endpoint = Callable[[Request, Services, Principal], Awaitable[Response]]


class Direct:
    """Calls an endpoint whose method and path are exactly the request's; passes everything else on."""

    def __init__(self, app: ASGIApp, services: Services, endpoints: dict[tuple[str, str], Endpoint]) -> None:
        self.app = app
        self._services = services
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get((scope.get("method", ""), scope["path"]))
        if endpoint is None:
            await self.app(scope, receive, send)
            return
        # For metrics and traces, which name routes.
        scope["state"]["route"] = scope["path"]
        try:
            response = await endpoint(Request(scope, receive), self._services, scope["state"]["principal"])
        except Exception as exc:
            response = failure_response(exc, scope["path"])
        await response(scope, receive, send)
