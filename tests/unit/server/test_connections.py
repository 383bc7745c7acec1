"""Blocks that end with their client's connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from adaptive_engine.server.connections import WATCH, ClientLeft, WhileConnected, until_disconnect, within


class Server:
    """Calls back when the client has left, or where it does not, has to be asked."""

    def __init__(self, *, calls: bool) -> None:
        self.on_left: Callable[[], None] | None = None
        self.gone = asyncio.Event()
        self.scope: dict[str, Any] = {"extensions": {WATCH: {"watch": self.watch}}} if calls else {}

    def watch(self, on_left: Callable[[], None] | None) -> None:
        self.on_left = on_left

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        self.gone.set()
        if self.on_left is not None:
            self.on_left()


@pytest.fixture(params=[True, False], ids=["calls back", "is asked"])
def server(request: pytest.FixtureRequest) -> Server:
    return Server(calls=request.param)


async def test_work_that_ends_first_is_the_result(server: Server) -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await until_disconnect(server.scope, server.receive, work()) == "done"
    server.leave()
    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_leaving_cancels_the_work_and_nothing_else(server: Server) -> None:
    seen = []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(server.leave)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(ClientLeft):
        await until_disconnect(server.scope, server.receive, work())
    assert seen == ["cancelled"]
    # The task goes on, and its timeouts work.
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()


async def test_a_server_that_stops_cancels_the_request(server: Server) -> None:
    async def request() -> None:
        with WhileConnected(server.scope, server.receive):
            await asyncio.Event().wait()

    for leave in (False, True):
        task = asyncio.create_task(request())
        await asyncio.sleep(0)
        if leave:
            # In the same moment.
            server.leave()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def doubled(waiting: asyncio.Future[int], again: asyncio.Future[int] | None = None) -> int:
    """Twice what is waited for, or -1 when somebody gives up on it and there is something else to wait for."""
    try:
        return 2 * await waiting
    except asyncio.CancelledError:
        if again is None:
            raise
        return -await again


async def test_work_that_does_not_wait_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return call_at(when, *args, **options)

    monkeypatch.setattr(loop, "call_at", counted)
    there = loop.create_future()
    there.set_result(21)
    assert await within(60, doubled(there)) == 42
    assert not timers
    coming = loop.create_future()
    loop.call_soon(coming.set_result, 4)
    assert await within(60, doubled(coming)) == 8
    assert len(timers) == 1


async def test_work_within_a_time_fails_as_it_would_alone() -> None:
    loop = asyncio.get_running_loop()
    for at_once in (True, False):
        failing = loop.create_future()
        if at_once:
            failing.set_exception(KeyError("mine"))
        else:
            loop.call_soon(failing.set_exception, KeyError("mine"))
        with pytest.raises(KeyError, match="mine"):
            await within(60, doubled(failing))


async def test_work_that_takes_too_long_is_cancelled() -> None:
    never = asyncio.get_running_loop().create_future()
    with pytest.raises(TimeoutError):
        await within(0, doubled(never))
    assert never.cancelled()


async def test_work_may_go_on_waiting_after_a_cancellation() -> None:
    loop = asyncio.get_running_loop()
    never, other = loop.create_future(), loop.create_future()
    task = asyncio.create_task(within(60, doubled(never, other)))
    loop.call_soon(task.cancel)
    loop.call_soon(loop.call_soon, other.set_result, 5)
    assert await task == -5
    assert never.cancelled()
