"""What every request passes, as plain ASGI: request id, path spelling, body limit, key.

Plain ASGI because Starlette's BaseHTTPMiddleware runs the application in another task, which costs time and hides
disconnects (encode/starlette discussion 2094).
"""

from __future__ import annotations

import asyncio
import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adaptive_engine.errors import AdaptiveError, AuthenticationFailed, InvalidRequest, PayloadTooLarge, RequestTimeout
from adaptive_engine.server.browser import AllowedHosts, require_same_origin, token_of
from adaptive_engine.server.errors import send_error
from adaptive_engine.server.lifespan import Services
from adaptive_engine.types import Principal, uuid7

log = structlog.get_logger(__name__)

PUBLIC_PATHS = frozenset({"/livez", "/readyz", "/health", "/version", "/openapi.json"})
_PROJECT_IN_QUERY = re.compile(rb"(?:^|&)project=")
_USE_CASE_IN_QUERY = re.compile(rb"(^|&)use_case=")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestContext:
    """Gives each request an id, and logs how it went."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        inbound = Headers(scope=scope).get("x-request-id", "")
        request_id = inbound if _REQUEST_ID.fullmatch(inbound) else f"req-{uuid7().hex}"
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        start = time.perf_counter()
        status = 499

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["openai-processing-ms"] = str(int(1000 * (time.perf_counter() - start)))
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            if scope["path"] not in PUBLIC_PATHS:
                principal = scope["state"].get("principal")
                log.info(
                    "request",
                    key=principal.key_id if principal else None,
                    completion=scope["state"].get("completion"),
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    ms=round(1000 * (time.perf_counter() - start), 1),
                )


class PathSpelling:
    """`/v1/x`, `//api/v1/x` and `/api/v1/x/` are `/api/v1/x`: clients spell base URLs in all these ways.

    In queries, `use_case` is the older name of `project`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = re.sub(r"/{2,}", "/", scope["path"])
            if len(path) > 1:
                path = path.rstrip("/")
            if path.startswith("/v1/"):
                path = f"/api{path}"
            query = scope["query_string"]
            if b"use_case=" in query and not _PROJECT_IN_QUERY.search(query):
                query = _USE_CASE_IN_QUERY.sub(rb"\1project=", query)
            scope = {**scope, "path": path, "raw_path": path.encode(), "query_string": query}
        await self.app(scope, receive, send)


class BodyLimit:
    """Reads the whole body within a size and a time; the application finds it complete."""

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_seconds: float) -> None:
        self.app = app
        self._max_bytes = max_bytes
        self._timeout = timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except AdaptiveError as exc:
            await send_error(send, exc)
            return
        if body is None:
            return
        delivered = False

        async def replay() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, or None when the client left before its end."""
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise self._too_large()
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > self._max_bytes:
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError as exc:
            raise RequestTimeout(
                f"The request body took longer than {self._timeout:g} s to arrive.", headers={"Connection": "close"}
            ) from exc

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"The request body is larger than {self._max_bytes} bytes. "
            "The server's setting is ADAPTIVE_SERVER__MAX_BODY_BYTES."
        )


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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PUBLIC_PATHS:
            try:
                scope["state"]["principal"] = await self._authenticate(scope)
                await self._routing.renew()
            except AdaptiveError as exc:
                await send_error(send, exc)
                return
        await self.app(scope, receive, send)

    async def _authenticate(self, scope: Scope) -> Principal:
        headers = Headers(scope=scope)
        presented = _presented_key(headers)
        scope["state"]["signed_in"] = presented is None
        if presented is not None:
            known = self._keys.cached(presented)
            return known if known is not None else await asyncio.to_thread(self._keys.authenticate, presented)
        token = token_of(headers, self._sign_ins)
        if token is None:
            raise AuthenticationFailed(
                "No API key. Send it as 'Authorization: Bearer KEY'; `adaptive keys create` makes one.",
                code="missing_api_key",
            )
        self._hosts.require(headers)
        require_same_origin(scope, headers)
        known = self._sign_ins.cached(token)
        return known if known is not None else await asyncio.to_thread(self._sign_ins.authenticate, token)


def _presented_key(headers: Headers) -> str | None:
    """The one key of the request, from any of the headers that clients use."""
    found = set()
    for authorization in headers.getlist("authorization"):
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() != "bearer" or not credentials.strip():
            raise AuthenticationFailed("The Authorization header must be 'Bearer ' and an API key.")
        found.add(credentials.strip())
    found.update(headers[name].strip() for name in ("x-api-key", "api-key") if name in headers)
    if len(found) > 1:
        raise InvalidRequest("The request carries two different API keys. Send one.", code="ambiguous_api_key")
    return found.pop() if found else None
