"""Server-sent events for one completion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from adaptive_engine.server.connections import STOPPING_ERROR, ClientLeft, send_within, while_read

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

    `on_leave` runs when the client has left or reads nothing for `send_timeout` seconds.
    """

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        on_leave: Callable[[], Awaitable[None]],
        *,
        headers: dict[str, str],
        ping_seconds: float,
        send_timeout: float,
    ) -> None:
        super().__init__(headers={**HEADERS, **headers})
        del self.headers["content-length"]
        self._frames = frames
        self._on_leave = on_leave
        self._ping_seconds = ping_seconds
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_read(scope, receive, self._send_all(send))
        except ClientLeft:
            await self._on_leave()
        except asyncio.CancelledError:
            # The server stops without waiting any longer; there is time for one frame.
            await self._on_leave()
            await self._send(send, {"type": "http.response.body", "body": STOPPING, "more_body": False})
        except BaseException:
            # The answer cannot be sent: nothing may go on generating.
            await self._on_leave()
            raise

    async def _send_all(self, send: Send) -> None:
        await self._send(send, {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        upcoming = asyncio.ensure_future(anext(self._frames, None))
        try:
            while True:
                done, _ = await asyncio.wait({upcoming}, timeout=self._ping_seconds)
                frame = upcoming.result() if done else PING
                if frame is None:
                    break
                if done:
                    upcoming = asyncio.ensure_future(anext(self._frames, None))
                await self._send(send, {"type": "http.response.body", "body": frame, "more_body": True})
        finally:
            if not upcoming.done():
                upcoming.cancel()
                await asyncio.wait({upcoming})
        await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, message: Message) -> None:
        await send_within(self._send_timeout, send, message)
