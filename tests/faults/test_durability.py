"""What a client saw the end of is stored, whatever happens to the server; what it left stops."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

import httpx2
import orjson
import pytest
import requests

from faults.checker import broken_promises, states
from faults.journal import Journal, acknowledged
from integration.server import Server, start

STREAMS = 16
# A round takes as long as a start; `ADAPTIVE_TEST_KILLS=100` is for a night.
ROUNDS = int(os.environ.get("ADAPTIVE_TEST_KILLS", "6"))


def body(question: str, **more: object) -> dict[str, object]:
    return {"model": "default", "messages": [{"role": "user", "content": question}], "stream": True, **more}


async def one_client(client: httpx2.AsyncClient, server: Server, journal: Journal, seed: int) -> None:
    """Ask again and again until the connection breaks."""
    rng = random.Random(seed)
    while True:
        asked = body(f"Tell me about the number {rng.randrange(1000)}.", max_tokens=rng.randrange(1, 40))
        async with client.stream("POST", f"{server.api}/chat/completions", json=asked, headers=server.headers) as reply:
            assert reply.status_code == 200
            assert await journal.follow(reply.aiter_lines()) is None


async def load_until_killed(server: Server, journal: Journal, events: int, seed: int) -> None:
    async with httpx2.AsyncClient(timeout=30) as client:
        clients = [asyncio.create_task(one_client(client, server, journal, seed * 100 + n)) for n in range(STREAMS)]
        await journal.until(lambda seen: seen.events >= events)
        server.stop(signal.SIGKILL)
        results = await asyncio.gather(*clients, return_exceptions=True)
    for result in results:
        assert isinstance(result, httpx2.TransportError), result


@pytest.mark.timeout(60 + 30 * ROUNDS)
def test_killed_in_the_middle_of_16_streams_again_and_again(shallow_data_dir: Path, tmp_path: Path) -> None:
    """Every completion whose client saw the end is stored once, complete; nothing else claims to be complete."""
    rng = random.Random(20)
    seen: dict[UUID, str] = {}
    path = tmp_path / "journal"
    for round_ in range(ROUNDS):
        server = start(shallow_data_dir, quick=True)
        with closing(Journal(path)) as journal:
            asyncio.run(load_until_killed(server, journal, rng.randrange(10, 300), round_))
        seen |= journal.texts
    start(shallow_data_dir, quick=True).stop()
    store = shallow_data_dir / "adaptive.db"
    assert len(acknowledged(path)) >= ROUNDS, "the load was too light to show anything"
    assert not broken_promises(store, [path], seen)
    assert states(store)["aborted"] > 0, "some streams were cut off, and say so"


def killed_at(failpoint: str, data_dir: Path) -> tuple[list[str], UUID]:
    """The lines that a client of an answer gets whose server ends there, and the answer's id."""
    server = start(data_dir, env={"ADAPTIVE_TESTING": "1", "ADAPTIVE_FAILPOINTS": failpoint}, quick=True)
    lines: list[str] = []
    # Much longer than a row waits for its outcome, also where the thread that writes has to wait for a processor: the
    # first transaction begins it, the second ends it.
    asked = body("Tell me a story.", max_tokens=1000, ignore_eos=True)
    reply = requests.post(f"{server.api}/chat/completions", json=asked, headers=server.headers, stream=True, timeout=30)
    with reply, suppress(requests.exceptions.ChunkedEncodingError):
        lines.extend(filter(None, reply.iter_lines(decode_unicode=True)))
    assert server.process.wait(10) == -signal.SIGKILL
    first = next(line for line in lines if line.startswith("data: "))
    return lines, UUID(orjson.loads(first[6:])["choices"][0]["completion_id"])


def state_after_restart(data_dir: Path, completion: UUID) -> str:
    server = start(data_dir, quick=True)
    try:
        found = requests.get(f"{server.api}/interactions/{completion}", headers=server.headers)
        state: str = found.json()["state"]
        return state
    finally:
        assert server.stop() == 0


def test_killed_between_the_last_token_and_the_commit(small_data_dir: Path) -> None:
    """The client was not told that its answer is stored, and it is not."""
    lines, completion = killed_at("store.before_commit=exit;2", small_data_dir)
    assert "data: [DONE]" not in lines
    assert state_after_restart(small_data_dir, completion) == "aborted"


def test_killed_between_the_commit_and_its_acknowledgement(small_data_dir: Path) -> None:
    """The client was not told, but the answer is stored, once and whole."""
    lines, completion = killed_at("store.after_commit=exit;2", small_data_dir)
    assert "data: [DONE]" not in lines
    assert state_after_restart(small_data_dir, completion) == "length"
    assert not broken_promises(small_data_dir / "adaptive.db", [], {})


def test_sigterm_lets_running_requests_finish(shallow_data_dir: Path) -> None:
    server = start(shallow_data_dir, quick=True)
    asked = body("Tell me a story.", max_tokens=400, ignore_eos=True)
    with requests.post(f"{server.api}/chat/completions", json=asked, headers=server.headers, stream=True) as reply:
        lines = reply.iter_lines(decode_unicode=True)
        next(lines)
        server.process.send_signal(signal.SIGTERM)
        assert list(lines)[-2] == "data: [DONE]"
    assert server.process.wait(30) == 0


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
def test_the_drain_has_an_end(shallow_data_dir: Path, stream: bool) -> None:
    """What is not finished in time ends, recorded as cancelled; the exit is clean."""
    server = start(shallow_data_dir, env={"ADAPTIVE_SERVER__DRAIN_SECONDS": "1"}, quick=True)
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
    assert states(shallow_data_dir / "adaptive.db") == {"cancelled": 1}


def wait_for_a_row(server: Server) -> None:
    """Until the first request has been admitted."""
    deadline = time.monotonic() + 20
    query = {"project": "default"}
    while not requests.get(f"{server.api}/interactions", params=query, headers=server.headers).json()["data"]:
        assert time.monotonic() < deadline


def test_a_second_server_on_the_same_data_is_refused(small_data_dir: Path) -> None:
    import subprocess
    import sys

    server = start(small_data_dir, quick=True)
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
