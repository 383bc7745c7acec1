"""What a worker hears from the process above it. tests/integration/test_workers.py has both."""

from __future__ import annotations

import os
import socket
import sys
from typing import cast

import pytest

from adaptive_engine.cli.worker import _Control
from adaptive_engine.services.engine_process.client import EngineClient


def test_news_of_the_last_engine_process_come_before_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    class Engines:
        def attach(self, sock: socket.socket) -> None:
            sock.close()
            heard.append("attached")

        def ended(self, reason: str) -> None:
            heard.append(reason)

    ours, theirs = socket.socketpair()
    connection, end = socket.socketpair()
    with ours, connection, end:
        # All that is there before it reads.
        ours.sendall(b'{"engine_ended": "killed"}\n')
        socket.send_fds(ours, [b"{}\n"], [connection.fileno()])
    monkeypatch.setattr(os, "_exit", sys.exit)
    with theirs, pytest.raises(SystemExit):
        _Control(theirs)._listen(cast(EngineClient, Engines()))
    assert heard == ["killed", "attached"]
