"""Blocks that end with their client's connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from adaptive_engine.server.connections import WATCH, ClientLeft, WhileConnected, until_disconnect


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
