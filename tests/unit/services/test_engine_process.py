"""A server and its engine process: what becomes of the one when the other ends."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adaptive_engine.errors import (
    ContextLengthExceeded,
    EngineFailed,
    ModelLoading,
    ModelOffline,
)
from adaptive_engine.services.backends import Asked
from adaptive_engine.services.engine_process import client as client_module
from adaptive_engine.services.engine_process import frames, messages
from adaptive_engine.services.engine_process.__main__ import OPTIONS, Options
from adaptive_engine.services.engine_process.client import EngineClient
from adaptive_engine.services.engine_process.start import start_engine_process
from adaptive_engine.services.images import DecodedImages
from adaptive_engine.services.local_models import ModelStatus
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import (
    ComputeConfig,
    Deployment,
    Model,
    ModelMemory,
    Project,
    Usage,
    uuid7,
)
from adaptive_engine.wire.chat import ChatRequest
from integration.processes import engine_of
from unit.services.conftest import MakeModel

SECONDS = 60
MODEL = Model(uuid7(), "tiny", "Tiny", "internal", ("TextGeneration",), 256, 0, ComputeConfig(512, None))


def asked(model: Model = MODEL, **fields: Any) -> Asked:
    project = Project(uuid7(), "shop", "Shop", "", 0)
    body = {"model": "shop", "messages": [{"role": "user", "content": "hello"}], **fields}
    request = ChatRequest.model_validate(body)
    deployment = Deployment(uuid7(), project, model, True, True, 0)
    return Asked(deployment, request, DecodedImages(), "Be kind.", (), uuid7(), time.perf_counter())


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.002)


class Script:
    """An engine process that says what a test wants."""

    def __init__(self, client: EngineClient) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(SECONDS)
        self._reader = frames.FrameReader()
        self._frames: list[frames.Frame] = []
        client.attach(theirs)

    def hear(self) -> dict[str, Any]:
        while not self._frames:
            self._frames += self._reader.feed(self._socket.recv(65536))
        content: dict[str, Any] = self._frames.pop(0).content
        return content

    def say(self, content: dict[str, Any]) -> None:
        for piece in frames.message(content):
            self._socket.sendall(piece)

    def tell(self, seen: int, *models: tuple[Model, ModelStatus], loading: str | None = None) -> None:
        news = [messages.NEWS.dump_python(messages.ModelNews(*each, stats=None), mode="json") for each in models]
        self.say({"type": "models", "seen": seen, "loading": loading, "models": news})

    def end(self) -> None:
        self._socket.close()


ONLINE = ModelStatus("ONLINE", None, ModelMemory(1, 2, 0), ComputeConfig(512, 128), ComputeConfig(512, None))
PENDING = ModelStatus("PENDING", "It is being loaded.")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EngineClient]:
    client = EngineClient(tmp_path, EngineSettings())
    yield client
    client.close()


def test_models_are_loaded_again_when_the_process_is_started_again(client: EngineClient) -> None:
    settled = client.load(MODEL)
    assert client.status("tiny").reason == "The engine process is being started."
    process = Script(client)
    load = process.hear()
    assert (load["type"], load["model"]["key"]) == ("load", "tiny")
    states: list[str] = []
    settled.add_done_callback(lambda _: states.append(client.status("tiny").state))
    # Sent before it had read that the model is wanted.
    process.tell(load["id"] - 1)
    process.tell(load["id"] - 1, (MODEL, ModelStatus("ERROR", "The last try failed.")))
    process.tell(load["id"], (MODEL, ONLINE))
    settled.result(SECONDS)
    until(lambda: states == ["ONLINE"])
    assert client.status("tiny") == ONLINE
    assert client.context_length(MODEL) == 128
    process.end()
    until(lambda: client.status("tiny").state == "PENDING")
    client.ended("The engine process was ended by SIGKILL. It is being restarted.")
    assert client.problems({"tiny"}) == {"tiny": "The engine process was ended by SIGKILL. It is being restarted."}
    with pytest.raises(ModelLoading):
        client.running("tiny")
    again = Script(client)
    assert again.hear()["model"]["key"] == "tiny"
    assert client.status("tiny").reason == "It is being loaded."
    again.end()


def test_a_model_whose_load_ends_the_process_does_not_do_so_for_ever(client: EngineClient) -> None:
    other = dataclasses.replace(MODEL, id=uuid7(), key="other")
    settled = client.load(MODEL)
    client.load(other)
    for _ in range(2):
        process = Script(client)
        loads = [process.hear() for _ in range(2)]
        process.tell(loads[1]["id"], (MODEL, PENDING), (other, PENDING), loading="tiny")
        until(lambda: client._loading == "tiny")
        process.end()
        until(lambda: client._connection is None)
    assert settled.done()
    assert client.status("tiny").state == "ERROR"
    assert "Deploy it again" in (client.status("tiny").reason or "")
    process = Script(client)
    load = process.hear()
    assert load["model"]["key"] == "other"
    process.tell(load["id"], (other, ONLINE))
    until(lambda: client.online("other"))
    assert client.status("tiny").state == "ERROR"
    client.load(MODEL)
    assert process.hear()["model"]["key"] == "tiny"
    process.end()


def test_what_another_server_of_the_process_has_loaded_or_unloaded_is_seen(client: EngineClient) -> None:
    process = Script(client)
    process.tell(0, (MODEL, ONLINE))
    until(lambda: client.online("tiny"))
    process.tell(0)
    until(lambda: client.status("tiny").state == "OFFLINE")
    process.end()


def test_another_connection_is_asked_for_when_one_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_RECONNECT_SECONDS", 0.001)
    asked_for = threading.Event()
    client = EngineClient(tmp_path, EngineSettings(), on_lost=asked_for.set)
    Script(client).end()
    assert asked_for.wait(SECONDS)
    client.close()


async def test_requests_end_with_the_process(client: EngineClient) -> None:
    process = Script(client)
    process.tell(0, (MODEL, ONLINE))
    await asyncio.to_thread(until, lambda: client.online("tiny"))
    engine = client.running("tiny")
    preparing = asyncio.create_task(engine.prepare(asked()))
    sent = await asyncio.to_thread(process.hear)
    begun = messages.Begun("fp", 3, (), (), None)
    process.say({"type": "answer", "id": sent["id"], "result": messages.BEGUN.dump_python(begun, mode="json")})
    (stream,) = (await preparing).start()
    waiting = asyncio.create_task(engine.prepare(asked()))
    await asyncio.to_thread(process.hear)
    process.end()
    for work in (waiting, anext(stream)):
        with pytest.raises(EngineFailed) as caught:
            await work
        assert caught.value.code == "engine_restarted"
    with pytest.raises(EngineFailed):
        await engine.prepare(asked())


async def test_who_leaves_before_the_answer_takes_the_request_back(client: EngineClient) -> None:
    process = Script(client)
    process.tell(0, (MODEL, ONLINE))
    await asyncio.to_thread(until, lambda: client.online("tiny"))
    preparing = asyncio.create_task(client.running("tiny").prepare(asked(n=2)))
    sent = await asyncio.to_thread(process.hear)
    preparing.cancel()
    cancelled = await asyncio.to_thread(process.hear)
    assert cancelled == {"type": "cancel", "id": sent["id"], "streams": sent["streams"]}
    assert len(sent["streams"]) == 2
    process.end()


def environment(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_a_real_process_answers_and_says_what_is_wrong(
    models_dir: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADAPTIVE_APP__SECRET", "a-secret-of-the-server" * 2)
    tiny = make_model("tiny")
    client = start_engine_process(models_dir, EngineSettings(kv_cache_len=512), "json", "info")
    try:
        await asyncio.to_thread(client.load(tiny).result, SECONDS)
        assert b"a-secret" not in environment(engine_of(os.getpid()))
        engine = client.get(asked(tiny).deployment)
        job = await engine.prepare(asked(tiny, max_tokens=4, ignore_eos=True, temperature=0, n=2))
        assert job.prompt_tokens > 0
        assert [parameters["max_tokens"] for parameters in job.parameters] == [4, 4]
        assert job.fingerprint.startswith("fp_")
        texts = []
        for stream in job.start():
            deltas = [delta async for delta in stream]
            assert deltas[-1].usage == Usage(job.prompt_tokens, 4, deltas[-1].usage.cached_tokens)
            texts.append("".join(delta.text for delta in deltas))
        assert texts[0] == texts[1]
        with pytest.raises(ContextLengthExceeded):
            await engine.prepare(asked(tiny, messages=[{"role": "user", "content": "word " * 1000}]))
        report = await engine.inspect({"type": "object", "properties": {"a": {"type": "integer"}}})
        assert report.verdict == "enforced"
        await asyncio.to_thread(client.unload, "tiny")
        assert client.status("tiny").state == "OFFLINE"
        with pytest.raises(ModelOffline):
            await engine.prepare(asked(tiny))
    finally:
        await asyncio.to_thread(client.close)


def test_a_process_whose_server_has_ended_ends_without_a_word(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    options = Options(tmp_path, EngineSettings(), "json", "info", beat_seconds=1, parent=os.getpid())
    command = [sys.executable, "-m", "adaptive_engine.services.engine_process", str(theirs.fileno())]
    with theirs:
        process = subprocess.Popen(
            [*command, OPTIONS.dump_json(options).decode()], pass_fds=[theirs.fileno()], stderr=subprocess.PIPE
        )
    # Unread, as one that is killed leaves it.
    assert select.select([ours], [], [], SECONDS)[0]
    ours.close()
    said = process.communicate(timeout=SECONDS)[1]
    assert (process.returncode, said) == (0, b"")


def test_what_only_engines_need_is_in_no_server() -> None:
    names = {"openvino", "numpy", "tokenizers", "llguidance", "jsonschema_rs"}
    code = f"import sys, {client_module.__name__}, adaptive_engine.server.lifespan; print(sys.modules.keys() & {names})"
    found = subprocess.run([sys.executable, "-c", code], timeout=SECONDS, check=True, capture_output=True, text=True)
    assert found.stdout == "set()\n"
