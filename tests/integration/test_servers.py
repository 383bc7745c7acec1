"""Several servers on one PostgreSQL: each serves on whatever happens to the others, or to PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx2
import orjson
import psycopg
import pytest
import requests
import sqlalchemy as sa

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.store import Database
from adaptive_engine.store.tables import interactions
from integration.server import Server, place_model, start
from postgres import PostgresServer

SECRET = "a-secret-that-both-servers-were-given"
CLIENTS = 3
HEAL_SECONDS = 5
# For a machine that has other things to do.
PATIENCE = 120


@dataclass
class Site:
    """Servers with a data directory each, and the PostgreSQL that they share."""

    postgres: PostgresServer
    url: str
    directories: list[Path]

    def start(self, number: int) -> Server:
        env = {"ADAPTIVE_DB__URL": self.url, "ADAPTIVE_APP__SECRET": SECRET}
        return start(self.directories[number], env=env)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(psycopg.connect(self.url.replace("+psycopg", ""))) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def states(self) -> dict[object, object]:
        return dict(self.rows("SELECT state, count(*) FROM interactions GROUP BY 1"))


@contextmanager
def sharing_a_database(model: ModelDirectory, tmp_path: Path) -> Iterator[Site]:
    postgres = PostgresServer()
    try:
        postgres.create()
        directories = [tmp_path / "a", tmp_path / "b"]
        for directory in directories:
            place_model(model.path, directory)
        with postgres.database() as url:
            yield Site(postgres, url, directories)
    finally:
        postgres.destroy()


@pytest.fixture
def site(small_model_dir: ModelDirectory, tmp_path: Path) -> Iterator[Site]:
    with sharing_a_database(small_model_dir, tmp_path) as site:
        yield site


@pytest.fixture
def slow_site(default_model_dir: ModelDirectory, tmp_path: Path) -> Iterator[Site]:
    """Answers take long enough for a crash to find them begun and stored."""
    with sharing_a_database(default_model_dir, tmp_path) as site:
        yield site


@dataclass
class Journal:
    """What the clients of one server saw."""

    texts: dict[UUID, str] = field(default_factory=dict)
    done: dict[UUID, str] = field(default_factory=dict)
    """Those of which the end was seen."""
    refused: int = 0
    accepted_at: float = 0
    """When an answer was last begun."""


async def one_client(server: Server, journal: Journal, seed: int, stop: asyncio.Event) -> None:
    rng = random.Random(seed)
    async with httpx2.AsyncClient(timeout=30, headers=server.headers) as client:
        while not stop.is_set():
            question = f"Tell me about the number {rng.randrange(1000)}."
            asked = {"model": "default", "messages": [{"role": "user", "content": question}], "stream": True}
            asked["max_tokens"] = rng.randrange(1, 8)
            try:
                async with client.stream("POST", f"{server.api}/chat/completions", json=asked) as reply:
                    if reply.status_code == 503:
                        journal.refused += 1
                        await asyncio.sleep(0.05)  # A client that is told to come back does not do so at once.
                        continue
                    assert reply.status_code == 200, await reply.aread()
                    journal.accepted_at = time.monotonic()
                    await read_answer(reply, journal)
            except httpx2.TransportError:
                if server.process.poll() is None:
                    raise
                return


async def read_answer(reply: httpx2.Response, journal: Journal) -> None:
    completion = None
    async for line in reply.aiter_lines():
        if line == "data: [DONE]":
            assert completion is not None
            journal.done[completion] = journal.texts[completion]
        elif line.startswith("data: "):
            event = orjson.loads(line[6:])
            if "error" in event:
                assert event["error"]["code"] == "storage_unavailable", event
                journal.refused += 1
                return
            for choice in event["choices"]:
                completion = UUID(choice["completion_id"])
                journal.texts[completion] = journal.texts.get(completion, "") + choice["delta"]["content"]


class Load:
    """Clients that ask all servers again and again."""

    def __init__(self, servers: list[Server]) -> None:
        self.journals = [Journal() for _ in servers]
        self._servers = servers
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Load:
        self._clients = [
            asyncio.create_task(one_client(server, journal, number * 100 + client, self._stop))
            for number, (server, journal) in enumerate(zip(self._servers, self.journals, strict=True))
            for client in range(CLIENTS)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._clients)

    async def until_each_has(self, more: int) -> None:
        """Until each server has answered so many requests more."""
        goals = [len(journal.done) + more for journal in self.journals]
        async with asyncio.timeout(PATIENCE):
            while any(len(j.done) < goal for j, goal in zip(self.journals, goals, strict=True)):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    @property
    def done(self) -> dict[UUID, str]:
        return {completion: text for journal in self.journals for completion, text in journal.done.items()}


def require_stored_once(site: Site, acknowledged: dict[UUID, str]) -> None:
    columns = (interactions.c.id, interactions.c.state, interactions.c.completion)
    with closing(Database.open(site.url)) as database, database.read() as connection:
        stored = {row[0]: tuple(row[1:]) for row in connection.execute(sa.select(*columns))}
    for completion, text in acknowledged.items():
        assert completion in stored, f"{completion} was acknowledged and is lost"
        assert stored[completion] == (stored[completion][0], text)
        assert stored[completion][0] in ("complete", "length")


def test_one_of_two_servers_is_killed(slow_site: Site) -> None:
    """The other serves on, closes what the dead one left, and nothing that was acknowledged is lost."""
    with ExitStack() as stack:
        first, second = servers = [slow_site.start(number) for number in range(2)]
        for server in servers:
            stack.callback(server.stop)

        async def scenario() -> Load:
            load = Load(servers)
            async with load:
                await load.until_each_has(3)
                first.stop(signal.SIGKILL)
                _, alive = load.journals
                goal = len(alive.done) + 10
                async with asyncio.timeout(PATIENCE):
                    while len(alive.done) < goal:  # noqa: ASYNC110 - clients tell nobody what they saw
                        await asyncio.sleep(0.02)
            return load

        load = asyncio.run(scenario())
        deadline = time.monotonic() + 15
        while slow_site.states().get("pending"):
            assert time.monotonic() < deadline, "nobody aborts what the dead server left"
            time.sleep(0.05)
        require_stored_once(slow_site, load.done)
        assert slow_site.states().get("aborted", 0) > 0
        assert second.logs("were running on a server that has stopped")
        # What the living one ran at that time was not touched.
        assert slow_site.states().get("error") is None
        # The dead one comes back beside the other, with the same keys and the same project.
        again = slow_site.start(0)
        stack.callback(again.stop)
        for server in (second, again):
            answer = requests.get(f"{server.api}/interactions", params={"project": "default"}, headers=server.headers)
            assert len(answer.json()["data"]) > 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_postgresql_is_restarted_under_load(site: Site, how: signal.Signals) -> None:
    with ExitStack() as stack:
        servers = [site.start(number) for number in range(2)]
        for server in servers:
            stack.callback(server.stop)

        async def scenario() -> tuple[Load, float]:
            load = Load(servers)
            async with load:
                await load.until_each_has(3)
                site.postgres.stop(how)
                async with asyncio.timeout(PATIENCE):
                    while not all(journal.refused for journal in load.journals):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                for server in servers:
                    ready = await asyncio.to_thread(requests.get, f"{server.url}/readyz")
                    assert ready.status_code == 503
                    assert "PostgreSQL" in ready.text
                    alive = await asyncio.to_thread(requests.get, f"{server.url}/livez", timeout=1)
                    assert alive.ok
                site.postgres.start()
                up = time.monotonic()
                async with asyncio.timeout(PATIENCE):
                    while any(journal.accepted_at < up for journal in load.journals):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                healed = time.monotonic() - up
                await load.until_each_has(3)
            return load, healed

        load, healed = asyncio.run(scenario())
        assert healed < HEAL_SECONDS
        require_stored_once(site, load.done)
        for server in servers:
            assert requests.get(f"{server.url}/readyz").ok
            assert server.stop() == 0
        assert "pending" not in site.states()


def test_a_server_with_another_secret_is_refused(site: Site) -> None:
    server = site.start(0)
    try:
        env = {"ADAPTIVE_DB__URL": site.url, "ADAPTIVE_APP__SECRET": "another-secret-of-thirty-two-chars!"}
        with pytest.raises(AssertionError, match="were made with another secret"):
            start(site.directories[1], env=env)
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["postgresql://ann:very-secret@127.0.0.1:1/db", "mysql://ann:very-secret@h/db"])
def test_a_database_that_cannot_be_used_ends_the_start(small_data_dir: Path, url: str) -> None:
    with pytest.raises(AssertionError, match="ADAPTIVE_DB__URL") as caught:
        start(small_data_dir, env={"ADAPTIVE_DB__URL": url})
    assert "very-secret" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
