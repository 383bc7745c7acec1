"""Connections whose client leaves, or stays and reads nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from contextlib import suppress
from types import TracebackType, coroutine
from typing import Any, TypeVar

from starlette.types import Message, Receive, Scope, Send

from adaptive_engine.errors import Unavailable

ABORT = "adaptive.abort"
"""The ASGI extension with which the server lets a response cut its connection."""
WATCH = "adaptive.watch"
"""The ASGI extension with which the server calls back when the client has left."""
STOPPING_ERROR = Unavailable("The server is shutting down; the answer was not finished.", code="shutting_down")
Result = TypeVar("Result")


class ClientLeft(Exception):
    """The connection is gone; there is nobody to answer."""


class WhileConnected:
    """A block that is cancelled when the client leaves, and then raises ClientLeft.

    It runs in the task of the request, because two tasks for each request, one that works and one that waits for the
    client to leave, would cost as much as parsing it.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._watch = scope.get("extensions", {}).get(WATCH)
        self._receive = receive
        self._task: asyncio.Task[object] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._ended = False

    def __enter__(self) -> WhileConnected:
        self._task = asyncio.current_task()
        if self._watch is not None:
            self._watch["watch"](self.end)
        else:
            # Servers that do not call back can be asked.
            self._watcher = asyncio.create_task(self._ask())
        return self

    def end(self) -> None:
        """As if the client had left."""
        if not self._ended and self._task is not None:
            self._ended = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._watcher is not None:
            self._watcher.cancel()
        elif self._watch is not None:
            self._watch["watch"](None)
        # Another cancellation means that the server stops, and goes on.
        if self._ended and task is not None and not task.uncancel() and kind is asyncio.CancelledError:
            raise ClientLeft from error

    async def _ask(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end()


async def until_disconnect(scope: Scope, receive: Receive, work: Awaitable[Result]) -> Result:
    """What `work` comes to. It is cancelled, and ClientLeft raised, as soon as the client disconnects."""
    with WhileConnected(scope, receive):
        return await work


async def although_cancelled(work: Awaitable[object]) -> None:
    """What is left to do when the server stops, which cancels each request twice: the second time ends the wait for it,
    and nothing else.
    """
    with suppress(asyncio.CancelledError):
        await work


async def while_read(scope: Scope, receive: Receive, sending: Awaitable[None]) -> None:
    """Run what sends a response with `send_within`. Raises ClientLeft when the client has left, or was cut off because
    it read nothing.
    """
    try:
        await until_disconnect(scope, receive, sending)
    except (TimeoutError, OSError) as exc:
        if isinstance(exc, TimeoutError):
            abort(scope)
        raise ClientLeft from exc


async def send_within(seconds: float, send: Send, message: Message) -> None:
    """Raises TimeoutError when the client does not take it by then."""
    await within(seconds, send(message))


async def within(seconds: float, work: Awaitable[Result]) -> Result:
    """What `work` comes to; TimeoutError when that takes longer.

    The timer is started when it begins to wait. Reading what has arrived, and sending to a client that reads, never do.
    """
    steps = work.__await__()
    try:
        awaited = next(steps)
    except StopIteration as ended:
        return ended.value  # type: ignore[no-any-return]
    async with asyncio.timeout(seconds):
        return await _rest(steps, awaited)


@coroutine
def _rest(steps: Generator[Any, Any, Result], awaited: object) -> Generator[Any, Any, Result]:
    """What is left to do, as `yield from` would, after a step that waits for `awaited`."""
    while True:
        failure: BaseException | None = None
        sent = None
        try:
            sent = yield awaited
        except BaseException as exc:
            failure = exc
        try:
            awaited = steps.send(sent) if failure is None else steps.throw(failure)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]


def abort(scope: Scope) -> None:
    """Cut the connection, whatever its client has not read yet."""
    if ABORT in scope.get("extensions", {}):
        scope["extensions"][ABORT]["abort"]()
