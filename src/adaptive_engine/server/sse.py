"""Server-sent events for one completion, and noticing that the client has left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import orjson
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from adaptive_engine.errors import Unavailable

PING = b": ping\n\n"
ABORT = "adaptive.abort"
"""The ASGI extension with which the server lets a response cut its connection."""
DONE = b"data: [DONE]\n\n"
Result = TypeVar("Result")


def event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


STOPPING_ERROR = Unavailable("The server is shutting down; the answer was not finished.", code="shutting_down")
STOPPING = event(orjson.dumps(STOPPING_ERROR.body()))
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # nginx would collect the events otherwise.
    "x-accel-buffering": "no",
}


class ClientLeft(Exception):
    """The connection is gone; there is nobody to answer."""


async def until_disconnect(receive: Receive, work: Awaitable[Result]) -> Result:
    """Run `work`, but cancel it and raise ClientLeft as soon as the client disconnects."""
    task = asyncio.ensure_future(work)
    watcher = asyncio.create_task(_disconnect(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientLeft
    finally:
        watcher.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


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
            await until_disconnect(receive, self._send_all(send))
        except (ClientLeft, TimeoutError, OSError) as exc:
            if isinstance(exc, TimeoutError) and ABORT in scope.get("extensions", {}):
                scope["extensions"][ABORT]["abort"]()
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
        async with asyncio.timeout(self._send_timeout):
            await send(message)
