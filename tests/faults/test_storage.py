"""A store that cannot be written: said before anything is generated for nobody, and healed without a restart."""

from __future__ import annotations

import json
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from faults.conftest import LOCK_SECONDS
from integration.server import Server
from integration.wire import ask, chat, interaction, stored

HEAL_SECONDS = 10
# Words of drivers and databases, which are nobody's business.
INSIDES = ("locked", "sqlite", "OperationalError", "disk I/O", "Traceback", "adaptive.db")
Fault = Callable[[Server, Path], AbstractContextManager[None]]


@contextmanager
def no_space(server: Server, _: Path) -> Iterator[None]:
    """The system refuses to let files grow, as a full disk would."""
    pid, kind = server.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (4096, before[1]))
    yield
    resource.prlimit(pid, kind, before)


@contextmanager
def read_only(_: Server, switch: Path) -> Iterator[None]:
    switch.touch()
    yield
    switch.unlink()


@contextmanager
def locked(server: Server, _: Path) -> Iterator[None]:
    """Another process writes, and takes its time."""
    with closing(sqlite3.connect(server.data_dir / "adaptive.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.rollback()


@contextmanager
def moved_away(server: Server, _: Path) -> Iterator[None]:
    elsewhere = server.data_dir.with_name("elsewhere")
    server.data_dir.rename(elsewhere)
    yield
    elsewhere.rename(server.data_dir)


FAULTS: dict[str, tuple[Fault, str, bool]] = {
    "full disk": (no_space, "disk", False),
    "read-only": (read_only, "read-only", False),
    "locked by another process": (locked, "lock", False),
    "directory moved away": (moved_away, "moved or deleted", True),
}
"""What happens, what the operator reads of it, and whether it can be seen without writing."""


def require_told(response: requests.Response, word: str) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "storage_unavailable")
    assert word in error["message"]
    assert 1 <= int(response.headers["retry-after"]) <= 120


def last_event(response: requests.Response) -> tuple[dict[str, Any], str]:
    """Of a stream that did not end well; and the id of its completion."""
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert "[DONE]" not in events
    return json.loads(events[-1]), json.loads(events[0])["choices"][0]["completion_id"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_store_that_cannot_be_written(guarded: Server, switch: Path, name: str) -> None:
    server = guarded
    fault, word, is_visible = FAULTS[name]
    earlier = chat(server)
    late = None
    with fault(server, switch):
        if not is_visible:
            # Nobody knows yet: it is generated, and its client is not told that it is stored.
            began = time.monotonic()
            response = ask(server, stream=True)
            assert time.monotonic() - began < LOCK_SECONDS * 5 + 5, "a lock is waited for as long as the setting says"
            event, late = last_event(response)
            assert event["error"]["code"] == "storage_unavailable"
            assert interaction(server, earlier)["state"] == "length", "what was stored can be read"
        for streamed in (False, True):
            refused = ask(server, stream=streamed)
            require_told(refused, word)
            assert not any(inside in refused.text for inside in INSIDES)
        assert ask(server, store=False).status_code == 200
        ready = requests.get(f"{server.url}/readyz", timeout=5)
        assert ready.status_code == 503
        (problem,) = ready.json()["problems"]
        assert problem.startswith("store: ")
        assert word in problem
        assert requests.get(f"{server.url}/livez", timeout=5).ok
    deadline = time.monotonic() + HEAL_SECONDS
    while not requests.get(f"{server.url}/readyz", timeout=5).ok:
        assert time.monotonic() < deadline, "it does not heal"
        time.sleep(0.02)
    assert interaction(server, chat(server))["state"] == "length"
    assert interaction(server, earlier)["state"] == "length"
    if late is not None:
        # It was kept, and is stored now.
        kept = stored(server, late)
        assert kept is not None
        assert (kept["state"], kept["usage"]["completion_tokens"]) == ("length", 6)


@pytest.fixture
def exported(server: Server) -> None:
    """What other tests have left was exported once: a first export fills pools, which is no leak."""
    export = requests.post(f"{server.api}/interactions/export", json={"project": "default"}, headers=server.headers)
    assert export.status_code == 200


@pytest.mark.usefixtures("exported", "guarded")
def test_an_export_while_others_write(server: Server) -> None:
    """It has what there was when it began, holds nobody up, and leaves nothing behind when its client does."""
    for _ in range(20):
        chat(server, max_tokens=1)
    before = set(server.data_dir.iterdir())
    with requests.Session() as session:
        for whole in (False, True):
            asked = {"project": "default"}
            export = session.post(
                f"{server.api}/interactions/export", json=asked, headers=server.headers, stream=True, timeout=30
            )
            with export:
                assert export.status_code == 200
                # Small pieces would be too slow where other tests have left long lines.
                lines = export.iter_lines(chunk_size=2**20)
                first = json.loads(next(lines))
                written = [chat(server, max_tokens=1)["choices"][0]["completion_id"] for _ in range(20)]
                if whole:
                    ids = [first["id"], *(json.loads(line)["id"] for line in lines)]
                    assert len(ids) == len(set(ids))
                    assert not set(written) & set(ids), "it began before these"
    assert set(server.data_dir.iterdir()) <= before
