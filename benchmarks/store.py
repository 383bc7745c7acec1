"""What it costs to store an interaction: SQLite, and PostgreSQL where a database is given.

    python benchmarks/store.py [postgresql://USER:PASSWORD@HOST/DATABASE]

The database is filled with some thousand rows; give it one that may go. Each line is one store and durability.
"""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

from adaptive_engine.store import Database, Durability, Recorder, projects
from adaptive_engine.types import Interaction, Project, Usage, now_ms, uuid7

ALONE, TOGETHER = 200, 32
"""Requests of one client, one after the other, and clients at the same time."""
LOOKS = 200
MESSAGES = [{"role": "user", "content": "x" * 400}]


def main() -> None:
    durabilities: tuple[Durability, ...] = ("normal", "full")
    with tempfile.TemporaryDirectory() as directory:
        for durability in durabilities:
            database = Database.open(Path(directory) / f"{durability}.db", durability=durability)
            report("SQLite", durability, database)
    for url in sys.argv[1:]:
        for durability in durabilities:
            report("PostgreSQL", durability, Database.open(url, durability=durability))


def report(name: str, durability: Durability, database: Database) -> None:
    with closing(database):
        project = Project(uuid7(), f"bench-{uuid7()}", "Benchmark", "", now_ms())
        with database.write() as connection:
            projects.create(connection, project)
        recorder = Recorder(database)
        recorder.start()
        with closing(recorder):
            alone, _ = asyncio.run(finish_all(recorder, project.id, clients=1, each=ALONE))
            before, started = recorder.stats.transactions, time.perf_counter()
            together, seconds = asyncio.run(finish_all(recorder, project.id, clients=TOGETHER, each=ALONE // 4))
            commits = (recorder.stats.transactions - before) / (time.perf_counter() - started)
        read = milliseconds(lambda: look(database))
        write = milliseconds(lambda: take_turn(database))
    print(
        f"{name:10} {durability:6}  "
        f"alone: finish {1000 * statistics.median(alone):.2f} ms  "
        f"{TOGETHER} clients: {len(together) / seconds:.0f} interactions/s in {commits:.0f} commits/s, "
        f"finish {1000 * statistics.median(together):.1f} ms  "
        f"read {read:.2f} ms  write {write:.2f} ms"
    )


async def finish_all(recorder: Recorder, project_id: UUID, clients: int, each: int) -> tuple[list[float], float]:
    """The seconds that each `finish` took, which is what an answer waits for; and those of all together."""
    latencies: list[float] = []

    async def client() -> None:
        for _ in range(each):
            row = pending(project_id)
            recorder.begin([row])
            await asyncio.sleep(0.005 if clients == 1 else 0)
            started = time.perf_counter()
            await recorder.finish([finished(row)])
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return latencies, time.perf_counter() - started


def pending(project_id: UUID) -> Interaction:
    return Interaction(
        id=uuid7(),
        project_id=project_id,
        session_id=uuid7(),
        messages=MESSAGES,
        state="pending",
        source="LIVE",
        created_at=now_ms(),
        labels={"env": "prod"},
        parameters={"temperature": 1},
    )


def finished(row: Interaction) -> Interaction:
    usage, timings = Usage(100, 200), {"total_ms": 1.0}
    return dataclasses.replace(
        row, state="complete", completion="y" * 800, completed_at=now_ms(), usage=usage, timings=timings
    )


def look(database: Database) -> None:
    with database.read() as connection:
        projects.get_by_key(connection, "default")


def take_turn(database: Database) -> None:
    with database.write() as connection:
        projects.get_by_key(connection, "default")


def milliseconds(action: Callable[[], None]) -> float:
    times = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
