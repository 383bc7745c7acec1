"""Nothing that we import reports to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Any name that is looked up would have to be looked up here.
WATCH = """
import socket, sys
def refuse(*args, **kwargs):
    sys.exit(f"a connection to {args} was tried")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = refuse
import os
os.fork = refuse
"""


@pytest.mark.parametrize(
    "code",
    [
        "import adaptive_engine.engine.engine",
        "from adaptive_engine import privacy; privacy.silence_openvino(); import openvino_genai",
        "import adaptive_engine.server.app, adaptive_engine.server.assembly, adaptive_engine.cli.doctor",
        "import adaptive_engine; adaptive_engine.Adaptive",
    ],
)
def test_importing_reaches_nobody_and_leaves_nothing_behind(tmp_path: Path, code: str) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    finished = subprocess.run([sys.executable, "-c", WATCH + code], env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert not list(tmp_path.iterdir()), "the home directory stays as it was"
