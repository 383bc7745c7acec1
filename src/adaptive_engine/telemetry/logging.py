"""Structured logs on standard error: lines for people on a terminal, JSON elsewhere."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal, TextIO

import orjson
import structlog

# Seconds that a line may wait.
_PAUSE = 0.05


def configure(log_format: Literal["auto", "console", "json"]) -> None:
    """Route structlog and the standard library through one chain. Call once, before the first line."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_as_json)]
    )
    stream = _Stream(sys.stderr)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    # They announce each of their steps.
    for chatty in ("uvicorn.error", "alembic", "httpx2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        # Straight to the stream: by way of the standard library a line costs several times as much.
        processors=[*shared, *renderer],
        logger_factory=lambda name: _Lines(name, stream),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )


class _Lines:
    """What is left for a logger to do when a line is rendered."""

    def __init__(self, name: str, stream: _Stream) -> None:
        self.name = name
        self.debug = self.info = stream.write_soon
        self.msg = self.warning = self.error = self.critical = stream.write_line


class _Stream:
    """Lines on their way to a file. What only informs, and comes from an event loop, waits a moment for its like: each
    write costs a system call, which gives the interpreter to other threads.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._waiting: list[str] = []
        self._due = 0.0
        atexit.register(self.flush)

    def write(self, text: str) -> int:
        """As of a file: for the standard library's handlers."""
        with self._lock:
            self._file.write("".join([*self._waiting, text]))
            self._waiting.clear()
        return len(text)

    def flush(self) -> None:
        with self._lock:
            if self._waiting:
                self.write("")
            self._file.flush()

    def write_line(self, line: str) -> None:
        with self._lock:
            # In one piece: other processes may share the file.
            self.write(line + "\n")
            self._file.flush()

    def write_soon(self, line: str) -> None:
        now = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write_line(line)
            return
        with self._lock:
            if not self._waiting:
                self._due = now + _PAUSE
                loop.call_later(_PAUSE, self.flush)
            self._waiting.append(line + "\n")
            # Its event loop may have ended, or have no time.
            if now > self._due:
                self.flush()


def _as_json(line: dict[str, Any], default: Callable[[Any], Any]) -> str:
    try:
        return orjson.dumps(line, default).decode()
    except TypeError:
        # Integers past 64 bits, lone surrogates.
        return json.dumps(line, default=default)
