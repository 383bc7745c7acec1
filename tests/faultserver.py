"""An upstream that behaves and misbehaves by the name of the model: one asyncio server, deterministic, on a free port.

It speaks OpenAI's chat completions. What a model's name asks for is in `FAULTS`; any other name answers well. Every
request is kept in `requests`; `open` counts connections, `busy` requests that are not answered yet.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

WORDS = ("The ", "answer ", "is ", "42", ".")
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16, "prompt_tokens_details": {"cached_tokens": 4}}


@dataclass
class Request:
    """What came in."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))


@dataclass
class Connection:
    """What a behaviour does something with."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: Request

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def json(self, body: Any, status: int = 200, *headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(raw)}", *headers]
        await self.send("\r\n".join([*lines, "", ""]).encode() + raw)

    async def begin_stream(self) -> None:
        await self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def piece(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def event(self, body: Any) -> None:
        await self.piece(b"data: " + (body if isinstance(body, bytes) else json.dumps(body).encode()) + b"\n\n")

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def words(self, *words: str) -> None:
        for word in words:
            await self.event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})

    async def finish(self, reason: str | None = "stop", *, usage: bool = True, done: bool = True) -> None:
        if reason:
            await self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if usage:
            await self.event({"choices": [], "usage": USAGE})
        if done:
            await self.event(b"[DONE]")
        await self.end()

    def reset(self) -> None:
        """RST instead of FIN."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_closed(self) -> None:
        await self.reader.read()


Behaviour = Callable[[Connection], Awaitable[None]]


async def answer(connection: Connection, text: str = "".join(WORDS), **more: Any) -> None:
    """As it should be."""
    if not connection.request.body.get("stream"):
        message = {"role": "assistant", "content": text, **more}
        await connection.json({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE})
        return
    await connection.begin_stream()
    if more:
        await connection.event({"choices": [{"index": 0, "delta": more, "finish_reason": None}]})
    await connection.words(*(WORDS if text == "".join(WORDS) else (text,)))
    await connection.finish()


def _status(status: int, *headers: str) -> Behaviour:
    async def behave(connection: Connection) -> None:
        key = connection.request.headers.get("authorization", "")
        await connection.json({"error": {"message": f"no\x1b[31m: {key}", "type": "t", "code": "c"}}, status, *headers)

    return behave


def _body(body: Any, kind: str = "application/json") -> Behaviour:
    async def behave(connection: Connection) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n\r\n"
        await connection.send(head.encode() + raw)

    return behave


async def _silent(connection: Connection) -> None:
    await connection.until_closed()


async def _not_http(connection: Connection) -> None:
    await connection.send(b"\x16\x03\x01 nonsense\r\n\r\n")
    await connection.until_closed()


async def _hang_up(connection: Connection) -> None:
    connection.writer.close()


async def _reset(connection: Connection) -> None:
    connection.reset()


