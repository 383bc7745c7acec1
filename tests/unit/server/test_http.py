"""What a connection may send before anybody looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from adaptive_engine.server import http
from adaptive_engine.settings import ServerSettings


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"OK"})


@asynccontextmanager
async def listening(settings: ServerSettings) -> AsyncIterator[tuple[str, int]]:
    config: uvicorn.Config = http._config(answer, settings)
    config.load()
    protocol: Any = config.http_protocol_class
    server = await asyncio.get_running_loop().create_server(lambda: protocol(config, ServerState(), {}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


@pytest.fixture
async def address() -> AsyncIterator[tuple[str, int]]:
    async with listening(ServerSettings()) as address:
        yield address


async def told(address: tuple[str, int], *pieces: bytes) -> bytes:
    """All that comes back until the other side closes the connection."""
    reader, writer = await asyncio.open_connection(*address)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    answered = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answered


async def test_headers_have_an_end(address: tuple[str, int]) -> None:
    line = b"x-%d: " + b"y" * 30_000 + b"\r\n"
    said = await told(address, b"GET / HTTP/1.1\r\nhost: x\r\n", *(line % number for number in range(4)))
    assert said.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in said


async def test_headers_below_it_are_taken_in_any_pieces(address: tuple[str, int]) -> None:
    pieces = (b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: " + b"y" * 30_000, b"z" * 30_000, b"\r\nconnection: close\r\n\r\n")
    assert (await told(address, *pieces)).endswith(b"OK")


async def test_headers_that_do_not_come_are_not_waited_for() -> None:
    async with listening(ServerSettings(body_timeout_seconds=0.02)) as address:
        assert b'"code":"request_timeout"' in await told(address, b"GET / HTTP/1.1\r\nhost:")
        assert await told(address) == b""
        whole = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
        answered, _, late = (await told(address, whole + b"GET / HT")).rpartition(b"\r\n\r\nOK")
        assert answered.startswith(b"HTTP/1.1 200")
        assert late.startswith(b"HTTP/1.1 408")
