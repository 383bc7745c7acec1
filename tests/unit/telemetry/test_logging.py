from __future__ import annotations

import json
import subprocess
import sys

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
