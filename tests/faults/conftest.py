"""One server for all faults that it survives, and a guard that sees what it did not let go of."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adaptive_engine.registry import ModelDirectory
from faults.holdings import drift, when_idle
from integration.server import Server, place_model, start
from integration.wire import ask, listed

LOCK_SECONDS = 0.3
BODY_SECONDS = 1.0
# An export waits for a client that does something else meanwhile.
SEND_SECONDS = 4.0


@pytest.fixture(scope="session")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """While this file exists, the server's store is read-only."""
    return tmp_path_factory.mktemp("switch") / "read-only"


@pytest.fixture(scope="session")
def server(small_model_dir: ModelDirectory, switch: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With times that a test can wait for."""
    data_dir = tmp_path_factory.mktemp("faults") / "data"
    place_model(small_model_dir.path, data_dir)
    env = {
        "ADAPTIVE_TESTING": "1",
        "ADAPTIVE_FAILPOINTS": f"store.write=read_only;{switch}",
        "ADAPTIVE_DB__LOCK_TIMEOUT_SECONDS": str(LOCK_SECONDS),
        "ADAPTIVE_SERVER__BODY_TIMEOUT_SECONDS": str(BODY_SECONDS),
        "ADAPTIVE_SERVER__SEND_TIMEOUT_SECONDS": str(SEND_SECONDS),
    }
    running = start(data_dir, env=env, quick=True)
    # Pools fill up on first use, which is no leak.
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: (ask(running), listed(running)), range(64)))
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def guarded(server: Server) -> Iterator[Server]:
    """The server, which has to be as it was before when the test is over."""
    before = when_idle(server)
    yield server
    assert not drift(before, when_idle(server))
