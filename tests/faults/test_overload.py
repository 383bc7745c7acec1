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
GOODPUT = 0.8
"""Of the answers per second that as many clients get as there are places."""
ROUNDS = 3
"""What else the machine does can only make goodput less, so one round that has it is enough."""
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
    shares = []
    async with httpx2.AsyncClient(timeout=120, limits=limits) as http:
        await send(narrow, http, 10 * CAPACITY, 60)
        before = await asyncio.to_thread(when_idle, narrow)
        while len(shares) < ROUNDS and max(shares, default=0) < GOODPUT:
            _, capacity = await send(narrow, http, CAPACITY, 60)
            statuses, goodput = await send(narrow, http, 10 * CAPACITY, REQUESTS)
            assert statuses.keys() == {200, 503}
            shares.append(goodput / capacity)
        after = await asyncio.to_thread(when_idle, narrow)
    assert max(shares) >= GOODPUT, shares
    assert not drift(before, after)
