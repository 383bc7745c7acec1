"""What every request passes, as plain ASGI: request id, path spelling, key.

Plain ASGI because Starlette's BaseHTTPMiddleware runs the application in another task, which costs time and hides
disconnects (encode/starlette discussion 2094).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adaptive_engine.errors import AdaptiveError, AuthenticationFailed, InvalidRequest
from adaptive_engine.server import telemetry
from adaptive_engine.server.browser import AllowedHosts, require_same_origin, token_of
from adaptive_engine.server.errors import send_error
from adaptive_engine.server.headers import header
from adaptive_engine.server.lifespan import Services
from adaptive_engine.telemetry import tracing
from adaptive_engine.telemetry.redaction import hide_in_request
from adaptive_engine.telemetry.structured import structlog
from adaptive_engine.types import Principal, hex7

log = structlog.get_logger(__name__)

PUBLIC_PATHS = frozenset({"/livez", "/readyz", "/health", "/version", "/openapi.json"})
# What machines ask for all the time.
_POLLED = PUBLIC_PATHS | {telemetry.PATH}
_PROJECT_IN_QUERY = re.compile(rb"(?:^|&)project=")
_USE_CASE_IN_QUERY = re.compile(rb"(^|&)use_case=")
_UNLESS_SAID = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestContext:
    """Gives each request an id, and tells how it went."""

    def __init__(self, app: ASGIApp, services: Services) -> None:
        self.app = app
        self._meter = services.meter
        self._tracing = services.tracing
        self._slow_seconds = services.settings.telemetry.slow_request_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        inbound = header(scope, b"x-request-id", "")
        request_id = inbound if _REQUEST_ID.fullmatch(inbound) else f"req-{hex7()}"
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        start = scope["state"]["arrived"] = time.perf_counter()
        status = 499
        trace = None
        if self._tracing is not None and scope["path"] not in _POLLED:
            trace = self._tracing.begin(scope["method"], scope["path"], Headers(scope=scope), start)
            tracing.current.set(trace)
            structlog.contextvars.bind_contextvars(trace_id=trace.id)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    *_missing(message["headers"]),
                    (b"x-request-id", request_id.encode()),
                    (b"openai-processing-ms", b"%d" % (1000 * (time.perf_counter() - start))),
                ]
                if scope["state"].get("replayed"):
                    message["headers"].append((b"idempotent-replayed", b"true"))
            await send(message)

        self._meter.began()
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - start
            state = scope["state"]
            route = state.get("route", "other")
            self._meter.ended(route, scope["method"], status, seconds)
            if trace is not None:
                trace.end(tracing.Response(route, status, state.get("completion"), state.get("answered", ())))
            if scope["path"] not in _POLLED or (scope["path"] == telemetry.PATH and status != 200):
                self._log(scope, status, seconds)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope["state"]
        principal = state.get("principal")
        about = {
            "key": principal.key_id if principal else None,
            "completion": state.get("completion"),
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(1000 * seconds, 1),
        }
        if 0 < self._slow_seconds <= seconds:
            log.warning("slow request", **about, choices=[answer.breakdown() for answer in state.get("answered", ())])
        else:
            log.info("request", **about)


def _missing(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What an answer says to caches and browsers that says nothing else: it is for one reader, now, as what it is."""
    said = {name for name, _ in headers}
    return [header for header in _UNLESS_SAID if header[0] not in said]


class PathSpelling:
    """`/v1/x`, `//api/v1/x` and `/api/v1/x/` are `/api/v1/x`: clients spell base URLs in all these ways.

    In queries, `use_case` is the older name of `project`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if "//" in path:
                path = re.sub(r"/{2,}", "/", path)
            if len(path) > 1:
                path = path.rstrip("/")
            if path.startswith("/v1/"):
                path = f"/api{path}"
            query = scope["query_string"]
            if b"use_case=" in query and not _PROJECT_IN_QUERY.search(query):
                query = _USE_CASE_IN_QUERY.sub(rb"\1project=", query)
            scope = {**scope, "path": path, "raw_path": path.encode(), "query_string": query}
            try:
                await self.app(scope, receive, send)
            finally:
                if (route := _template(scope)) is not None:
                    scope["state"]["route"] = route
        else:
            await self.app(scope, receive, send)


def _template(scope: Scope) -> str | None:
    """The path of the route that answered, as it is declared; None where none did."""
    route = scope.get("route")
    if route is None:
        return None
    # Routes know their place in their router, not that of their router.
    prefix = next((prefix for prefix in ("/api/v1", "/api") if scope["path"].startswith(f"{prefix}/")), "")
    return f"{prefix}{route.path_format}"


class Authentication:
    """Deny by default: every path that is not public needs a valid key, also one that does not exist. Who has one is
    routed by what the store says now. A browser that signed in sends a cookie instead.
    """

    def __init__(self, app: ASGIApp, services: Services, hosts: AllowedHosts) -> None:
        self.app = app
        self._keys = services.keys
        self._sign_ins = services.sign_ins
        self._routing = services.routing
        self._hosts = hosts
        is_open = services.settings.telemetry.metrics == "open"
        self._public = PUBLIC_PATHS | {telemetry.PATH} if is_open else PUBLIC_PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._public:
            try:
                scope["state"]["principal"] = await self._authenticate(scope)
                await self._routing.renew()
            except AdaptiveError as exc:
                await send_error(send, exc)
                return
        await self.app(scope, receive, send)

    async def _authenticate(self, scope: Scope) -> Principal:
        presented = _presented_key(scope["headers"])
        if presented is not None:
            hide_in_request(presented)
        scope["state"]["signed_in"] = presented is None
        if presented is not None:
            known = self._keys.cached(presented)
            return known if known is not None else await asyncio.to_thread(self._keys.authenticate, presented)
        headers = Headers(scope=scope)
        token = token_of(headers, self._sign_ins)
        if token is None:
            raise AuthenticationFailed(
                "No API key. Send it as 'Authorization: Bearer KEY'; `adaptive keys create` makes one.",
                code="missing_api_key",
            )
        hide_in_request(token)
        self._hosts.require(headers)
        require_same_origin(scope, headers)
        known = self._sign_ins.cached(token)
        return known if known is not None else await asyncio.to_thread(self._sign_ins.authenticate, token)


def _presented_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The one key of the request, from any of the headers that clients use."""
    found = set()
    for name, value in headers:
        if name == b"authorization":
            scheme, _, credentials = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer" or not credentials.strip():
                raise AuthenticationFailed("The Authorization header must be 'Bearer ' and an API key.")
            found.add(credentials.strip())
        elif name in (b"x-api-key", b"api-key"):
            found.add(value.decode("latin-1").strip())
    if len(found) > 1:
        raise InvalidRequest("The request carries two different API keys. Send one.", code="ambiguous_api_key")
    return found.pop() if found else None
