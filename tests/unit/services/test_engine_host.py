"""What the engine process does for servers, with the process's part and theirs in one process."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adaptive_engine.engine import TokenStream
from adaptive_engine.errors import ModelOffline
from adaptive_engine.services.engine_jobs import EngineJobs
from adaptive_engine.services.engine_process import frames, host, messages
from adaptive_engine.services.engine_process.client import EngineClient
from adaptive_engine.services.engine_process.host import Host
from adaptive_engine.services.engine_process.sent import SentStream
from adaptive_engine.services.engines import Engines
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import Delta, Model
from unit.services.conftest import MakeModel
from unit.services.test_engine_process import SECONDS, asked, until

SETTINGS = EngineSettings(kv_cache_len=2048)


@pytest.fixture
async def process(models_dir: Path) -> AsyncIterator[Host]:
    process = Host(lambda on_change: Engines(models_dir, SETTINGS, on_change))
    yield process
    await asyncio.to_thread(process.engines.close)
    process.schemas.close()


async def connected(process: Host) -> socket.socket:
    """A server's end of a connection."""
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(process.accept, theirs)
    return ours


@pytest.fixture
async def client(process: Host, models_dir: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient(models_dir, SETTINGS)
    client.attach(await connected(process))
    yield client
    await asyncio.to_thread(client.close)


async def load(client: EngineClient, model: Model) -> None:
    await asyncio.wait_for(asyncio.wrap_future(client.load(model)), SECONDS)
    assert client.online(model.key), client.status(model.key)


async def begin(client: EngineClient, model: Model, **fields: Any) -> TokenStream:
    """An answer of which the first text was read."""
    job = await client.get(asked(model).deployment).prepare(asked(model, ignore_eos=True, temperature=0, **fields))
    (stream,) = job.start()
    await anext(stream)
    return stream


async def test_answers_end_when_their_model_is_unloaded(
    process: Host, client: EngineClient, make_model: MakeModel
) -> None:
    tiny = make_model("tiny")
    await load(client, tiny)
    stream = await begin(client, tiny)
    await asyncio.to_thread(client.unload, "tiny")
    assert client.status("tiny").state == "OFFLINE"
    with pytest.raises(ModelOffline, match="was taken offline during this request"):
        async for _ in stream:
            pass
    assert process.engines.loaded("tiny") is None


async def test_one_that_is_loaded_right_after_it_was_unloaded_stays(
    process: Host, client: EngineClient, make_model: MakeModel
) -> None:
    tiny = make_model("tiny")
    client.read_ahead("tiny")
    # It is not known to be loaded yet, so nobody waits for this.
    client.unload("tiny")
    await load(client, tiny)
    assert process.engines.loaded("tiny") is not None


async def test_an_answer_that_nobody_wants_ends_in_the_process(
    process: Host, client: EngineClient, make_model: MakeModel
) -> None:
    tiny = make_model("tiny")
    await load(client, tiny)
    stream = await begin(client, tiny)
    engine = process.engines.running("tiny")
    stream.cancel()
    await asyncio.to_thread(until, lambda: engine.stats.cancelled == 1)
    assert (engine.stats.running, stream.phase, stream.completion_tokens > 0) == (0, "done", True)


async def test_a_request_that_nobody_waits_for_is_not_prepared_to_the_end(
    client: EngineClient, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparing, given_up = asyncio.Event(), asyncio.Event()

    async def prepare(*_: object) -> None:
        preparing.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    tiny = make_model("tiny")
    await load(client, tiny)
    monkeypatch.setattr(EngineJobs, "job", prepare)
    request = asyncio.create_task(client.get(asked(tiny).deployment).prepare(asked(tiny)))
    await asyncio.wait_for(preparing.wait(), SECONDS)
    request.cancel()
    await asyncio.wait_for(given_up.wait(), SECONDS)


async def test_a_server_that_is_gone_leaves_nothing_running(
    process: Host, client: EngineClient, make_model: MakeModel
) -> None:
    tiny = make_model("tiny")
    await load(client, tiny)
    await begin(client, tiny)
    engine = process.engines.running("tiny")
    await asyncio.to_thread(client.close)
    await asyncio.to_thread(until, lambda: engine.stats.running == 0)
    assert engine.stats.cancelled == 1


async def test_a_server_that_does_not_read_is_given_up_and_others_are_not(
    process: Host, client: EngineClient, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_MOST_UNREAD_BYTES", 2**16)
    tiny = make_model("tiny")
    with await connected(process) as frozen:
        await load(client, tiny)
        for _ in itertools.takewhile(lambda _: len(process._servers) == 2, range(100_000)):
            process.tell()
            await asyncio.sleep(0)
        assert len(process._servers) == 1
        while frozen.recv(2**20):
            pass
    assert (await begin(client, tiny)).phase == "decode"


async def test_what_does_not_speak_the_protocol_is_hung_up_on(process: Host) -> None:
    loop = asyncio.get_running_loop()
    for said in (b"GET / HTTP/1.1\r\n", b"".join(frames.message({"type": "nothing"}))):
        with await connected(process) as other:
            other.setblocking(False)
            await loop.sock_sendall(other, said)
            assert await asyncio.wait_for(loop.sock_recv(other, 1), SECONDS) == b""


async def test_an_engine_that_hangs_is_told(process: Host, make_model: MakeModel) -> None:
    await asyncio.wrap_future(process.engines.load(make_model("tiny")))
    assert process.hung() is None
    process.engines.running("tiny")._loop.step_started = float("-inf")
    assert (process.hung() or "").startswith("model 'tiny': ")


async def test_the_phase_of_an_answer_is_told() -> None:
    class Reader:
        def put(self, entry: list[Any]) -> None:
            messages.read_entry(entry, read)

        def forget(self, number: int) -> None:
            forgotten.append(number)

    forgotten: list[int] = []
    read = TokenStream(lambda _: None)
    sent = SentStream(lambda _: None, 7, Reader())
    sent.cached_tokens = 32
    sent.phase = "prefill"
    await asyncio.sleep(0)
    assert (read.phase, read.cached_tokens, forgotten) == ("prefill", 32, [])
    sent.completion_tokens = 1
    sent.deliver(Delta("a"))
    assert (read.phase, read.completion_tokens) == ("decode", 1)
    sent.fail(ModelOffline("Gone."))
    assert (read.phase, forgotten) == ("done", [7])
