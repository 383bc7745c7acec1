from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from adaptive_engine.telemetry.logging import configure


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
