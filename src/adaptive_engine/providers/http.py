"""HTTP/1.1 to providers: pooled connections, hard limits, nothing that a gateway does not need.

One `HttpClient` per external model and server, with httptools for a parser, as the server has it. A general client
would take most of the time of a request (docs/architecture.md has the numbers). Redirects are answers like any other,
nothing is decompressed, and a connection is made to an address that was checked, not to a name.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from adaptive_engine._version import __version__
from adaptive_engine.errors import UpstreamFailed, UpstreamTimeout
from adaptive_engine.providers.addresses import AddressPolicy
from adaptive_engine.providers.connection import Connection, late

MAX_BODY_BYTES: Final = 16 << 20
"""Of an answer in one piece."""
# Bot protection, such as Cloudflare's, sends away who gives no name.
_AGENT = f"user-agent: adaptive-engine/{__version__}"
_IDLE_CONNECTIONS = 128
_IDLE_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds."""

    connect: float = 5.0
    first_byte: float = 60.0
    """From the end of the request to the first byte of a stream."""
    answer: float = 300.0
    """The same for an answer in one piece, which begins when it is finished."""
    idle: float = 30.0
    """Between two pieces of it."""
    total: float = 600.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go: scheme, host and port, and the path that comes before each request's own."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Raises ValueError in words for users."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError("an endpoint begins with https:// or http://")
        if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an endpoint is https://HOST[:PORT][/PATH], without user, query and fragment")
        if not re.fullmatch(r"[!-~]*", url):
            raise ValueError("an endpoint has visible ASCII characters only")
        return cls(
            parts.scheme,
            parts.hostname,
            parts.port or (443 if parts.scheme == "https" else 80),
            parts.path.rstrip("/"),
        )

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        return host if usual else f"{host}:{self.port}"


class Response:
    """The answer to one request. Read it to the end or `close` it; what was read whole gives its connection back."""

    def __init__(self, connection: Connection, pool: _Pool, begin: float, idle: float, deadline: float) -> None:
        self._connection = connection
        self._pool = pool
        self._begin = begin
        self._idle = idle
        self._deadline = deadline
        self._begun = False
        self._open = True
        self.status = connection.status
        self.headers: Mapping[str, str] = connection.headers

    async def chunk(self) -> bytes:
        """What has arrived of the body, at least a byte; nothing at its end. Raises UpstreamFailed, UpstreamTimeout."""
        connection = self._connection
        if connection.loop.time() > self._deadline:
            self.close()
            raise late("is not ready")
        if not connection.pieces and not connection.complete:
            limit = self._idle if self._begun else self._begin
            await connection.wait(limit, self._deadline, "sent nothing")
        self._begun = True
        if connection.pieces:
            return connection.take()
        if self._open:
            self._open = False
            self._pool.release(connection)
        return b""

    async def read(self, limit: int = MAX_BODY_BYTES) -> bytes:
        """The whole body. Raises UpstreamFailed, also for one of more than `limit` bytes, and UpstreamTimeout."""
        pieces, size = [], 0
        while piece := await self.chunk():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                self.close()
                raise UpstreamFailed(
                    f"The provider's answer is larger than {limit} bytes.", code="upstream_bad_response"
                )
        return b"".join(pieces)

    def finish(self) -> None:
        """Keep the connection, though the end of the body may still be on its way. What it says is not read."""
        if self._open:
            self._open = False
            self._connection.drain(self._pool)

    def close(self) -> None:
        """Cut the connection, unless it was read to the end. Safe to call at any time."""
        if self._open:
            self._open = False
            self._connection.abort()


class HttpClient:
    """Sends requests to one origin."""

    def __init__(self, origin: Origin, addresses: AddressPolicy, timeouts: Timeouts) -> None:
        self._origin = origin
        self._addresses = addresses
        self._timeouts = timeouts
        # Connections belong to the event loop that made them, and a server has more than one.
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = weakref.WeakKeyDictionary()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as they were registered."""
        return self._origin.host, self._origin.port

    async def post(
        self, path: str, headers: Mapping[str, str], body: bytes, deadline: float, *, stream: bool
    ) -> Response:
        """Send `body` and wait for the head of the answer, until `deadline` on the loop's clock at most.

        Raises UpstreamFailed or UpstreamTimeout.
        """
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = _Pool(self._origin, self._addresses)
        lines = [f"POST {self._origin.path}{path} HTTP/1.1", f"host: {self._origin.authority}", _AGENT]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        message = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body
        begin = self._timeouts.first_byte if stream else self._timeouts.answer
        connection = pool.idle()
        fresh = connection is None
        while True:
            if connection is None:
                connection = await pool.connect(min(self._timeouts.connect, deadline - loop.time()))
            try:
                connection.send(message)
                await connection.wait(begin, deadline, "did not answer", head=True)
            except UpstreamFailed:
                connection.abort()
                if fresh or connection.heard:
                    raise
                # The provider had closed it while it was not used: that is no failure of this request.
                connection, fresh = None, True
            except BaseException:
                connection.abort()
                raise
            else:
                return Response(connection, pool, begin, self._timeouts.idle, deadline)

    def close(self) -> None:
        """Give up the connections of this loop that nobody uses."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            pool.close()


class _Pool:
    """The connections of one origin on one event loop."""

    def __init__(self, origin: Origin, addresses: AddressPolicy) -> None:
        self._origin = origin
        self._addresses = addresses
        self._idle: deque[Connection] = deque()
        """The one that was released last is the last."""
        self._closed = False

    def idle(self) -> Connection | None:
        """The one that was used last: the others may come to rest."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and time.monotonic() - connection.released_at < _IDLE_SECONDS:
                return connection
            connection.abort()
        return None

    async def connect(self, seconds: float) -> Connection:
        """Raises UpstreamFailed, UpstreamTimeout."""
        origin, loop = self._origin, asyncio.get_running_loop()
        tls = _tls() if origin.scheme == "https" else None
        failure: OSError | None = None
        try:
            async with asyncio.timeout(max(seconds, 0)):
                for address in await self._addresses.resolve(origin.host, origin.port):
                    try:
                        _, connection = await loop.create_connection(
                            Connection, address, origin.port, ssl=tls, server_hostname=origin.host if tls else None
                        )
                        return connection
                    except OSError as exc:
                        failure = exc
        except TimeoutError as exc:
            raise UpstreamTimeout(f"The provider at {origin.authority} did not take the connection in time.") from exc
        except OSError as exc:
            failure = exc
        raise _unreachable(origin, failure) from failure

    def release(self, connection: Connection) -> None:
        now = time.monotonic()
        while self._idle and now - self._idle[0].released_at > _IDLE_SECONDS:
            self._idle.popleft().abort()
        if connection.reusable and not self._closed and len(self._idle) < _IDLE_CONNECTIONS:
            connection.reset()
            connection.released_at = now
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        self._closed = True
        for connection in self._idle:
            connection.abort()
        self._idle.clear()


def _unreachable(origin: Origin, failure: OSError | None) -> UpstreamFailed:
    if isinstance(failure, ssl.SSLError):
        reason = "its certificate is not valid" if isinstance(failure, ssl.SSLCertVerificationError) else "TLS failed"
    else:
        reason = (failure.strerror if failure else None) or "there is no such host"
    return UpstreamFailed(
        f"The provider at {origin.authority} cannot be reached: {reason}.", code="upstream_unreachable", again=True
    )


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