async def _long_headers(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %b\r\n" % (i, b"y" * 1000) for i in range(100)))
    await connection.until_closed()


async def _continue_first(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
    await answer(connection)


async def _no_content(connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")


def _after(words: int, then: Behaviour) -> Behaviour:
    """Begins well. In JSON, half of the body."""

    async def behave(connection: Connection) -> None:
        if connection.request.body.get("stream"):
            await connection.begin_stream()
            await connection.words(*WORDS[:words])
        else:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
            await connection.send(head + b'{"choices": [{"index": 0,')
        await then(connection)

    return behave


async def _end(connection: Connection) -> None:
    if connection.request.body.get("stream"):
        await connection.end()
    else:
        connection.writer.close()


async def _half_close(connection: Connection) -> None:
    connection.writer.write_eof()
    await connection.until_closed()


async def _bad_event(connection: Connection) -> None:
    await connection.event(b"{nonsense")
    await connection.until_closed()


async def _error_event(connection: Connection) -> None:
    key = connection.request.headers.get("authorization", "")
    await connection.event({"error": {"message": f"out of memory {key}", "code": 500}})
    await connection.until_closed()


async def _endless_line(connection: Connection) -> None:
    if not connection.request.body.get("stream"):
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 209715200\r\n\r\n")
    try:
        for _ in range(3200):
            data = b"x" * 65_536
            await (connection.piece(data) if connection.request.body.get("stream") else connection.send(data))
    except ConnectionError:
        pass


async def _endless_line_first(connection: Connection) -> None:
    if connection.request.body.get("stream"):
        await connection.begin_stream()
    await _endless_line(connection)


def _finish(reason: str | None, **how: bool) -> Behaviour:
    async def behave(connection: Connection) -> None:
        if connection.request.body.get("stream"):
            await connection.finish(reason, **how)
        else:
            connection.writer.close()

    return behave


async def _without_usage(connection: Connection) -> None:
    if connection.request.body.get("stream"):
        await connection.begin_stream()
        await connection.words(*WORDS)
        await connection.finish(usage=False)
    else:
        message = {"content": "".join(WORDS)}
        await connection.json({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


async def _in_crumbs(connection: Connection) -> None:
    """Each byte alone, with the line ends of other systems."""
    await connection.begin_stream()
    text = 'data:{"choices":[{"delta":{"content":"caf\u00e9 "}}]}\r\n\r\n: ping\r\n\r\nevent: x\r\ndata: [DONE]\r\n\r\n'
    finish = 'data: {"choices":[{"delta":{"content":"\U0001f600"},\r\ndata: "finish_reason":"length"}]}\r\n\r\n'
    first, last = text.split("data: [DONE]")
    for byte in (first + finish + "data: [DONE]" + last).encode():
        await connection.piece(bytes([byte]))
    await connection.end()


async def _slow(connection: Connection) -> None:
    await asyncio.sleep(0.1)
    await answer(connection)


FAULTS: dict[str, Behaviour] = {
    **{f"status-{status}": _status(status) for status in (400, 401, 403, 404, 408, 413, 422, 500, 502, 503, 504, 529)},
    "status-429": _status(429, "retry-after: 60"),
    "status-302": _status(302, "location: http://169.254.169.254/latest/meta-data"),
    "status-204": _no_content,
    "continue-first": _continue_first,
    "silent": _silent,
    "not-http": _not_http,
    "hang-up": _hang_up,
    "reset": _reset,
    "long-headers": _long_headers,
    "html": _body(b"<html>Bad gateway</html>", "text/html"),
    "empty": _body(b""),
    "null": _body(None),
    "list": _body([]),
    "number": _body(7),
    "error-in-200": _body({"error": {"message": "out of memory"}}),
    "no-choices": _body({"choices": []}),
    "content-is-a-number": _body({"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}),
    "endless-line": _endless_line_first,
    "end-after-2": _after(2, _end),
    "hang-up-after-2": _after(2, _hang_up),
    "reset-after-2": _after(2, _reset),
    "half-close-after-2": _after(2, _half_close),
    "silent-after-2": _after(2, _silent),
    "garbage-after-2": _after(2, _bad_event),
    "error-after-2": _after(2, _error_event),
    "endless-line-after-2": _after(2, _endless_line),
    "no-finish-reason": _after(2, _finish(None)),
    "no-done": _after(2, _finish("stop", done=False)),
    "length": _after(2, _finish("length")),
    "filtered": _after(2, _finish("content_filter")),
    "without-usage": _without_usage,
    "crumbs": _in_crumbs,
    "slow": _slow,
}


@dataclass
class FaultServer:
    """`async with FaultServer() as upstream: upstream.url`."""

    requests: list[Request] = field(default_factory=list)
    behaviours: dict[str, list[Behaviour]] = field(default_factory=dict)
    """By model: what comes first, once each; then what its name says."""
    answers: dict[str, str] = field(default_factory=dict)
    """By model: another text than usual."""
    port: int = 0
    open: int = 0
    busy: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def asked(self, model: str) -> int:
        return sum(request.model == model for request in self.requests)

    async def until_idle(self) -> None:
        """Return when it works for nobody any more; fails after a second."""
        async with asyncio.timeout(1):
            while self.busy:
                self._ended.clear()
                await self._ended.wait()

    async def until_left(self) -> None:
        """Return when nobody is connected any more; fails after a second."""
        async with asyncio.timeout(1):
            while self.open:
                self._ended.clear()
                await self._ended.wait()

    async def __aenter__(self) -> FaultServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 24)
        self.port = self._server.sockets[0].getsockname()[1]
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.open += 1
        try:
            while not writer.is_closing() and (request := await _read(reader)) is not None:
                self.requests.append(request)
                self.busy += 1
                try:
                    await self._behave(Connection(reader, writer, request))
                finally:
                    self.busy -= 1
                    self._ended.set()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Also cancelled ones end well: streams complain about others.
            pass
        finally:
            self.open -= 1
            self._ended.set()
            writer.close()

    async def _behave(self, connection: Connection) -> None:
        model = connection.request.model
        if self.behaviours.get(model):
            await self.behaviours[model].pop(0)(connection)
        elif model in FAULTS:
            await FAULTS[model](connection)
        else:
            await self.respond(connection)

    async def respond(self, connection: Connection) -> None:
        """As it should be."""
        await answer(connection, self.answers.get(connection.request.model, "".join(WORDS)))


async def _read(reader: asyncio.StreamReader) -> Request | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    line, *lines = head.decode("latin-1").strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(line.split(" ")[1], headers, json.loads(raw or b"{}"))
