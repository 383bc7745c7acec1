"""What ten times too many requests of one project do to its answers, to another project, and to memory.

    make bench-overload     or     python benchmarks/overload.py [--places 4] [--seconds 30] [--rounds 3]

A server with few places and a short queue. Project `one` is asked by as many clients as there are places, which gives
its capacity, and then by ten times as many, that wait when refused as `Retry-After` says, or do not wait at all.
Meanwhile project `two` asks for one short answer after the other, as it does alone before. Prints medians. Exits with 1
when memory grew by more than 32 MiB between the first and the last overload, or, beside clients that wait, the good
answers per second fall below 80 % of the capacity or the median of `two` is over twice what it is alone. What is left
to a machine on which clients that do not wait take the processors is only shown.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import machine
from common import KEY, Server, end_in_order, processor, running_server

from adaptive_engine import Adaptive
from adaptive_engine.registry import ensure_default_model

GOODPUT, MOST_TIMES, MOST_GROWTH_MIB = 0.8, 2.0, 32.0
WARM_UP_SECONDS = 3.0
CLIENT_NICENESS = 10
TOKENS = {"one": 100, "two": 32}
LOADS = {"alone": (0, False), "as many": (1, False), "ten times": (10, False), "ten times, at once": (10, True)}
"""How many clients for each place, and whether they come again at once when they are refused."""


@dataclass(frozen=True)
class Figures:
    goodput: float
    """Answers per second of project `one`."""
    refused: float
    """Refusals per second."""
    other_ms: float
    """Median of a whole answer to project `two`."""


async def ask(http: httpx2.AsyncClient, project: str) -> httpx2.Response:
    body: dict[str, Any] = {"model": project, "max_tokens": TOKENS[project], "ignore_eos": True, "store": False}
    body["messages"] = [{"role": "user", "content": "Tell me something about the sea, in simple words."}]
    return await http.post("/api/v1/chat/completions", json=body)


async def measure(server: Server, clients: int, hasty: bool, seconds: float) -> Figures:
    """The load of some seconds, which begins once all clients have."""
    limits = httpx2.Limits(max_connections=None)
    statuses: Counter[int] = Counter()
    others: list[float] = []
    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx2.AsyncClient(base_url=server.url, headers=headers, timeout=600, limits=limits) as http:
        await ask(http, "two")

        async def client() -> None:
            while True:
                reply = await ask(http, "one")
                statuses[reply.status_code] += 1
                if reply.status_code == 503 and not hasty:
                    await asyncio.sleep(float(reply.headers["retry-after"]))

        async def other() -> None:
            while True:
                began = time.perf_counter()
                (await ask(http, "two")).raise_for_status()
                others.append(1000 * (time.perf_counter() - began))

        tasks = [asyncio.create_task(client()) for _ in range(clients)]
        await asyncio.sleep(WARM_UP_SECONDS)
        tasks.append(asyncio.create_task(other()))
        statuses.clear()
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in failed:
        task.result()
    if unknown := statuses.keys() - {200, 503}:
        raise RuntimeError(f"the server answered with {unknown}")
    return Figures(statuses[200] / seconds, statuses[503] / seconds, statistics.median(others))


def compare(server: Server, places: int, rounds: int, seconds: float) -> bool:
    found: dict[str, list[Figures]] = {name: [] for name in LOADS}
    memory = []
    for round_ in range(rounds):
        for name, (times, hasty) in LOADS.items():
            figures = asyncio.run(measure(server, times * places, hasty, seconds))
            found[name].append(figures)
            print(f"round {round_}, {name}: {figures}", file=sys.stderr, flush=True)
        memory.append(machine.memory_mib(machine.tree(server.pid)))
    medians = {
        name: Figures(*(statistics.median(getattr(f, n) for f in each) for n in Figures.__annotations__))
        for name, each in found.items()
    }
    capacity, alone = medians["as many"].goodput, medians["alone"].other_ms
    print(f"{processor()}, {places} places\n")
    print(
        "| Clients of project one | Answers/s | Of capacity | Refusals/s | Project two, ms | Times as long as alone |"
    )
    print("|---|---|---|---|---|---|")
    for name, figures in medians.items():
        share = f"{figures.goodput / capacity:.2f}"
        longer = f"{figures.other_ms / alone:.2f}"
        print(
            f"| {name} | {figures.goodput:.2f} | {share} | {figures.refused:.0f} | {figures.other_ms:.0f} | {longer} |"
        )
    growth = memory[-1] - memory[0]
    print(f"\nMemory grew by {growth:+.0f} MiB after the first overload.")
    load = medians["ten times"]
    return load.goodput >= GOODPUT * capacity and load.other_ms <= MOST_TIMES * alone and growth <= MOST_GROWTH_MIB


def main() -> int:
    options = argparse.ArgumentParser(description="What ten times too many requests do.")
    options.add_argument("--places", type=int, default=4)
    options.add_argument("--seconds", type=float, default=30)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    end_in_order()
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        default = ensure_default_model(data_dir / "models")
        env = {
            "ADAPTIVE_ENGINE__MAX_RUNNING": str(chosen.places),
            "ADAPTIVE_ENGINE__MAX_WAITING": str(4 * chosen.places),
            # So small that the first overload fills it: what grows later is not the cache.
            "ADAPTIVE_ENGINE__KV_CACHE_LEN": "8192",
        }
        with running_server(data_dir, env) as server:
            with Adaptive(server.url, KEY) as client:
                for project in TOKENS:
                    client.projects.create(project)
                    client.models.attach(default.key, make_default=True, wait=True, project=project)
            # Clients are elsewhere: here they give way to the server.
            os.nice(CLIENT_NICENESS)
            return 0 if compare(server, chosen.places, chosen.rounds, chosen.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
