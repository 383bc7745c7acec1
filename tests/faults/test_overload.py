"""Ten times as many clients as places: what is accepted is answered as fast as ever, and nothing grows."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from adaptive_engine.registry import ModelDirectory
from faults.holdings import drift, when_idle
from integration.server import Server, place_model, start

CAPACITY, WAITING = 4, 16
REQUESTS = 1000
GOODPUT = 0.5
"""Of the answers per second that as many clients get as there are places. It is 0.8 where nothing else runs, which
benchmarks/overload.py holds it to.
"""
ASKED: dict[str, Any] = {
    "model": "default",
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 150,
    "ignore_eos": True,
    "store": False,
}


@pytest.fixture(scope="module")
def narrow(small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Four places and a short queue."""
    data_dir = tmp_path_factory.mktemp("narrow")
    place_model(small_model_dir.path, data_dir)
    env = {"ADAPTIVE_ENGINE__MAX_RUNNING": str(CAPACITY), "ADAPTIVE_ENGINE__MAX_WAITING": str(WAITING)}
    running = start(data_dir, env=env, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


async def send(server: Server, http: httpx2.AsyncClient, clients: int, requests: int) -> tuple[Counter[int], float]:
    """How often each status came, and how many good answers a second. A client sends one request after the other."""
    left = iter(range(requests))
    statuses: Counter[int] = Counter()

    async def client() -> None:
        for _ in left:
            reply = await http.post(f"{server.api}/chat/completions", json=ASKED, headers=server.headers)
            statuses[reply.status_code] += 1
            if reply.status_code == 503:
                assert 1 <= int(reply.headers["retry-after"]) <= 120

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return statuses, statuses[200] / (time.perf_counter() - began)


async def test_a_thousand_requests_of_ten_times_as_many_clients_as_places(narrow: Server) -> None:
    limits = httpx2.Limits(max_connections=100)
    async with httpx2.AsyncClient(timeout=120, limits=limits) as http:
        await send(narrow, http, 10 * CAPACITY, 60)
        before = await asyncio.to_thread(when_idle, narrow)
        _, capacity_before = await send(narrow, http, CAPACITY, 60)
        statuses, goodput = await send(narrow, http, 10 * CAPACITY, REQUESTS)
        _, capacity_after = await send(narrow, http, CAPACITY, 60)
        after = await asyncio.to_thread(when_idle, narrow)
    assert statuses.keys() == {200, 503}
    # What else the machine does changes meanwhile.
    capacity = min(capacity_before, capacity_after)
    assert goodput >= GOODPUT * capacity, (capacity, goodput, statuses)
    assert not drift(before, after)
