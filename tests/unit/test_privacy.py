"""Nothing that we import reports to anybody, and child processes are not handed our secrets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adaptive_engine.sandbox import SandboxBusy
from adaptive_engine.sandbox.pool import Limits, Pool
from adaptive_engine.services.imports import Imports
from stores import open_store
from unit.registry.gguf_builder import tiny_model

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


def test_child_processes_are_not_handed_our_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_ADMIN_API_KEY", "sk-secret")
    monkeypatch.setenv("ADAPTIVE_CACHE_DIR", "/downloads")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nenv >> {tmp_path}/seen\nexit 3\n")
    python.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(python))
    tiny_model(tmp_path / "tiny.gguf")

    def seen() -> str:
        text = (tmp_path / "seen").read_text()
        (tmp_path / "seen").unlink()
        assert "CUDA_VISIBLE_DEVICES=1" in text
        assert "sk-secret" not in text
        return text

    with pytest.raises(SandboxBusy):
        Pool("adaptive_engine.images.worker", Limits(1, 5, 1 << 30, 1)).ask(b"{}")
    assert "ADAPTIVE_" not in seen()
    database = open_store(tmp_path / "store.db")
    imports = Imports(database, tmp_path / "models", tmp_path)
    imports.start(path="tiny.gguf")
    imports.join()
    database.close()
    assert "ADAPTIVE_CACHE_DIR=/downloads" in seen(), "which names the directory of its downloads"
