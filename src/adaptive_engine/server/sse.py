"""Server-sent events for one completion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from adaptive_engine.errors import AdaptiveError
from adaptive_engine.server.connections import (
    STOPPING_ERROR,
    ClientLeft,
    WhileConnected,
    abort,
    although_cancelled,
    send_within,
)
from adaptive_engine.server.errors import error_response

PING = b": ping\n\n"
DONE = b"data: [DONE]\n\n"


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


STOPPING = event(orjson.dumps(STOPPING_ERROR.body()))
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx would collect the events otherwise.
    "x-accel-buffering": "no",
}


class EventStream(Response):
    """Sends frames as they come, comments while none come, and stops in every phase when the client leaves.

    An AdaptiveError of `frames` is the last event; before the headers are sent, it is the status instead. `on_leave`
    runs when the client has left or reads nothing for `send_timeout` seconds.
    """

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        on_leave: Callable[[], Awaitable[None]],
        *,
        headers: Callable[[], Mapping[str, str]],
        ping_seconds: float,
        send_timeout: float,
        patience: float = 0,
    ) -> None:
        """The headers are sent with the first frame, or after `patience` seconds without one; `headers` says which."""
        # Not Starlette's own, which wants to know the headers now.
        self.status_code, self.background = 200, None
        self._frames = frames
        self._on_leave = on_leave
        self._choose_headers = headers
        self._patience = patience
        self._ping_seconds = ping_seconds
        self._send_timeout = send_timeout
        self._loop = asyncio.get_running_loop()
        self._started = self._sending = self._stuck = False
        self._since = 0.0
        """When the silence began, or else the sending of the frame that is on its way."""
        self._ping: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with WhileConnected(scope, receive) as connected:
                await self._send_all(send, connected)
        except ClientLeft:
            if self._stuck:
                abort(scope)
            await self._on_leave()
        except OSError:
            await self._on_leave()
        except asyncio.CancelledError:
            # The server stops without waiting any longer; there is time for one frame.
            await although_cancelled(self._on_leave())
            if self._started:
                last: Message = {"type": "http.response.body", "body": STOPPING, "more_body": False}
                await send_within(self._send_timeout, send, last)
            else:
                await error_response(STOPPING_ERROR)(scope, receive, send)
        except AdaptiveError as exc:
            # Only before the start. What failed has ended already.
            await error_response(exc)(scope, receive, send)
        except BaseException:
            # The answer cannot be sent: nothing may go on generating.
            await self._on_leave()
            raise

    async def _send_all(self, send: Send, connected: WhileConnected) -> None:
        self._since = self._loop.time()
        self._look(send, connected)
        try:
            if not self._patience:
                await self._start(send)
            try:
                async for frame in self._frames:
                    await self._send_next(send, frame)
            except AdaptiveError as exc:
                if self._ping is not None:
                    await self._ping
                if not self._started:
                    raise
                await self._send_frame(send, event(orjson.dumps(exc.body())))
            await self._send_next(send, b"", more=False)
        finally:
            self._timer.cancel()
            if self._ping is not None and not self._ping.done():
                self._ping.cancel()
                await asyncio.wait({self._ping})

    async def _send_next(self, send: Send, frame: bytes, *, more: bool = True) -> None:
        """Behind a comment that is on its way."""
        if self._ping is not None:
            await self._ping
        await self._send_frame(send, frame, more=more)

    async def _send_frame(self, send: Send, frame: bytes, *, more: bool = True) -> None:
        if not self._started:
            await self._start(send)
        await self._send(send, {"type": "http.response.body", "body": frame, "more_body": more})

    async def _start(self, send: Send) -> None:
        self._started = True
        headers = {**HEADERS, **self._choose_headers()}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send(send, {"type": "http.response.start", "status": self.status_code, "headers": raw})

    async def _send(self, send: Send, message: Message) -> None:
        """What `_look` limits the time of."""
        self._sending, self._since = True, self._loop.time()
        await send(message)
        self._sending, self._since = False, self._loop.time()

    def _look(self, send: Send, connected: WhileConnected) -> None:
        """Whether it was silent, or a reader took nothing, for too long. One timer, because a timeout for each frame
        would cost more than the frame.
        """
        now = self._loop.time()
        if self._sending:
            due = self._since + self._send_timeout
            if now >= due:
                self._stuck = True
                connected.end()
        else:
            pause = self._patience if self._patience and not self._started else self._ping_seconds
            due = self._since + pause
            if now >= due:
                self._ping = self._loop.create_task(self._send_frame(send, PING))
                due = now + self._ping_seconds
            # A frame that is sent from here on shall not be late by more than it may.
            due = min(due, now + self._send_timeout)
        self._timer = self._loop.call_at(due, self._look, send, connected)
