"""Structured logs on standard error: lines for people on a terminal, JSON elsewhere, and no secrets in either."""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal

import orjson

from adaptive_engine.telemetry.redaction import redact
from adaptive_engine.telemetry.structured import structlog

# What has several lines by right.
_OF_LINES = {"exception", "stack"}
# Seconds that a line may wait.
_PAUSE = 0.05


def configure(
    log_format: Literal["auto", "console", "json"], level: Literal["debug", "info", "warning"] = "info"
) -> None:
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
        [
            _printable,
            # Not its usual traceback: that shows the values of variables, API keys and messages among them.
            structlog.dev.ConsoleRenderer(
                pad_event_to=0, colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_as_json)]
    )
    handler = logging.StreamHandler(_stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer, _redacted],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    least = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(least)
    # They announce each of their steps.
    for chatty in ("uvicorn.error", "alembic", "httpx2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _processors[:] = [*shared, *renderer, _redacted]
    structlog.configure(
        # Straight to the stream: by way of the standard library a line costs several times as much.
        processors=_processors,
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=True,
    )


def log_uncaught() -> None:
    """Let what nobody catches end in the log: by default it is printed past it, and past its redaction."""
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _printable(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Characters that would steer a terminal are shown instead: paths and names come from anybody."""
    for name, value in event.items():
        if isinstance(value, str) and not value.isprintable() and name not in _OF_LINES:
            event[name] = "".join(each if each.isprintable() else repr(each)[1:-1] for each in value)
    return event


def _redacted(_: Any, __: str, line: Any) -> str:
    """The last processor: nothing that was put into the line before gets past it, tracebacks included."""
    return redact(line)


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger(__name__).critical("uncaught error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        name = args.thread.name if args.thread else "unknown"
        trace = args.exc_type, args.exc_value, args.exc_traceback
        logging.getLogger(__name__).error("uncaught error in thread %s", name, exc_info=trace)


class _Lines:
    """What is left for a logger to do when a line is rendered."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.debug = self.info = _stderr.write_soon
        self.msg = self.warning = self.error = self.critical = _stderr.write_line


class _Stderr:
    """Lines on their way to standard error. What only informs, and comes from an event loop, waits a moment for its
    like: each write costs a system call, which gives the interpreter to other threads.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: list[str] = []
        self._due = 0.0
        atexit.register(self._flush_waiting)

    def write(self, text: str) -> int:
        """As of a file: for the standard library's handlers."""
        with self._lock:
            # In one piece: other processes may share the file.
            lines = "".join([*self._waiting, text])
            self._waiting.clear()
            # On a full disk, or when who read the lines is gone, they are lost. The request that they are about is not,
            # and nothing is kept for a better time that may not come.
            with suppress(OSError):
                sys.stderr.write(lines)
                sys.stderr.flush()
        return len(text)

    def flush(self) -> None:
        """`write` does."""

    def write_line(self, line: str) -> None:
        self.write(line + "\n")

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
                loop.call_later(_PAUSE, self._flush_waiting)
            self._waiting.append(line + "\n")
            # Its event loop may have ended, or have no time.
            if now > self._due:
                self._flush_waiting()

    def _flush_waiting(self) -> None:
        with self._lock:
            if self._waiting:
                self.write("")


_stderr = _Stderr()
# Loggers that were used keep this list.
_processors: list[structlog.typing.Processor] = []


def _as_json(line: dict[str, Any], default: Callable[[Any], Any]) -> str:
    try:
        return orjson.dumps(line, default).decode()
    except TypeError:
        # Integers past 64 bits, lone surrogates.
        return json.dumps(line, default=default)
