"""What both clients share about HTTP: a call's fields, its time limits, and the errors it can end in."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx2

from adaptive_engine.sdk.errors import APIConnectionError, APIStatusError, APITimeoutError, from_status
from adaptive_engine.sdk.settings import NOT_GIVEN, Settings, Timeout, require_timeout

MAX_CONNECT_SECS = 5.0
"""A server that takes longer to accept a connection is down; only its answers may take long."""


@dataclass(frozen=True, slots=True)
class Call:
    """What to send. `path` is below `/api/v1`; `stream` leaves the body of a good answer unread."""

    method: str
    path: str
    content: bytes | None = None
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_secs: Timeout = NOT_GIVEN
    stream: bool = False

    def build(self, client: httpx2.Client | httpx2.AsyncClient, settings: Settings) -> httpx2.Request:
        """Raises ValueError for a time limit that is none."""
        headers = settings.headers.copy()
        if self.content is not None:
            headers["Content-Type"] = "application/json"
        headers.update(self.headers)
        limit = settings.timeout_secs if self.timeout_secs is NOT_GIVEN else self.timeout_secs
        require_timeout(limit)
        connect = None if limit is None else min(limit, MAX_CONNECT_SECS)
        return client.build_request(
            self.method,
            settings.url(self.path),
            content=self.content,
            params=list(self.query) or None,
            headers=headers,
            timeout=httpx2.Timeout(limit, connect=connect),
        )


def tls(settings: Settings) -> ssl.SSLContext:
    """What a client believes of certificates: nothing where none is shown, for reading all authorities takes 50 ms."""
    if settings.base_url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.create_ssl_context()


def connection_error(failure: httpx2.RequestError, settings: Settings) -> APIConnectionError:
    """The error for a request that got no answer."""
    where = settings.base_url
    match failure:
        case httpx2.ConnectTimeout() | httpx2.ConnectError():
            kind = APITimeoutError if isinstance(failure, httpx2.TimeoutException) else APIConnectionError
            return kind(
                f"Cannot connect to {where} ({_reason(failure)}). Is `adaptive serve` running there? "
                "Set base_url or ADAPTIVE_URL to reach another server."
            )
        case httpx2.TimeoutException():
            return APITimeoutError(
                f"{where} sent nothing for longer than the time limit ({_reason(failure)}). "
                "Raise timeout_secs, or use stream=True to get the answer as it is made."
            )
        case _:
            return APIConnectionError(f"The connection to {where} broke before the answer ({_reason(failure)}).")


def status_error(response: httpx2.Response, settings: Settings) -> APIStatusError:
    """The error for an answer, already read, whose status is not 2xx."""
    request_id = response.headers.get("x-request-id")
    return from_status(response.status_code, response.content, request_id=request_id, hint=_hint(response, settings))


def _hint(response: httpx2.Response, settings: Settings) -> str:
    """What to do next, where the status alone tells."""
    if response.status_code == 401:
        if response.request.headers.get("authorization") != f"Bearer {settings.api_key}":
            return "The key came from the header Authorization in default_headers or extra_headers."
        return f"The key came from {settings.api_key_source}."
    if response.is_redirect:
        return f"The server points to {response.headers.get('location')}: set base_url to the address it wants."
    if response.status_code == 404 and "json" not in response.headers.get("content-type", ""):
        return f"That is not an Adaptive Engine server: check base_url ({settings.base_url})."
    if response.status_code in (429, 503):
        return "The server is busy or not ready: try again later, or raise max_retries."
    return ""


def _reason(failure: Exception) -> str:
    return str(failure) or type(failure).__name__
