"""A server that writes down what a client sends and answers every chat with the same text."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

ANSWER = {
    "id": "chatcmpl-1",
    "created": 1,
    "model": "m",
    "session_id": str(uuid4()),
    "choices": [
        {
            "index": 0,
            "message": {"id": "msg-1", "role": "assistant", "content": "ok"},
            "finish_reason": "stop",
            "completion_id": str(uuid4()),
            "model": "m",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


@dataclass
class Recorder:
    """The requests that came, oldest first."""

    url: str
    paths: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def recording() -> Iterator[Recorder]:
    """Listen on a free loopback port for the duration of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            recorder.paths.append(self.path)
            recorder.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            payload = json.dumps(ANSWER).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Nothing: the test reads the recorder."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        recorder = Recorder(f"http://127.0.0.1:{httpd.server_port}")
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield recorder
        finally:
            httpd.shutdown()
            thread.join()
