"""A client that costs little: the engines that it measures need the same cores.

It keeps what arrives with the time, and reads it when the answer has ended.
"""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 600.0
Piece = tuple[float, bytes]
"""Bytes as they came, and when, by `time.perf_counter()`."""


@dataclass(frozen=True)
class Answer:
    """Times are those of `time.perf_counter()`."""

    started: float
    arrivals: tuple[float, ...]
    """When text came; tokens that come together are one arrival."""
    ended: float
    text: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def ttft(self) -> float:
        """Seconds to the first text. Raises RuntimeError when none came."""
        if not self.arrivals:
            raise RuntimeError("an answer without text")
        return self.arrivals[0] - self.started


class _Collector(asyncio.Protocol):
    def __init__(self, on_arrival: Callable[[], None] | None) -> None:
        self.pieces: list[Piece] = []
        self.done = asyncio.get_running_loop().create_future()
        self._on_arrival = on_arrival

    def data_received(self, data: bytes) -> None:
        self.pieces.append((time.perf_counter(), data))
        if self._on_arrival is not None:
            self._on_arrival()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def stream_chat(url: str, key: str, body: dict[str, Any], on_arrival: Callable[[], None] | None = None) -> Answer:
    """The streamed answer to `body`. `on_arrival` is called whenever bytes come.

    Raises RuntimeError for anything but a whole answer, TimeoutError after ten minutes.
    """
    parts = urlsplit(url)
    content = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    collector = _Collector(on_arrival)
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: collector, parts.hostname or "", parts.port or 80)
    try:
        transport.write(head.encode() + content)
        async with asyncio.timeout(TIMEOUT):
            await collector.done
    finally:
        transport.abort()
    return read_answer(started, collector.pieces)


def read_answer(started: float, pieces: Sequence[Piece]) -> Answer:
    """Raises RuntimeError when the pieces are not one whole streamed answer."""
    arrivals: list[float] = []
    text = ""
    usage: dict[str, Any] = {}
    done = False
    for when, data in _events(pieces):
        if data == b"[DONE]":
            done = True
            continue
        event = json.loads(data)
        if "error" in event:
            raise RuntimeError(f"the stream ended with an error: {event['error']}")
        usage = event.get("usage") or usage
        piece = "".join(choice["delta"].get("content") or "" for choice in event["choices"])
        if piece:
            text += piece
            if not arrivals or when > arrivals[-1]:
                arrivals.append(when)
    if not done:
        raise RuntimeError("the stream was cut off")
    return Answer(
        started, tuple(arrivals), pieces[-1][0], text, int(usage["prompt_tokens"]), int(usage["completion_tokens"])
    )


def _events(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The data of each server-sent event, with the time at which it was complete."""
    raw = b"".join(data for _, data in pieces)
    raw_ends = list(accumulate(len(data) for _, data in pieces))
    head, _, rest = raw.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {raw[:1000]!r}" if raw else "the server closed the connection")
    if b"transfer-encoding: chunked" not in head.lower():
        raise RuntimeError(f"the server did not stream: {head[:1000]!r}")
    body = b""
    body_ends, times = [], []
    offset = len(raw) - len(rest)
    while (line := raw.find(b"\r\n", offset)) != -1:
        size = int(raw[offset:line].partition(b";")[0], 16)
        begin = line + 2
        offset = begin + size + 2
        if size == 0 or offset > len(raw):
            break
        body += raw[begin : begin + size]
        body_ends.append(len(body))
        times.append(pieces[bisect_left(raw_ends, begin + size)][0])
    begin = 0
    while (end := body.find(b"\n\n", begin)) != -1:
        for field in body[begin:end].splitlines():
            if field.startswith(b"data:"):
                yield times[bisect_left(body_ends, end + 2)], field[5:].strip()
        begin = end + 2
