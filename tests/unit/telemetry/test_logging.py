from __future__ import annotations

import errno
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Literal

import pytest
import structlog

from adaptive_engine.telemetry import redaction
from adaptive_engine.telemetry.logging import _stderr, configure, log_uncaught

SCRIPT = """
import logging, structlog
from adaptive_engine.telemetry.logging import configure

configure("json")
log = structlog.get_logger("ours")
structlog.contextvars.bind_contextvars(request_id="req-1")
log.info("request", number=2**70, name="caf\\u00e9", odd=object)
log.debug("not shown")
try:
    raise ValueError("broken")
except ValueError:
    log.exception("failed")
logging.getLogger("theirs").warning("from %s", "outside")
"""


def test_both_kinds_of_loggers_write_lines_of_json() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    first, second, third = map(json.loads, done.stderr.splitlines())
    assert first["event"] == "request"
    assert (first["number"], first["name"], first["odd"]) == (2**70, "café", "<class 'object'>")
    assert (first["level"], first["logger"], first["request_id"]) == ("info", "ours", "req-1")
    assert "ValueError: broken" in second["exception"]
    assert second["level"] == "error"
    assert (third["event"], third["logger"], third["request_id"]) == ("from outside", "theirs", "req-1")


def test_rich_is_left_to_who_needs_it() -> None:
    code = "import sys, adaptive_engine.telemetry.logging; print('rich' in sys.modules); import rich.console"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.fixture
def unchanged() -> Iterator[None]:
    """Logging is the process's."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("logger", [structlog.get_logger("ours"), logging.getLogger("theirs")], ids=["ours", "theirs"])
def test_a_traceback_has_no_values(
    log_format: Literal["console", "json"], logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are keys and messages."""
    configure(log_format)
    try:
        _ask("CANARY" * 2)
    except ZeroDivisionError:
        logger.exception("it failed")
    logged = capsys.readouterr().err
    assert "in _ask" in logged
    assert "ZeroDivisionError" in logged
    assert "CANARYCANARY" not in logged


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("log_format", ["console", "json"])
@pytest.mark.parametrize("logger", [structlog.get_logger("ours"), logging.getLogger("theirs")], ids=["ours", "theirs"])
def test_secrets_are_taken_out_of_messages_fields_and_tracebacks(
    log_format: Literal["console", "json"],
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(redaction, "_hidden", {})
    redaction.hide("CANARY-of-a-provider")
    configure(log_format)
    try:
        raise ValueError("the key CANARY-of-a-provider is not valid")
    except ValueError:
        logger.exception("it failed with CANARY-of-a-provider", extra={"key": "CANARY-of-a-provider"})
    logged = capsys.readouterr().err
    assert "it failed with [redacted]" in logged
    assert "the key [redacted] is not valid" in logged
    assert "CANARY" not in logged


@pytest.mark.usefixtures("unchanged")
def test_the_level_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    for level in ("debug", "info", "warning"):
        configure("json", level)  # type: ignore[arg-type]
        for logger in (structlog.get_logger("ours"), logging.getLogger("theirs")):
            for method in (logger.debug, logger.info, logger.warning):
                method(f"{level}: {method.__name__}")
    said = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert sorted({line for line in said if line.startswith("warning")}) == ["warning: warning"]
    assert sorted({line for line in said if line.startswith("info")}) == ["info: info", "info: warning"]
    assert len([line for line in said if line.startswith("debug")]) == 6


@pytest.mark.usefixtures("unchanged")
def test_what_nobody_catches_ends_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(redaction, "_hidden", {})
    redaction.hide("CANARY-of-a-thread")
    configure("json")
    log_uncaught()

    def fail() -> None:
        raise RuntimeError("CANARY-of-a-thread")

    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()
    try:
        fail()
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["event"] == "uncaught error in thread worker"
    assert "RuntimeError: [redacted]" in first["exception"]
    assert (second["level"], second["event"]) == ("critical", "uncaught error")


class _Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("unchanged")
async def test_a_log_that_cannot_be_written_fails_nobody_and_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written, stream = io.StringIO(), SimpleNamespace(stderr=_Full())
    monkeypatch.setattr("adaptive_engine.telemetry.logging.sys", stream)
    configure("json")
    ours = structlog.get_logger("ours")
    ours.info("may wait")
    ours.warning("may not")
    ours.info("waits longer than it may")
    _stderr._flush_waiting()
    stream.stderr = written
    ours.warning("again")
    (line,) = written.getvalue().splitlines()
    assert json.loads(line)["event"] == "again"


def _ask(api_key: str) -> float:
    return len(api_key) / 0


@pytest.mark.usefixtures("unchanged")
def test_nothing_in_a_line_steers_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    configure("console")
    structlog.get_logger("ours").warning("request \x9b2J", path="/\x1b]0;gone\x07\r\n\u202eforged", name="größe")
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    assert "größe" in line
