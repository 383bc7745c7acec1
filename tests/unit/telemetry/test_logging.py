from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from adaptive_engine.telemetry.logging import configure

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


def _ask(api_key: str) -> float:
    return len(api_key) / 0
