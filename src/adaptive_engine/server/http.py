"""uvicorn, configured for long streams."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adaptive_engine.server.connections import ABORT, WATCH
from adaptive_engine.settings import ServerSettings

# A client that offers HTTP/2 on a plain connection (curl --http2, Java's HttpClient) sends a whole HTTP/1.1 request
# with it, but the parser stops reading at the offer and the body would be lost. We decline by not seeing it.
_UPGRADE_OFFER = re.compile(rb"(?im)^(?:upgrade|http2-settings):[^\r\n]*\r\n")


# How soon a second signal ends the wait.
_TICK_SECONDS = 0.05


class _Protocol(HttpToolsProtocol):
    """Declines upgrades, can be told to give a connection up, and tells when its client did."""

    _on_left: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        inside_body = self.cycle is not None and self.cycle.more_body
        head, end, rest = data.partition(b"\r\n\r\n")
        # Heads come in one piece from the clients that offer this; one that does not is left as it is.
        if end and not inside_body and b"upgrade:" in head.lower():
            data = _UPGRADE_OFFER.sub(b"", head + b"\r\n")[:-2] + end + rest
        super().data_received(data)

    def on_headers_complete(self) -> None:
        # Closing a connection waits until its reader has taken what was written. One that reads nothing never does.
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}, WATCH: {"watch": self._watch}}
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._on_left is not None:
            self._on_left()

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
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self._on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")

    async def shutdown(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._on_stop(len(self.server_state.tasks))
        end = time.monotonic() + self._unready_seconds
        while time.monotonic() < end and not self.force_exit:  # noqa: ASYNC110 - a signal's handler sets no event
            await asyncio.sleep(_TICK_SECONDS)
        await super().shutdown(sockets)  # type: ignore[arg-type]


def run(
    app: ASGIApp, settings: ServerSettings, on_ready: Callable[[str], None], on_stop: Callable[[int], None]
) -> None:
    """Serve until SIGINT or SIGTERM. After `unready_seconds` no new connection is taken any more, and running requests
    may finish for `drain_seconds`; a second SIGINT ends them at once. `on_ready` gets the URL, `on_stop` the number of
    those requests.
    """
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http=_Protocol,
        lifespan="off",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=settings.drain_seconds,
        timeout_keep_alive=75,
        backlog=1024,
    )
    _Server(config, on_ready, on_stop, settings.unready_seconds).run()
