"""What a server owes a browser: a cookie that scripts cannot read, and doubts about who sent it.

A page of another origin can make a browser send requests here. It cannot make it send an API key in a header, so these
rules are about requests that carry a cookie or nothing.
"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

from adaptive_engine.errors import InvalidRequest, PermissionDenied
from adaptive_engine.services.sign_in import SIGNED_IN_DAYS, SignIns
from adaptive_engine.settings import ServerSettings

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:@/\\?#\[\]]+))(?::[0-9]*)?")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def set_cookie(response: Response, scope: Scope, sign_ins: SignIns, token: str) -> None:
    """Let the browser send `token` with requests from our own pages."""
    secure = scope["scheme"] == "https"
    response.set_cookie(
        sign_ins.cookie, token, SIGNED_IN_DAYS * 24 * 3600, httponly=True, secure=secure, samesite="strict"
    )


def forget_cookie(response: Response, scope: Scope, sign_ins: SignIns) -> None:
    secure = scope["scheme"] == "https"
    response.delete_cookie(sign_ins.cookie, httponly=True, secure=secure, samesite="strict")


def token_of(headers: Headers, sign_ins: SignIns) -> str | None:
    """What the browser got when it signed in here, if anything."""
    # Browsers may send several of these headers over HTTP/2, and proxies pass them on as they are.
    return cookie_parser("; ".join(headers.getlist("cookie"))).get(sign_ins.cookie)


def require_same_origin(scope: Scope, headers: Headers) -> None:
    """Raises PermissionDenied for a change that some other page made a signed-in browser ask for.

    Browsers say where a request comes from in Sec-Fetch-Site, and where they do not (plain HTTP outside of the
    loopback interface) in Origin.
    """
    if scope["method"] in _SAFE:
        return
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    if site is not None:
        ours = site == "same-origin"
    else:
        scheme, _, host = (origin or "").partition("://")
        ours = bool(scheme and host) and host == headers.get("host")
    if not ours:
        raise PermissionDenied(
            "The request has a browser's cookie and does not come from a page of this server. "
            "Programs send an API key: 'Authorization: Bearer KEY'.",
            code="cross_site_request",
        )


class AllowedHosts:
    """The names under which browsers may reach the server.

    Else a page of evil.example whose name was made to point here (DNS rebinding) would be of the same origin.
    """

    def __init__(self, settings: ServerSettings) -> None:
        names = {name.strip().lower() for name in (settings.allowed_hosts or "").split(",")} - {""}
        # What listens on a network is reached by names that it cannot know.
        self._any = "*" in names or (not names and not _is_local(settings.host))
        self._names = names

    def require(self, headers: Headers) -> None:
        """Raises InvalidRequest for any other name. Addresses are no names: nobody else can point one here."""
        name = _hostname(headers.get("host", ""))
        if self._any or name in self._names or _is_local(name) or _is_address(name):
            return
        raise InvalidRequest(
            f"This server does not answer to browsers as '{name[:200]}'. If that is its name, add it to "
            "ADAPTIVE_SERVER__ALLOWED_HOSTS.",
            code="host_not_allowed",
        )


def _hostname(host: str) -> str:
    """`Host` without its port; nothing for what is no name and no address."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
