"""Does anything leak? Mixed requests for some minutes against a server, then against an engine in this process.

    make soak [MINUTES=20]     or     python benchmarks/soak.py [--minutes 20]

Requests of six kinds come at the same time: streams, JSON within a schema, streams whose reader leaves, chats whose
history grows, long prompts, and requests that are wrong. What a server holds is noted every few seconds. Then the same
streams, chats, cancellations and long prompts go to an engine in this process, which tells what it still holds.

Exits with 1, and prints the evidence, when

- an answer was not what its kind of request has to get,
- memory kept growing in the second half of the time, by more than 1 MiB a minute and 16 MiB in all,
- the server, idle again, holds over 8 files or threads more than it held when idle before,
- or the idle engine says that requests run or wait, or that blocks of its cache are in use.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import machine
from common import KEY, end_in_order, processor, running_server
from scenarios import words

from adaptive_engine.engine import Engine, EngineOptions, EngineStats, GenerationRequest, Prompt, SamplingParams
from adaptive_engine.registry import ModelDirectory, ensure_default_model
from adaptive_engine.types import ChatMessage

WORKERS = 6
SAMPLE_SECONDS = 5.0
# Small, so that it is full soon: a cache that fills looks like a leak.
KV_CACHE_LEN = 8192
LONG_PROMPT = (500, 2500)
# Tokens at which a chat begins anew.
HISTORY = 1500
GROWTH_MIB, GROWTH_MIB_PER_MINUTE = 16.0, 1.0
# Pools of threads and connections grow to their bounds; a leak grows with the requests.
SPARE = 8
ENGINE_SHARE = 0.2
"""Of the time, for the engine in process."""
PROFILE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}, "maxItems": 4},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Sample:
    minute: float
    memory_mib: float
    files: int
    threads: int
    server_mib: float = 0.0
    """Of `memory_mib`, what is not the engine process's."""


