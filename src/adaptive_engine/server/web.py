"""The web application: the files that `scripts/ui.py` made of `ui/`, served beside the API."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.browser import AllowedHosts
from adaptive_engine.server.errors import send_error

BUILT = Path(__file__).parent / "ui"
"""Where the build leaves them. They travel in the wheel."""
NOT_BUILT = "The web application is not built; `make install` builds it. The API is described at /openapi.json.\n"

_PAGE = re.compile(r"/|/(?:sign-in|projects)(?:/.*)?")
"""Addresses that the application itself understands, in `ui/src/router.tsx`. All others are the API's."""
# What a machine believes about file names is not to be relied on: without its type a browser runs no script.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_REFUSED = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*")
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_HEADERS = {
    # Styles inline: Mantine sets the variables of its theme so. No page of ours asks another host for anything.
    "content-security-policy": "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "vary": "accept-encoding",
}


@dataclass(frozen=True, slots=True)
class _File:
    """One file, with what came out of compressing it."""

    bodies: dict[str, bytes]
    """By content coding; `identity` is always there."""
    headers: dict[str, str]

    def respond(self, request: Headers) -> Response:
        if request.get("if-none-match") == self.headers["etag"]:
            return Response(status_code=304, headers=self.headers)
        accepted = _codings(request.get("accept-encoding", ""))
        coding = next((name for name, _ in _ENCODINGS if name in accepted and name in self.bodies), None)
        headers = self.headers if coding is None else {**self.headers, "content-encoding": coding}
        return Response(self.bodies[coding or "identity"], headers=headers)


class WebApplication:
    """Answers for pages and their files, and passes everything else on.

    The files are read once: what is not among them cannot be asked for, however its path is spelled.
    """

    def __init__(self, app: ASGIApp, hosts: AllowedHosts, directory: Path = BUILT) -> None:
        self.app = app
        self._hosts = hosts
        self._files = {
            f"/{path.relative_to(directory).as_posix()}": _read(path, directory)
            for path in sorted(directory.rglob("*"))
            if path.is_file() and path.suffix not in {".br", ".gz"}
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in {"GET", "HEAD"}:
            path = scope["path"]
            is_page = _PAGE.fullmatch(path) is not None
            if is_page or path in self._files:
                await self._answer("/index.html" if is_page else path, scope, receive, send)
                return
        await self.app(scope, receive, send)

    async def _answer(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            self._hosts.require(headers)
        except InvalidRequest as exc:
            await send_error(send, exc)
            return
        found = self._files.get(path)
        response = found.respond(headers) if found else PlainTextResponse(NOT_BUILT, 404)
        if scope["method"] == "HEAD":
            response.body = b""
        await response(scope, receive, send)


def _codings(accept: str) -> set[str]:
    """Those that a client takes; a weight of 0 is a refusal."""
    offers = (part.partition(";") for part in accept.lower().split(","))
    return {name.strip() for name, _, weight in offers if not _REFUSED.fullmatch(weight)}


def _read(path: Path, directory: Path) -> _File:
    bodies = {"identity": path.read_bytes()}
    for coding, suffix in _ENCODINGS:
        compressed = path.with_name(path.name + suffix)
        if compressed.exists():
            bodies[coding] = compressed.read_bytes()
    # Vite names what is below `assets/` by its content.
    is_named_by_content = path.relative_to(directory).parts[0] == "assets"
    headers = {
        **_HEADERS,
        "content-type": _TYPES.get(path.suffix, "application/octet-stream"),
        "cache-control": "public, max-age=31536000, immutable" if is_named_by_content else "no-cache",
        "etag": f'"{hashlib.sha256(bodies["identity"]).hexdigest()[:24]}"',
    }
    return _File(bodies, headers)
