"""The event stream against connections that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adaptive_engine.errors import Overloaded
from adaptive_engine.server.connections import ABORT
from adaptive_engine.server.sse import PING, EventStream


class Connection:
    """An ASGI connection that records what is sent; `stuck` sends never return, `stuck_at_once` not even the first."""

    def __init__(self, *, stuck: bool = False, stuck_at_once: bool = False) -> None:
        self.stuck = stuck
        self.stuck_at_once = stuck_at_once
        self.gone = asyncio.Event()
        self.aborted = False
        self.left = False
        self.recorded = asyncio.Event()
        self.recorded.set()
        self.status: int | None = None
        self.frames: list[bytes] = []
        self.scope: dict[str, Any] = {"type": "http", "extensions": {ABORT: {"abort": self.abort}}}

    def abort(self) -> None:
        self.aborted = True

    async def leave(self) -> None:
        self.left = True
        await self.recorded.wait()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            if self.stuck_at_once:
                await asyncio.Event().wait()
            self.status = message["status"]
        else:
            if self.stuck:
                await asyncio.Event().wait()
            self.frames.append(message["body"])

    async def run(self, frames: AsyncIterator[bytes], **timeouts: float) -> None:
        stream = EventStream(
            frames,
            self.leave,
            headers=dict,
            ping_seconds=timeouts.get("ping", 10),
            send_timeout=timeouts.get("send", 10),
            patience=timeouts.get("patience", 0),
        )
        async with asyncio.timeout(5):
            await stream(self.scope, self.receive, self.send)


async def two() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def never() -> AsyncIterator[bytes]:
    yield b"one"
    await asyncio.Event().wait()


async def test_frames_come_in_order_and_end() -> None:
    connection = Connection()
    await connection.run(two())
    assert connection.frames == [b"one", b"two", b""]
    assert not connection.left


async def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    connection = Connection(stuck=True)
    await connection.run(two(), send=0.01)
    assert connection.aborted
    assert connection.left


async def test_a_reader_is_cut_off_at_the_headers_and_at_the_end_too() -> None:
    connection = Connection()

    async def all_but_the_end() -> AsyncIterator[bytes]:
        yield b"one"
        connection.stuck = True

    await connection.run(all_but_the_end(), send=0.01)
    assert connection.frames == [b"one"]
    assert (connection.aborted, connection.left) == (True, True)

    busy = Connection(stuck_at_once=True)
    await busy.run(two(), send=0.01)
    assert (busy.status, busy.aborted, busy.left) == (None, True, True)


async def test_leaving_ends_a_silent_stream() -> None:
    connection = Connection()
    running = asyncio.create_task(connection.run(never()))
    await asyncio.wait({running}, timeout=0.05)
    connection.gone.set()
    await running
    assert connection.left
    assert not connection.aborted


async def test_silence_is_filled_with_comments() -> None:
    connection = Connection()
    running = asyncio.create_task(connection.run(never(), ping=0.01))
    async with asyncio.timeout(5):
        while connection.frames.count(PING) < 3:
            await asyncio.wait({running}, timeout=0.01)
    connection.gone.set()
    await running


async def test_headers_wait_for_the_first_frame_and_not_too_long() -> None:
    connection, come = Connection(), asyncio.Event()

    async def late() -> AsyncIterator[bytes]:
        await come.wait()
        yield b"one"

    running = asyncio.create_task(connection.run(late(), patience=0.01))
    await asyncio.sleep(0)
    assert connection.status is None
    async with asyncio.timeout(5):
        while not connection.frames:
            await asyncio.wait({running}, timeout=0.01)
    assert (connection.status, connection.frames) == (200, [PING])
    come.set()
    await running
    assert connection.frames == [PING, b"one", b""]


@pytest.mark.parametrize("patience", [0, float("inf")])
async def test_an_error_is_the_status_or_the_last_event(patience: float) -> None:
    async def fails() -> AsyncIterator[bytes]:
        raise Overloaded("Too much to do.")
        yield b""

    connection = Connection()
    await connection.run(fails(), patience=patience)
    assert connection.status == (503 if patience else 200)
    assert b"Too much to do." in connection.frames[0]
    assert connection.frames[0].startswith(b'{"error"' if patience else b'data: {"error"')
    assert not connection.left


async def test_a_server_that_stops_says_so() -> None:
    for patience in (0, float("inf")):
        connection = Connection()
        running = asyncio.create_task(connection.run(never(), patience=patience))
        connection.recorded.clear()
        await asyncio.wait({running}, timeout=0.01)
        # Once by uvicorn, and once by the end of the event loop.
        for _ in range(2):
            running.cancel()
            await asyncio.wait({running}, timeout=0.01)
        await running
        assert connection.left
        assert b"shutting_down" in connection.frames[-1]


async def test_a_failure_in_the_frames_leaves_nothing_running() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("a defect")

    connection = Connection()
    with pytest.raises(RuntimeError, match="a defect"):
        await connection.run(broken())
    assert connection.left