@dataclass
class Tally:
    done: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Client:
    """One user with a chat. Each method is a kind of request, and raises AssertionError on a wrong answer."""

    def __init__(self, url: str, http: httpx2.AsyncClient, rng: random.Random) -> None:
        self._url = f"{url}/api/v1/chat/completions"
        self._http = http
        self._rng = rng
        self._begin_chat()

    def _begin_chat(self) -> None:
        self._session = str(uuid.UUID(int=self._rng.getrandbits(128)))
        self._history: list[dict[str, str]] = []

    def _body(self, text: str, **fields: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": text}]
        return {"model": "default", "messages": messages, "max_tokens": self._rng.randint(1, 96), **fields}

    async def _post(self, body: Any, status: int = 200, key: str = KEY) -> Any:
        reply = await self._http.post(self._url, json=body, headers={"Authorization": f"Bearer {key}"})
        assert reply.status_code == status, f"HTTP {reply.status_code} instead of {status}: {reply.text[:300]}"
        return reply.json()

    async def _stream(self, body: dict[str, Any], pieces: int | None = None) -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        end = b""
        async with self._http.stream("POST", self._url, json={**body, "stream": True}, headers=headers) as reply:
            assert reply.status_code == 200, f"HTTP {reply.status_code}"
            async for piece in reply.aiter_bytes():
                end = (end + piece)[-64:]
                if pieces is not None:
                    pieces -= 1
                    if pieces <= 0:
                        return
        assert end.endswith(b"data: [DONE]\n\n"), f"a stream ended with {end!r}"

    async def stream(self) -> None:
        await self._stream(self._body(words(self._rng, 20), temperature=self._rng.choice([0, 0.7, 1.5])))

    async def leave(self) -> None:
        body = self._body(words(self._rng, self._rng.choice([20, 1000])), max_tokens=200, ignore_eos=True)
        await self._stream(body, pieces=self._rng.randint(1, 20))

    async def structured(self) -> None:
        wanted = {"name": "profile", "schema": PROFILE, "complete": True}
        body = self._body("Invent a person.", response_format={"type": "json_schema", "json_schema": wanted})
        answer = await self._post({**body, "max_tokens": 80})
        person = json.loads(answer["choices"][0]["message"]["content"])
        assert list(person) == PROFILE["required"], f"not of the schema: {person}"

    async def chat(self) -> None:
        self._history.append({"role": "user", "content": words(self._rng, 60)})
        body = self._body("", messages=self._history, session_id=self._session)
        answer = await self._post(body)
        self._history.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})
        if answer["usage"]["total_tokens"] > HISTORY:
            self._begin_chat()

    async def long_prompt(self) -> None:
        await self._post(self._body(words(self._rng, self._rng.randint(*LONG_PROMPT)), max_tokens=4))

    async def fill(self) -> None:
        await self._post(self._body(words(self._rng, KV_CACHE_LEN // WORKERS), max_tokens=4))

    async def wrong(self) -> None:
        body = self._body("Hello.")
        schema = {"name": "none", "schema": {"type": "string", "minLength": 2, "maxLength": 1}}
        wrong: list[tuple[Any, int, str]] = [
            ({**body, "temperature": "hot"}, 400, KEY),
            ({**body, "max_tokens": 0}, 400, KEY),
            ([], 400, KEY),
            ({**body, "model": "default/none"}, 404, KEY),
            (self._body(words(self._rng, 9000)), 400, KEY),
            ({**body, "response_format": {"type": "json_schema", "json_schema": schema}}, 400, KEY),
            (body, 401, "nobody's key"),
        ]
        await self._post(*self._rng.choice(wrong))


async def soak_server(url: str, pid: int, seconds: float, seed: int) -> tuple[list[Sample], Sample, Tally]:
    """Samples of the server, the first before it worked; one of it when idle again; and what it answered."""
    tally = Tally()
    async with httpx2.AsyncClient(timeout=600) as http:
        clients = [Client(url, http, random.Random(f"{seed} {number}")) for number in range(WORKERS)]
        await asyncio.gather(*(warm_up(client, tally) for client in clients))
    start = time.perf_counter()
    samples = [await idle_sample(pid, start)]

    async with httpx2.AsyncClient(timeout=600) as http:
        clients = [Client(url, http, random.Random(f"{seed} {number} again")) for number in range(WORKERS)]

        async def work(client: Client, rng: random.Random) -> None:
            while time.perf_counter() - start < seconds and len(tally.problems) < 20:
                await attempt(rng.choice(kinds(client)), tally)

        working = asyncio.gather(*(work(c, random.Random(f"{seed} {n} kinds")) for n, c in enumerate(clients)))
        while not working.done():
            await asyncio.wait([working], timeout=SAMPLE_SECONDS)
            samples.append(sample(pid, start))
        await working
        ready = await http.get(f"{url}/readyz")
        if ready.status_code != 200:
            tally.problems.append(f"/readyz answered {ready.status_code}: {ready.text[:300]}")
    return samples, await idle_sample(pid, start), tally


async def warm_up(client: Client, tally: Tally) -> None:
    """Everything once, and the share of a worker of the cache: what is made on first use is no leak."""
    for kind in (*kinds(client), client.fill):
        await attempt(kind, tally)


def kinds(client: Client) -> list[Callable[[], Awaitable[None]]]:
    return [client.stream, client.leave, client.structured, client.chat, client.long_prompt, client.wrong]


async def attempt(kind: Callable[[], Awaitable[None]], tally: Tally) -> None:
    name = getattr(kind, "__name__", str(kind))
    try:
        await kind()
    except (AssertionError, ValueError, httpx2.HTTPError) as exc:
        tally.problems.append(f"{name}: {type(exc).__name__} {exc}")
    tally.done[name] += 1


def sample(pid: int, start: float) -> Sample:
    """Of the server and the process that runs its models; children that check schemas come and go."""
    pids = [pid, *(each for each in machine.tree(pid) if _runs_models(each))]
    minute = (time.perf_counter() - start) / 60
    files, threads = (
        sum(1 for each in pids for _ in Path(f"/proc/{each}/{name}").iterdir()) for name in ("fd", "task")
    )
    return Sample(minute, machine.memory_mib(pids), files, threads, machine.memory_mib([pid]))


def _runs_models(pid: int) -> bool:
    try:
        return b"adaptive_engine.services.engine_process" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def idle_sample(pid: int, start: float) -> Sample:
    """When the server had time to close what nobody uses: the least of some moments."""
    found = []
    for _ in range(10):
        await asyncio.sleep(0.5)
        found.append(sample(pid, start))
    return min(found, key=lambda one: (one.files, one.threads))


def growth(samples: Sequence[Sample]) -> tuple[float, float]:
    """Memory over the second half of the time, by the line that fits best: MiB a minute, and MiB in all."""
    later = [one for one in samples if one.minute >= samples[-1].minute / 2]
    if len(later) < 2:
        return 0.0, 0.0
    minutes, memory = [one.minute for one in later], [one.memory_mib for one in later]
    mean_minute, mean_memory = sum(minutes) / len(later), sum(memory) / len(later)
    below = sum((minute - mean_minute) ** 2 for minute in minutes)
    above = sum((m - mean_minute) * (mib - mean_memory) for m, mib in zip(minutes, memory, strict=True))
    slope = above / below if below else 0.0
    return slope, slope * (minutes[-1] - minutes[0])


def server_leaks(samples: Sequence[Sample], after: Sample) -> list[str]:
    """`samples` begins with one of an idle server, `after` is another."""
    leaks = []
    slope, total = growth(samples)
    if slope > GROWTH_MIB_PER_MINUTE and total > GROWTH_MIB:
        leaks.append(f"memory grew by {slope:.1f} MiB a minute in the second half, {total:.0f} MiB in all")
    for name in ("files", "threads"):
        before, now = getattr(samples[0], name), getattr(after, name)
        if now > before + SPARE:
            leaks.append(f"{now} {name} when idle at the end, {before} when idle before")
    return leaks


async def soak_engine(model: ModelDirectory, seconds: float, seed: int) -> tuple[EngineStats, bool]:
    """What an engine counts when it is idle again, and whether it is healthy."""
    engine = await asyncio.to_thread(Engine.load, model.path, EngineOptions(kv_cache_len=KV_CACHE_LEN))
    end = time.perf_counter() + seconds

    async def work(rng: random.Random) -> None:
        history: list[ChatMessage] = []
        while time.perf_counter() < end:
            length = rng.choice([20, 60, rng.randint(*LONG_PROMPT)])
            history = [*history, ChatMessage("user", words(rng, length))] if length == 60 else history[:0]
            prompt = engine.render(history or [ChatMessage("user", words(rng, length))])
            params = SamplingParams(temperature=rng.choice([0, 1.5]), max_tokens=rng.randint(1, 96), ignore_eos=True)
            stream = engine.submit(GenerationRequest(Prompt(prompt.tokens[-HISTORY:]), params))
            leave_after = rng.choice([None, 0, 5])
            pieces = [""]
            async for delta in stream:
                pieces.append(delta.text)
                if leave_after is not None and len(pieces) > leave_after:
                    stream.cancel()
                    break
            history.append(ChatMessage("assistant", "".join(pieces)))

    try:
        await asyncio.gather(*(work(random.Random(f"{seed} {number}")) for number in range(WORKERS)))
        # One more, so that the last cancellations have been seen when it has ended.
        hello = GenerationRequest(engine.render([ChatMessage("user", "Hello.")]), SamplingParams(max_tokens=4))
        async for _ in engine.submit(hello):
            pass
        for _ in range(100):
            await asyncio.sleep(0.05)
            if not engine_leaks(engine.stats, healthy=True):
                break
        return engine.stats, engine.health().alive
    finally:
        engine.close()


def engine_leaks(stats: EngineStats, *, healthy: bool) -> list[str]:
    """Of an engine without requests."""
    leaks = [] if healthy else ["the engine is not healthy"]
    if stats.failed:
        leaks.append(f"{stats.failed} requests failed in the engine")
    for name in ("running", "waiting", "kv_blocks_used"):
        if count := getattr(stats, name):
            leaks.append(f"the idle engine counts {name} = {count}")
    return leaks


def print_samples(samples: Sequence[Sample], after: Sample) -> None:
    print(f"\n{'minute':>8}{'MiB':>8}{'server':>8}{'files':>7}{'threads':>9}")
    shown = [samples[0], *samples[1 :: max(len(samples) // 20, 1)], after]
    for one in shown:
        print(f"{one.minute:8.1f}{one.memory_mib:8.0f}{one.server_mib:8.0f}{one.files:7}{one.threads:9}")
    slope, total = growth(samples)
    print(f"memory in the second half: {slope:+.2f} MiB a minute, {total:+.1f} MiB in all")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=20)
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    end_in_order()
    seconds = 60 * options.minutes
    with tempfile.TemporaryDirectory() as folder:
        model = ensure_default_model(Path(folder) / "models")
        with running_server(Path(folder), {"ADAPTIVE_ENGINE__KV_CACHE_LEN": str(KV_CACHE_LEN)}) as server:
            work = soak_server(server.url, server.pid, (1 - ENGINE_SHARE) * seconds, options.seed)
            samples, after, tally = asyncio.run(work)
        print(f"{processor()}, {options.minutes:g} minutes, {tally.done.total()} requests: {dict(tally.done)}")
        print_samples(samples, after)
        stats, healthy = asyncio.run(soak_engine(model, ENGINE_SHARE * seconds, options.seed))
    print(f"\nengine in process: {stats}")
    leaks = [*tally.problems, *server_leaks(samples, after), *engine_leaks(stats, healthy=healthy)]
    print("\n" + "\n".join([f"LEAK OR FAULT: {leak}" for leak in leaks] or ["nothing leaked"]))
    sys.exit(1 if leaks else 0)


if __name__ == "__main__":
    main()
