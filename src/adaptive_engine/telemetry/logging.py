"""Structured logs on standard error: lines for people on a terminal, JSON elsewhere, and no secrets in either."""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any, Literal

import structlog

from adaptive_engine.telemetry.redaction import redact


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
        # Not its usual traceback: that shows the values of variables, API keys and messages among them.
        [structlog.dev.ConsoleRenderer(sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
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
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=True,
    )


def log_uncaught() -> None:
    """Let what nobody catches end in the log: by default it is printed past it, and past its redaction."""
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


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
