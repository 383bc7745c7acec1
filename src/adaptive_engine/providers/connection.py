"""One connection to a provider, and the answer that is read from it."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

import httptools

from adaptive_engine.errors import AdaptiveError, UpstreamFailed, UpstreamTimeout

MAX_HEADER_BYTES: Final = 65_536
# A reader that is slower than its provider holds so much at most; then the provider has to wait.
_BUFFER_BYTES = 256 << 10
# How long the end of a body may take whose answer is known.
_DRAIN_SECONDS = 1.0


class Keeper(Protocol):
    """Whoever keeps connections for later."""

    def release(self, connection: Connection) -> None: ...


class Connection(asyncio.Protocol):
    """One connection, and the answer that is read from it. httptools calls the `on_` methods."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._until = 0.0
        """When it is over for the waiter."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._paused = False
        self.closed = False
        self.released_at = 0.0
        self._draining: tuple[Keeper, asyncio.TimerHandle] | None = None
        self.reset()
        self.idle = False

    def reset(self) -> None:
        """Be ready for the next request."""
        self._parser = httptools.HttpResponseParser(self)
        self._header_bytes = 0
        self._size = 0
        self._error: AdaptiveError | None = None
        self._head = False
        self._framed = False
        self._keep_alive = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.complete = False
        self.heard = False
        """Some of the answer has arrived."""
        self.idle = True

    @property
    def reusable(self) -> bool:
        return self.complete and not self.closed and self._keep_alive

    def send(self, message: bytes) -> None:
        self.idle = False
        if self.closed or self._transport is None:
            raise broken("closed the connection")
        self._transport.write(message)

    async def wait(self, limit: float, deadline: float, what: str, *, head: bool = False) -> None:
        """Return when the head has arrived, or else more of the body or its end."""
        until = min(self.loop.time() + limit, deadline)
        while not (self._head if head else self.pieces or self.complete):
            if self._error is not None:
                raise self._error
            self._waiter = self.loop.create_future()
            self._expires_within(until)
            try:
                await self._waiter
            except TimeoutError as exc:
                self.abort()
                raise late(what) from exc
            finally:
                self._waiter = None

    def _expires_within(self, until: float) -> None:
        """End the wait then. The timer of an earlier wait serves this one, too, unless it would come too late: one for
        each event of a stream would cost more than reading it.
        """
        self._until = until
        if self._timer is not None and self._timer_at > until:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer, self._timer_at = self.loop.call_at(until, self._look), until

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self.loop.time() >= self._until:
            self._waiter.set_exception(TimeoutError())
        else:
            self._expires_within(self._until)

    def take(self) -> bytes:
        data = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces, self._size = [], 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def drain(self, pool: Keeper) -> None:
        self.take()
        if self.complete:
            pool.release(self)
        elif not self.closed:
            self._draining = pool, self.loop.call_later(_DRAIN_SECONDS, self.abort)

    def abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.idle:
            # Nobody has asked for anything.
            self.abort()
            return
        self.heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(UpstreamFailed("What the provider sent is not HTTP.", code="upstream_bad_response"))
        if not self._head:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES:
                self._fail(UpstreamFailed("The provider's headers are too long.", code="upstream_bad_response"))
        if self._draining is not None:
            self._drained(*self._draining)
        self._wake()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._end()

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._head = self.status >= 200
        self._framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        # Asked here: once the message is complete, the parser has forgotten.
        self._keep_alive = bool(self._parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)
        self._size += len(body)
        if self._size > _BUFFER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._head:
            self.complete = True
        else:
            # 100 Continue and its like announce an answer.
            self.headers = {}

    def _drained(self, pool: Keeper, timer: asyncio.TimerHandle) -> None:
        if self._size > _BUFFER_BYTES or self.closed:
            self.abort()
        if self.complete or self.closed:
            timer.cancel()
            self._draining = None
            self.take()
            pool.release(self)

    def _end(self) -> None:
        if self._head and not self._framed:
            # An answer of no stated length ends with its connection.
            self.complete = True
        if not self.complete:
            self._fail(broken("closed the connection in the middle of its answer" if self.heard else "hung up"))
        self._wake()

    def _fail(self, error: AdaptiveError) -> None:
        if self._error is None:
            self._error = error
        self.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def late(what: str) -> UpstreamTimeout:
    return UpstreamTimeout(f"The provider {what} in time.")


def broken(what: str) -> UpstreamFailed:
    return UpstreamFailed(f"The provider {what}.", code="upstream_incomplete", again=True)
