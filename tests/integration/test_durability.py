"""What a client saw the end of is stored, whatever happens to the server; what it left stops."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx2
import orjson
import pytest
import requests

from adaptive_engine.store import Database, interactions
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.types import InteractionState
from integration.server import Server, start

STREAMS = 16
# A round takes as long as a start; `ADAPTIVE_TEST_KILLS=100` is for a night.
ROUNDS = int(os.environ.get("ADAPTIVE_TEST_KILLS", "6"))


@dataclass
class Journal:
    """What the clients saw: per completion its text so far, and whether `[DONE]` came."""

    enough: int
    """Events after which the server is killed."""
    texts: dict[UUID, str] = field(default_factory=dict)
    done: set[UUID] = field(default_factory=set)
    events: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, line: str, completion: UUID | None) -> UUID | None:
        self.events += bool(line)
        if self.events >= self.enough:
            self.reached.set()
        if line == "data: [DONE]" and completion is not None:
            self.done.add(completion)
        elif line.startswith("data: "):
            for choice in orjson.loads(line[6:]).get("choices", []):
                completion = UUID(choice["completion_id"])
                self.texts[completion] = self.texts.get(completion, "") + choice["delta"]["content"]
        return completion


def body(question: str, **more: object) -> dict[str, object]:
    return {"model": "default", "messages": [{"role": "user", "content": question}], "stream": True, **more}


async def one_client(client: httpx2.AsyncClient, server: Server, journal: Journal, seed: int) -> None:
    """Ask again and again until the connection breaks."""
    rng = random.Random(seed)
    while True:
        asked = body(f"Tell me about the number {rng.randrange(1000)}.", max_tokens=rng.randrange(1, 8))
        completion: UUID | None = None
        async with client.stream("POST", f"{server.api}/chat/completions", json=asked, headers=server.headers) as reply:
            assert reply.status_code == 200
            async for line in reply.aiter_lines():
                completion = journal.add(line, completion)


async def load_until_killed(server: Server, journal: Journal, seed: int) -> None:
    async with httpx2.AsyncClient(timeout=30) as client:
        clients = [asyncio.create_task(one_client(client, server, journal, seed * 100 + n)) for n in range(STREAMS)]
        await journal.reached.wait()
        server.stop(signal.SIGKILL)
        results = await asyncio.gather(*clients, return_exceptions=True)
    for result in results:
        assert isinstance(result, httpx2.TransportError), result


def find(database: Database, completion: UUID) -> StoredInteraction | None:
    with database.read() as connection:
        return interactions.get(connection, None, completion)


def states(database: Database) -> dict[InteractionState, int]:
    import sqlalchemy as sa

    from adaptive_engine.store.tables import interactions as table

    with database.read() as connection:
        rows = connection.execute(sa.select(table.c.state, sa.func.count()).group_by(table.c.state)).all()
    return dict(rows)


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_killed_in_the_middle_of_16_streams_again_and_again(fresh_data_dir: Path) -> None:
    """Every completion whose client saw the end is stored once, complete; nothing else claims to be complete."""
    rng = random.Random(20)
    acknowledged: dict[UUID, str] = {}
    for round_ in range(ROUNDS):
        server = start(fresh_data_dir)
        journal = Journal(enough=rng.randrange(10, 300))
        asyncio.run(load_until_killed(server, journal, round_))
        acknowledged.update({completion: journal.texts[completion] for completion in journal.done})
    start(fresh_data_dir).stop()
    database = Database.open(fresh_data_dir / "adaptive.db")
    try:
        assert len(acknowledged) >= ROUNDS, "the load was too light to show anything"
        for completion, text in acknowledged.items():
            stored = find(database, completion)
            assert stored is not None, f"{completion} was acknowledged and is lost"
            assert stored.interaction.state in ("complete", "length")
            assert stored.interaction.completion == text
        counted = states(database)
        assert counted.get("pending", 0) == 0
        assert counted["aborted"] > 0, "some streams were cut off, and say so"
    finally:
        database.close()


def test_sigterm_lets_running_requests_finish(fresh_data_dir: Path) -> None:
    server = start(fresh_data_dir)
    asked = body("Tell me a story.", max_tokens=40, ignore_eos=True)
    with requests.post(f"{server.api}/chat/completions", json=asked, headers=server.headers, stream=True) as reply:
        lines = reply.iter_lines(decode_unicode=True)
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        assert list(lines)[-2] == "data: [DONE]"
    assert server.process.wait(30) == 0


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
def test_the_drain_has_an_end(fresh_data_dir: Path, stream: bool) -> None:
    """What is not finished in time ends, recorded as cancelled; the exit is clean."""
    server = start(fresh_data_dir, env={"ADAPTIVE_SERVER__DRAIN_SECONDS": "1"})
    asked = body("Count for ever.", max_tokens=4000, ignore_eos=True) | {"stream": stream}
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(requests.post, f"{server.api}/chat/completions", json=asked, headers=server.headers)
        wait_for_a_row(server)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        reply = pending.result()
        assert "[DONE]" not in reply.text
        assert "shutting_down" in reply.text
        assert reply.status_code == 200 if stream else 503
    database = Database.open(fresh_data_dir / "adaptive.db")
    try:
        assert states(database) == {"cancelled": 1}
    finally:
        database.close()


def wait_for_a_row(server: Server) -> None:
    """Until the first request has been admitted."""
    deadline = time.monotonic() + 20
    query = {"project": "default"}
    while not requests.get(f"{server.api}/interactions", params=query, headers=server.headers).json()["data"]:
        assert time.monotonic() < deadline


def test_a_second_server_on_the_same_data_is_refused(small_data_dir: Path) -> None:
    import subprocess
    import sys

    server = start(small_data_dir)
    try:
        command = [str(Path(sys.executable).with_name("adaptive")), "serve", "--port", "0"]
        second = subprocess.run(
            [*command, "--data-dir", str(small_data_dir)], capture_output=True, text=True, timeout=60
        )
        assert second.returncode == 1
        assert f"pid {server.process.pid}" in second.stderr
        assert str(small_data_dir) in second.stderr
        assert "Traceback" not in second.stderr
        assert requests.get(f"{server.url}/readyz", timeout=5).ok
    finally:
        server.stop()
