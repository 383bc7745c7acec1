"""uvicorn, configured for long streams."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adaptive_engine.errors import AdaptiveError, Conflict, HeadTooLarge, RequestTimeout
from adaptive_engine.server.connections import ABORT, WATCH
from adaptive_engine.settings import ServerSettings
from adaptive_engine.types import hex7

# A client that offers HTTP/2 on a plain connection (curl --http2, Java's HttpClient) sends a whole HTTP/1.1 request
# with it, but the parser stops reading at the offer and the body would be lost. We decline by not seeing it.
_UPGRADE_OFFER = re.compile(rb"(?im)^(?:upgrade|http2-settings):[^\r\n]*\r\n")


# What is thrown away of a body that was answered before its end: many clients read nothing before they have sent all.
_MOST_UNREAD = 64 * 2**20
MAX_HEAD_BYTES = 65_536
"""Of a request's address and headers, when they come in several pieces; one piece has at most 256 KiB."""
# Connections that wait to be taken.
_BACKLOG = 1024
# How soon a second signal ends the wait.
_TICK_SECONDS = 0.05


class _Protocol(HttpToolsProtocol):
    """Declines upgrades, can be told to give a connection up, and tells when its client did. The parser takes heads of
    any size, in any time: both end here, the latter after `head_seconds`.
    """

    _on_left: Callable[[], None] | None = None
    _in_head = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _unread = 0

    def __init__(self, *args: Any, head_seconds: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_seconds = head_seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self._head_seconds, self._head_is_late)

    def data_received(self, data: bytes) -> None:
        inside_body = self.cycle is not None and self.cycle.more_body
        head, end, rest = data.partition(b"\r\n\r\n")
        # Heads come in one piece from the clients that offer this; one that does not is left as it is.
        if end and not inside_body and b"upgrade:" in head.lower():
            data = _UPGRADE_OFFER.sub(b"", head + b"\r\n")[:-2] + end + rest
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head(
                    HeadTooLarge(f"The address and the headers of the request have more than {MAX_HEAD_BYTES} bytes.")
                )
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(self._head_seconds, self._head_is_late)

        elif self.cycle is not None and self.cycle.response_complete and self.cycle.more_body:
            self._leave_body(len(data))

    def _leave_body(self, size: int) -> None:
        """Nobody waits for the rest of this body: it may come for a while, and not for ever."""
        self._unread += size
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_seconds, self._head_is_late)
        if self._unread > _MOST_UNREAD:
            self.flow.pause_reading()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes, self._unread = True, 0, 0
        self._stop_head_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_head_timer()
        # Closing a connection waits until its reader has taken what was written. One that reads nothing never does.
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}, WATCH: {"watch": self._watch}}
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)
        if self._on_left is not None:
            self._on_left()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._in_head:
            self._refuse_head(RequestTimeout(f"The headers of the request took longer than {self._head_seconds:g} s."))
        else:
            # A connection that nobody has used, or a body that nobody reads.
            self.transport.close()

    def _refuse_head(self, error: AdaptiveError) -> None:
        # While another request is answered, there is no place for this answer.
        if self.cycle is None or self.cycle.response_complete:
            body = orjson.dumps(error.body())
            reason = {431: b"Request Header Fields Too Large", 408: b"Request Timeout"}[error.status]
            lines = (
                b"HTTP/1.1 %d %b" % (error.status, reason),
                b"content-type: application/json",
                b"content-length: %d" % len(body),
                b"x-request-id: req-%b" % hex7().encode(),
                b"connection: close",
            )
            self.transport.write(b"\r\n".join((*lines, b"", body)))
        self.transport.close()

    def _watch(self, on_left: Callable[[], None] | None) -> None:
        """Of the request that runs; a connection has one at a time."""
        self._on_left = on_left
        if on_left is not None and self.transport.is_closing():
            self.loop.call_soon(on_left)


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        on_ready: Callable[[str], None],
        on_stop: Callable[[int], None],
        unready_seconds: float = 0,
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._unready_seconds = unready_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn raises the signal again after it has stopped: the process would end before the store is closed."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        if self.started:
            # What is here now stays: looking for garbage may leave it out, and need not come every few requests.
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 10, 10)
            self._on_ready(url_of((sockets or self.servers[0].sockets)[0]))  # type: ignore[arg-type]

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._on_stop(len(self.server_state.tasks))
        end = time.monotonic() + self._unready_seconds
        while time.monotonic() < end and not self.force_exit:  # noqa: ASYNC110 - a signal's handler sets no event
            await asyncio.sleep(_TICK_SECONDS)
        await super().shutdown(sockets)  # type: ignore[arg-type]


def run(
    app: ASGIApp,
    settings: ServerSettings,
    on_ready: Callable[[str], None],
    on_stop: Callable[[int], None],
    listening: socket.socket | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. After `unready_seconds` no new connection is taken any more, and running requests
    may finish for `drain_seconds`; a second SIGINT ends them at once. `on_ready` gets the URL, `on_stop` the number of
    those requests.

    `listening` is a socket of somebody else, instead of one for the address in the settings.
    """
    server = _Server(_config(app, settings), on_ready, on_stop, settings.unready_seconds)
    server.run(None if listening is None else [listening])


def listen(settings: ServerSettings) -> socket.socket:
    """A socket for the address in the settings, that several processes can take connections from. Raises Conflict."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
    except OSError as exc:
        listening.close()
        raise Conflict(
            f"Cannot listen on {settings.host}:{settings.port}: {exc.strerror}. Try another --host or --port."
        ) from exc
    listening.listen(_BACKLOG)
    return listening


def url_of(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _config(app: ASGIApp, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=partial(_Protocol, head_seconds=settings.body_timeout_seconds),  # type: ignore[arg-type]
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=settings.drain_seconds,
        timeout_keep_alive=75,
        backlog=_BACKLOG,
    )
