"""Clients that send too slowly, too much, or read nothing: they end soon, and others do not notice."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from faults.conftest import BODY_SECONDS, SEND_SECONDS
from faults.holdings import holdings, when_idle
from faultserver import Connection, FaultServer
from integration.server import Server
from integration.upstream import Models, running_upstream
from integration.wire import chat, listed, unique

SLOW = 200
READERS = 10
# Together more than the kernel keeps for a reader that takes nothing.
PIECES, PIECE = 400, "x" * 20_000
PATIENCE = 15.0


def connect(server: Server, receive_buffer: int | None = None) -> socket.socket:
    parts = urlsplit(server.url)
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(PATIENCE)
    connection.connect((parts.hostname, parts.port))
    return connection


def head(server: Server, length: str) -> bytes:
    lines = ["POST /api/v1/chat/completions HTTP/1.1", "Host: x", f"Authorization: Bearer {server.api_key}"]
    return "\r\n".join([*lines, "Content-Type: application/json", length, "", ""]).encode()


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes the connection."""
    received = b""
    while more := connection.recv(65536):
        received += more
    return received


@pytest.mark.parametrize(
    ("sent", "said"),
    [(b"", b""), (b"\r\n", b""), (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"HTTP/1.1 408 ")],
    ids=["none", "blank", "half"],
)
def test_heads_that_do_not_end_are_not_waited_for(guarded: Server, sent: bytes, said: bytes) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(guarded)) for _ in range(SLOW)]
        for connection in slow:
            connection.sendall(sent)
        chat(guarded)
        began = time.monotonic()
        assert {rest(connection)[:13] for connection in slow} == {said}
        assert time.monotonic() - began < BODY_SECONDS + PATIENCE


def test_the_next_head_of_a_connection_has_its_own_time(guarded: Server) -> None:
    whole = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(guarded) as connection:
        connection.sendall(whole)
        answer = b""
        while not answer.endswith(b'{"status":"ok"}'):
            answer += connection.recv(65536)
        connection.sendall(whole[:20])
        assert rest(connection).startswith(b"HTTP/1.1 408 ")


def test_bodies_that_do_not_end_are_not_waited_for(guarded: Server) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(guarded)) for _ in range(SLOW)]
        for connection in slow:
            connection.sendall(head(guarded, "Content-Length: 100") + b'{"model": ')
        chat(guarded)
        for connection in slow:
            answer = rest(connection)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b'"request_timeout"' in answer


def test_a_body_of_five_gigabytes_is_refused_by_its_head(guarded: Server) -> None:
    with connect(guarded) as connection:
        connection.sendall(head(guarded, f"Content-Length: {5 * 2**30}"))
        answer = b""
        while b"\r\n\r\n{" not in answer:
            answer += connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"payload_too_large"' in answer


def test_a_body_without_an_end_is_refused_at_the_limit(guarded: Server) -> None:
    """And is not read any further."""
    before = holdings(guarded)
    piece = b"%x\r\n%b\r\n" % (2**20, b" " * 2**20)
    sent = 0
    with connect(guarded) as connection:
        connection.sendall(head(guarded, "Transfer-Encoding: chunked"))
        try:
            while sent < 200:
                connection.sendall(piece)
                sent += 1
        except (ConnectionError, TimeoutError):
            pass
    assert sent < 200
    assert holdings(guarded).memory - before.memory < 64 * 2**20


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    with running_upstream() as running:
        yield running


async def talkative(upstream: Connection) -> None:
    with suppress(ConnectionError):
        await upstream.begin_stream()
        await upstream.words(*[PIECE] * PIECES)
        await upstream.finish()


def test_readers_who_take_nothing_are_cut_off(server: Server, upstream: FaultServer) -> None:
    """And their provider has to wait meanwhile. What the kernel took for them stays in the memory for a while."""
    run = unique()
    upstream.behaviours["long"] = [talkative] * READERS
    with httpx2.Client(base_url=server.api, headers=server.headers, timeout=20) as http:
        model = Models(http, upstream)("long")
    asked: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    raw = json.dumps(asked | {"labels": {"run": run}}).encode()
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(server, receive_buffer=4096)) for _ in range(READERS)]
        for connection in slow:
            connection.sendall(head(server, f"Content-Length: {len(raw)}") + raw)
        chat(server)
        deadline = time.monotonic() + SEND_SECONDS + PATIENCE
        while [row["state"] for row in listed(server, f"run={run}")] != ["cancelled"] * READERS:
            assert time.monotonic() < deadline, [row["state"] for row in listed(server, f"run={run}")]
            time.sleep(0.05)
    when_idle(server)
    assert upstream.busy == 0
    assert all(len(row["completion"]) < PIECES * len(PIECE) for row in listed(server, f"run={run}"))
