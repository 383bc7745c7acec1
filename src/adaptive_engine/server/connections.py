"""Connections whose client leaves, or stays and reads nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Message, Receive, Scope, Send

from adaptive_engine.errors import Unavailable

ABORT = "adaptive.abort"
"""The ASGI extension with which the server lets a response cut its connection."""
STOPPING_ERROR = Unavailable("The server is shutting down; the answer was not finished.", code="shutting_down")
Result = TypeVar("Result")


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


async def while_read(scope: Scope, receive: Receive, sending: Awaitable[None]) -> None:
    """Run what sends a response with `send_within`. Raises ClientLeft when the client has left, or was cut off because
    it read nothing.
    """
    try:
        await until_disconnect(receive, sending)
    except (TimeoutError, OSError) as exc:
        if isinstance(exc, TimeoutError) and ABORT in scope.get("extensions", {}):
            scope["extensions"][ABORT]["abort"]()
        raise ClientLeft from exc


async def send_within(seconds: float, send: Send, message: Message) -> None:
    """Raises TimeoutError when the client does not take it by then."""
    async with asyncio.timeout(seconds):
        await send(message)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
