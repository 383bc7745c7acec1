"""Several servers on one PostgreSQL: each serves on whatever happens to the others, or to PostgreSQL."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg
import pytest
import requests

from adaptive_engine.registry import ModelDirectory
from faults.checker import broken_promises
from faults.journal import Journal
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
    tokens: range
    """What clients ask for."""

    def start(self, number: int) -> Server:
        env = {"ADAPTIVE_DB__URL": self.url, "ADAPTIVE_APP__SECRET": SECRET}
        return start(self.directories[number], env=env, quick=True)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(psycopg.connect(self.url.replace("+psycopg", ""))) as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def states(self) -> dict[object, object]:
        return dict(self.rows("SELECT state, count(*) FROM interactions GROUP BY 1"))


@contextmanager
def sharing_a_database(model: ModelDirectory, tmp_path: Path, tokens: range) -> Iterator[Site]:
    postgres = PostgresServer()
    try:
        postgres.create()
        directories = [tmp_path / "a", tmp_path / "b"]
        for directory in directories:
            place_model(model.path, directory)
        with postgres.database() as url:
            yield Site(postgres, url, directories, tokens)
    finally:
        postgres.destroy()


@pytest.fixture
def site(small_model_dir: ModelDirectory, tmp_path: Path) -> Iterator[Site]:
    with sharing_a_database(small_model_dir, tmp_path, range(1, 8)) as site:
        yield site


@pytest.fixture
def slow_site(shallow_model_dir: ModelDirectory, tmp_path: Path) -> Iterator[Site]:
    """Answers take long enough for a crash to find them begun and stored."""
    with sharing_a_database(shallow_model_dir, tmp_path, range(100, 200)) as site:
        yield site


async def one_client(server: Server, journal: Journal, tokens: range, seed: int, stop: asyncio.Event) -> None:
    rng = random.Random(seed)
    async with httpx2.AsyncClient(timeout=30, headers=server.headers, verify=False) as client:
        while not stop.is_set():
            question = f"Tell me about the number {rng.randrange(1000)}."
            asked = {"model": "default", "messages": [{"role": "user", "content": question}], "stream": True}
            asked["max_tokens"] = rng.choice(tokens)
            try:
                async with client.stream("POST", f"{server.api}/chat/completions", json=asked) as reply:
                    if reply.status_code == 503:
                        journal.refuse()
                        await asyncio.sleep(0.05)  # A client that is told to come back does not do so at once.
                        continue
                    assert reply.status_code == 200, await reply.aread()
                    journal.accept()
                    error = await journal.follow(reply.aiter_lines())
                    assert error is None or error["code"] == "storage_unavailable", error
            except httpx2.TransportError:
                if server.process.poll() is None:
                    raise
                return


class Load:
    """Clients that ask all servers again and again."""

    def __init__(self, site: Site, servers: list[Server]) -> None:
        self.journals = [Journal(site.directories[number] / "journal") for number in range(len(servers))]
        self._servers = servers
        self._tokens = site.tokens
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Load:
        self._clients = [
            asyncio.create_task(one_client(server, journal, self._tokens, number * 100 + client, self._stop))
            for number, (server, journal) in enumerate(zip(self._servers, self.journals, strict=True))
            for client in range(CLIENTS)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._clients)
        for journal in self.journals:
            journal.close()

    async def until_each(self, reached: Callable[[Journal], bool]) -> None:
        await asyncio.gather(*(journal.until(reached, PATIENCE) for journal in self.journals))

    async def until_each_has(self, more: int) -> None:
        """Until each server has answered so many requests more."""
        goals = {journal: len(journal.done) + more for journal in self.journals}
        await self.until_each(lambda journal: len(journal.done) >= goals[journal])


def require_stored(site: Site, load: Load) -> None:
    seen = {id_: text for journal in load.journals for id_, text in journal.texts.items()}
    assert not broken_promises(site.url, [journal.path for journal in load.journals], seen)


def test_one_of_two_servers_is_killed(slow_site: Site) -> None:
    """The other serves on, closes what the dead one left, and nothing that was acknowledged is lost."""
    with ExitStack() as stack:
        first, second = servers = [slow_site.start(number) for number in range(2)]
        for server in servers:
            stack.callback(server.stop)

        async def scenario() -> Load:
            load = Load(slow_site, servers)
            async with load:
                await load.until_each_has(3)
                first.stop(signal.SIGKILL)
                _, alive = load.journals
                goal = len(alive.done) + 10
                await alive.until(lambda journal: len(journal.done) >= goal, PATIENCE)
            return load

        load = asyncio.run(scenario())
        deadline = time.monotonic() + 15
        while slow_site.states().get("pending"):
            assert time.monotonic() < deadline, "nobody aborts what the dead server left"
            time.sleep(0.05)
        require_stored(slow_site, load)
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


def require_known_served(server: Server) -> None:
    """Who was known before the outage and has nothing stored gets an answer; who was not is told to come again."""
    asked = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    url = f"{server.api}/chat/completions"
    assert requests.post(url, json=asked | {"store": False}, headers=server.headers).status_code == 200
    unknown = requests.post(url, json=asked, headers={"Authorization": "Bearer a-key-that-nobody-has-seen"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (503, "auth_unavailable")
    assert "retry-after" in unknown.headers


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_postgresql_is_restarted_under_load(site: Site, how: signal.Signals) -> None:
    with ExitStack() as stack:
        servers = [site.start(number) for number in range(2)]
        for server in servers:
            stack.callback(server.stop)

        async def scenario() -> tuple[Load, float]:
            load = Load(site, servers)
            async with load:
                await load.until_each_has(3)
                site.postgres.stop(how)
                await load.until_each(lambda journal: journal.refused > 0)
                for server in servers:
                    ready = await asyncio.to_thread(requests.get, f"{server.url}/readyz")
                    assert ready.status_code == 503
                    assert "PostgreSQL" in ready.text
                    alive = await asyncio.to_thread(requests.get, f"{server.url}/livez", timeout=1)
                    assert alive.ok
                    await asyncio.to_thread(require_known_served, server)
                site.postgres.start()
                up = time.monotonic()
                await load.until_each(lambda journal: journal.accepted_at >= up)
                healed = time.monotonic() - up
                await load.until_each_has(3)
            return load, healed

        load, healed = asyncio.run(scenario())
        assert healed < HEAL_SECONDS
        require_stored(site, load)
        for server in servers:
            assert requests.get(f"{server.url}/readyz").ok
            assert server.stop() == 0
        assert "pending" not in site.states()


def test_a_server_with_another_secret_is_refused(site: Site) -> None:
    server = site.start(0)
    try:
        env = {"ADAPTIVE_DB__URL": site.url, "ADAPTIVE_APP__SECRET": "another-secret-of-thirty-two-chars!"}
        with pytest.raises(AssertionError, match="were made with another secret"):
            start(site.directories[1], env=env, quick=True)
    finally:
        server.stop()


@pytest.mark.parametrize("url", ["postgresql://ann:very-secret@127.0.0.1:1/db", "mysql://ann:very-secret@h/db"])
def test_a_database_that_cannot_be_used_ends_the_start(small_data_dir: Path, url: str) -> None:
    with pytest.raises(AssertionError, match="ADAPTIVE_DB__URL") as caught:
        start(small_data_dir, env={"ADAPTIVE_DB__URL": url}, quick=True)
    assert "very-secret" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
