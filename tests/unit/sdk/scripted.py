"""A real HTTP server on a free port that answers as a test tells it to."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

SESSION = "01890000-0000-7000-8000-000000000001"
COMPLETION = "01890000-0000-7000-8000-000000000002"


@dataclass
class Received:
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Reply:
    """A JSON `body`, raw `content`, or `frames` of a stream. `hang_up` closes the socket without an answer."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None
    frames: Iterable[bytes] | None = None
    complete: bool = True
    """False ends a stream without the last HTTP chunk, as a crash does."""
    hang_up: bool = False


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the play; anything else is a mistake worth a traceback."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class ScriptedServer:
    """Gives out its replies in order, the last one again and again."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.disconnected = threading.Event()
        """Set when a client went away before its answer was complete."""
        self._replies: list[Reply | Callable[[Received], Reply]] = []
        self._http = _HTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def last(self) -> Received:
        return self.received[-1]

    def replies(self, *replies: Reply | Callable[[Received], Reply]) -> None:
        self._replies = list(replies)

    def next_reply(self, received: Received) -> Reply:
        self.received.append(received)
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        return reply if isinstance(reply, Reply) else reply(received)

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            server.connections += 1

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.next_reply(Received(self.command, parts.path, parse_qsl(parts.query), headers, body))
            if reply.hang_up:
                self.close_connection = True
                return
            try:
                self._send(reply)
            except OSError:
                server.disconnected.set()
                self.close_connection = True

        def _send(self, reply: Reply) -> None:
            if reply.frames is None:
                self._send_body(reply)
            else:
                self._send_stream(reply, reply.frames)

        def _send_body(self, reply: Reply) -> None:
            content = json.dumps(reply.body).encode() if reply.content is None else reply.content
            headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **reply.headers}
            self._send_head(reply.status, headers)
            self.wfile.write(content)

        def _send_stream(self, reply: Reply, frames: Iterable[bytes]) -> None:
            headers = {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}
            self._send_head(reply.status, {**headers, **reply.headers})
            for frame in frames:
                self.wfile.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
            if reply.complete:
                self.wfile.write(b"0\r\n\r\n")
            else:
                self.close_connection = True

        def _send_head(self, status: int, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

    return Handler


def error_body(message: str, **fields: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "param": None, "code": None, **fields}}


def answer(*texts: str, finish_reason: str = "stop", **fields: Any) -> Reply:
    """A choice for each text; `fields` are further ones of the body."""
    choices = [
        {
            "index": index,
            "message": {"id": "m", "role": "assistant", "content": text},
            "finish_reason": finish_reason,
            "completion_id": COMPLETION,
            "model": "smollm2",
        }
        for index, text in enumerate(texts or ["Hello."])
    ]
    body = {"id": "c", "created": 1, "model": "smollm2", "session_id": SESSION, "choices": choices, "usage": USAGE}
    return Reply({**body, **fields})


USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(text: str | None, finish_reason: str | None = None) -> dict[str, Any]:
    """A chunk with `text`; None makes the last one, which has only usage."""
    delta = {"id": "m", "role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "completion_id": COMPLETION}
    choices = [] if text is None else [choice]
    return {"id": "c", "created": 1, "session_id": SESSION, "choices": choices, "usage": None if choices else USAGE}


def event(data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


DONE = event("[DONE]")


def stream(*texts: str) -> list[bytes]:
    """The frames of a complete answer."""
    return [*(event(chunk(text)) for text in texts), event(chunk("", "stop")), DONE]


def endless(text: str = "on and ") -> Iterator[bytes]:
    while True:
        yield event(chunk(text))
