"""What a server and its engine process hold on to, and whether they let go of what a fault made them hold."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import requests

from integration.processes import engine_of
from integration.server import Server

IDLE_SECONDS = 5.0
"""A busy machine may take longer than the server's own second to free what nobody waits for."""
# Pools of threads and connections grow to their bounds; a connection to SQLite has three files.
SPARE = 8
GAUGES = ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")
MEMORY_SHARE, MEMORY_BYTES = 0.1, 16 * 2**20


@dataclass(frozen=True)
class Holdings:
    memory: int
    """Bytes, of both processes; so are the next two."""
    files: int
    threads: int
    running: float
    waiting: float
    cache: float
    """The part of the KV cache that requests use."""

    @property
    def idle(self) -> bool:
        return not (self.running or self.waiting or self.cache)


def holdings(server: Server) -> Holdings:
    processes = [Path(f"/proc/{pid}") for pid in (server.process.pid, engine_of(server.process.pid))]
    memory = sum(int((process / "statm").read_text().split()[1]) for process in processes) * os.sysconf("SC_PAGE_SIZE")
    files, threads = (sum(len(list((each / kind).iterdir())) for each in processes) for kind in ("fd", "task"))
    text = requests.get(f"{server.url}/metrics", headers=server.headers, timeout=10).text
    running, waiting, cache = (
        sum(map(float, re.findall(rf"^adaptive_{gauge}{{.*}} (.+)$", text, re.M))) for gauge in GAUGES
    )
    return Holdings(memory, files, threads, running, waiting, cache)


def when_idle(server: Server) -> Holdings:
    """Once it has nothing to do; fails when something keeps running."""
    deadline = time.monotonic() + IDLE_SECONDS
    while not (found := holdings(server)).idle:
        assert time.monotonic() < deadline, f"something runs for nobody: {found}"
        time.sleep(0.02)
    return found


def drift(before: Holdings, after: Holdings) -> list[str]:
    """What a server that is idle again has too much of."""
    found = [
        f"{name}: {getattr(before, name)} before, {getattr(after, name)} after"
        for name in ("files", "threads")
        if getattr(after, name) > getattr(before, name) + SPARE
    ]
    if after.memory > before.memory * (1 + MEMORY_SHARE) + MEMORY_BYTES:
        found.append(f"memory: {before.memory >> 20} MiB before, {after.memory >> 20} MiB after")
    return found
