"""The process above the workers, with children that do nothing. tests/integration/test_workers.py has real ones."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adaptive_engine.server import workers
from adaptive_engine.server.workers import Workers
from adaptive_engine.settings import Settings

SECONDS = 30


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Its workers sleep and read nothing."""
    popen = subprocess.Popen

    def asleep(_: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return popen(["sleep", str(10 * SECONDS)], **options)

    monkeypatch.setattr(workers.subprocess, "Popen", asleep)
    with socket.socket() as listening:
        hub = Workers(Settings(data_dir=tmp_path), listening, {})
        yield hub
    for worker in hub._workers:
        worker.process.kill()
        worker.process.wait()
        worker.control.close()


def test_a_worker_that_does_not_read_holds_up_nobody(hub: Workers) -> None:
    hub._start()
    (frozen,) = hub._workers

    def tell() -> None:
        for _ in range(3000):
            hub._say(frozen, {"changed": True})

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    telling.join(SECONDS)
    assert not telling.is_alive()


def test_a_worker_that_has_lost_its_connection_gets_another(hub: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    hub._start()
    (worker,) = hub._workers
    worker.control.close()
    worker.control, theirs = socket.socketpair()
    process, servers = socket.socketpair()
    monkeypatch.setattr(hub._engine, "connect", lambda: servers)
    theirs.settimeout(SECONDS)
    with process, theirs:
        theirs.sendall(b'{"connect": true}\n')
        hub._read(worker)
        _, (connection,), _, _ = socket.recv_fds(theirs, 100, 1)
        process.sendall(b"hello")
        with socket.socket(fileno=connection) as found:
            assert found.recv(5) == b"hello"
