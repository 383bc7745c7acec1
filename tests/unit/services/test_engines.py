"""Loading and unloading, with real engines of a model of one layer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adaptive_engine.engine import Engine, GenerationRequest, Prompt, SamplingParams, TokenStream
from adaptive_engine.errors import Conflict, EngineFailed, ModelLoading, ModelOffline
from adaptive_engine.services import memory
from adaptive_engine.services.engines import Engines
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import ComputeConfig, Deployment, Model, Project, uuid7
from unit.services.conftest import MakeModel, damage

MakeEngines = Callable[..., Engines]
SECONDS = 30


@pytest.fixture
def make_engines(models_dir: Path) -> Iterator[MakeEngines]:
    made: list[Engines] = []

    def make(**settings: int | bool) -> Engines:
        made.append(Engines(models_dir, EngineSettings(**{"kv_cache_len": 512, **settings})))
        return made[-1]

    yield make
    for engines in made:
        engines.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Loading waits in the middle until this is set."""
    may_go_on, load = threading.Event(), Engine.load

    def wait_and_load(*arguments: Any, **options: Any) -> Engine:
        assert may_go_on.wait(SECONDS)
        return load(*arguments, **options)

    monkeypatch.setattr(Engine, "load", wait_and_load)
    yield may_go_on
    may_go_on.set()


def deployment(model: Model, *, online: bool = True) -> Deployment:
    return Deployment(uuid7(), Project(uuid7(), "shop", "Shop", "", 0), model, True, online, 0)


def endless(engine: Engine) -> TokenStream:
    params = SamplingParams(temperature=0, ignore_eos=True)
    return engine.submit(GenerationRequest(Prompt(tuple(engine.tokenizer.encode("hello"))), params))


def test_a_model_from_offline_to_online_and_back(make_engines: MakeEngines, make_model: MakeModel) -> None:
    engines, tiny = make_engines(), make_model("tiny")
    assert engines.status("tiny").state == "OFFLINE"
    with pytest.raises(ModelOffline, match="deployed without telling this server"):
        engines.get(deployment(tiny))
    engines.load(tiny).result(SECONDS)
    assert engines.get(deployment(tiny)).max_seq_len == 256
    with pytest.raises(ModelOffline, match="adaptive models deploy tiny --project shop"):
        engines.get(deployment(tiny, online=False))
    status = engines.status("tiny")
    assert (status.state, status.reason, status.active) == ("ONLINE", None, ComputeConfig(512, 256))
    assert engines.unload("tiny") is not None
    assert engines.unload("tiny") is None
    assert engines.status("tiny").state == "OFFLINE"


def test_while_it_is_loaded_requests_are_told_to_come_back(
    make_engines: MakeEngines, make_model: MakeModel, held: threading.Event
) -> None:
    engines, tiny = make_engines(), make_model("tiny")
    settled = engines.load(tiny)
    assert engines.load(tiny) is settled
    assert engines.status("tiny").state == "PENDING"
    with pytest.raises(ModelLoading) as caught:
        engines.get(deployment(tiny))
    assert caught.value.headers == {"Retry-After": "3"}
    assert engines.problems({"tiny", "other"}).keys() == {"tiny", "other"}
    held.set()
    settled.result(SECONDS)
    assert engines.problems({"tiny"}) == {}


def test_terminated_while_it_is_loaded_and_deployed_again(
    make_engines: MakeEngines, make_model: MakeModel, held: threading.Event
) -> None:
    engines, tiny = make_engines(), make_model("tiny")
    given_up = engines.load(tiny)
    assert engines.unload("tiny") is None
    assert given_up.done()
    assert engines.status("tiny").state == "OFFLINE"
    again = engines.load(tiny)
    held.set()
    again.result(SECONDS)
    assert engines.status("tiny").state == "ONLINE"
    # The first load was closed at its end, and is not what answers.
    assert [t.name for t in threading.enumerate()].count("engine-tiny") == 1


async def test_what_runs_when_a_model_is_unloaded_ends_with_an_error(
    make_engines: MakeEngines, make_model: MakeModel
) -> None:
    engines = make_engines()
    for key in ("one", "two"):
        engines.load(make_model(key))
    engines.wait()
    one, two = (engines.get(deployment(make_model(key))) for key in ("one", "two"))
    streams = [endless(one) for _ in range(3)]
    await anext(streams[0])
    other = endless(two)
    await asyncio.to_thread(engines.unload, "one")
    for stream in streams:
        with pytest.raises(ModelOffline, match="'one' was taken offline during this request"):
            async for _ in stream:
                pass
    with pytest.raises(ModelOffline):
        endless(one)
    async for delta in other:
        if delta.finish_reason:
            assert delta.finish_reason == "length"


def test_a_damaged_model_says_why_and_harms_no_other(
    make_engines: MakeEngines, make_model: MakeModel, models_dir: Path
) -> None:
    engines, good, bad = make_engines(), make_model("good"), make_model("bad")
    damage(models_dir, "bad")
    engines.load(bad)
    engines.load(good)
    engines.wait()
    assert engines.status("good").state == "ONLINE"
    status = engines.status("bad")
    assert status.state == "ERROR"
    assert "openvino_model.bin' is not the file that was imported" in (status.reason or "")
    assert engines.problems({"good", "bad"}) == {"bad": status.reason}
    with pytest.raises(ModelOffline, match="is not the file that was imported") as caught:
        engines.get(deployment(bad))
    assert caught.value.headers["x-should-retry"] == "false"


def test_a_model_that_failed_is_tried_again(make_engines: MakeEngines, make_model: MakeModel, models_dir: Path) -> None:
    engines, tiny = make_engines(), make_model("tiny")
    template = models_dir / "tiny" / "chat_template.jinja"
    content = template.read_bytes()
    template.write_bytes(b"{{ nothing.at.all }}" + b" " * (len(content) - 20))
    engines.load(tiny).result(SECONDS)
    assert "undefined" in (engines.status("tiny").reason or "")
    template.write_bytes(content)
    engines.load(tiny).result(SECONDS)
    assert engines.status("tiny").state == "ONLINE"


class Panic(BaseException):
    """As of a library in Rust."""


def test_a_load_that_panics_keeps_nobody_waiting(
    make_engines: MakeEngines, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*_: Any, **__: Any) -> None:
        raise Panic("index out of bounds")

    engines, tiny = make_engines(), make_model("tiny")
    with monkeypatch.context() as broken:
        broken.setattr(Engine, "load", panic)
        engines.load(tiny).result(SECONDS)
    status = engines.status("tiny")
    assert status.state == "ERROR"
    assert "Panic: index out of bounds" in (status.reason or "")
    engines.load(tiny).result(SECONDS)
    assert engines.status("tiny").state == "ONLINE"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_engine_that_has_failed_says_so_and_is_loaded_anew(
    make_engines: MakeEngines, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*_: Any) -> None:
        raise Panic

    engines, tiny = make_engines(), make_model("tiny")
    await asyncio.to_thread(engines.load(tiny).result, SECONDS)
    engine = engines.get(deployment(tiny))
    monkeypatch.setattr(engine._loop._scheduler, "schedule", panic)
    with pytest.raises(EngineFailed):
        await anext(endless(engine))
    engine._loop._thread.join(SECONDS)
    assert engines.status("tiny").state == "ERROR"
    assert not engines.answers(deployment(tiny))
    with pytest.raises(ModelOffline, match="the engine thread has ended"):
        engines.get(deployment(tiny))
    await asyncio.to_thread(engines.load(tiny).result, SECONDS)
    stream = endless(engines.get(deployment(tiny)))
    await anext(stream)
    stream.cancel()


async def test_what_waits_for_a_step_that_hangs_ends_when_the_model_is_unloaded(
    make_engines: MakeEngines, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines, tiny = make_engines(), make_model("tiny")
    await asyncio.to_thread(engines.load(tiny).result, SECONDS)
    engine = engines.get(deployment(tiny))
    hangs, may_go_on = threading.Event(), threading.Event()

    def finish() -> None:
        hangs.set()
        may_go_on.wait(SECONDS)

    monkeypatch.setattr(engine._loop._runner, "finish", finish)
    monkeypatch.setattr("adaptive_engine.engine.loop._CLOSING_SECONDS", 0.1)
    stream = endless(engine)
    assert await asyncio.to_thread(hangs.wait, SECONDS)
    await asyncio.to_thread(engines.unload, "tiny")
    with pytest.raises(ModelOffline, match="taken offline during this request"):
        async with asyncio.timeout(5):
            await anext(stream)
    may_go_on.set()


async def test_an_engine_goes_on_without_the_graph_that_it_could_not_get(
    make_engines: MakeEngines, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_memory(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("adaptive_engine.engine.openvino.runner.OpenVinoRunner.add_least_graph", no_memory)
    engines, tiny = make_engines(), make_model("tiny")
    await asyncio.to_thread(engines.load(tiny).result, SECONDS)
    engine = engines.get(deployment(tiny))
    engine._loop.answered.set()
    await asyncio.to_thread(engine._compiler.shutdown)
    assert "goes on without a graph for its smallest steps" in caplog.text
    stream = endless(engine)
    await anext(stream)
    stream.cancel()


def test_own_settings_of_a_model(make_engines: MakeEngines, make_model: MakeModel) -> None:
    engines = make_engines(max_seq_len=128)
    engines.load(make_model("own", ComputeConfig(kv_cache_len=1024, max_seq_len=64)))
    engines.load(make_model("servers"))
    engines.wait()
    own, servers = engines.status("own"), engines.status("servers")
    assert own.active == ComputeConfig(1024, 64)
    assert servers.active == ComputeConfig(512, 128)
    assert own.memory is not None
    assert servers.memory is not None
    assert own.memory.kv_cache > 1.9 * servers.memory.kv_cache


def test_engines_that_give_the_same_texts_have_the_same_fingerprint(
    make_engines: MakeEngines, make_model: MakeModel
) -> None:
    fast = make_engines()
    models = make_model("one"), make_model("other"), make_model("longer", ComputeConfig(max_seq_len=64))
    for model in models:
        fast.load(model)
    exact = make_engines(deterministic=True)
    exact.load(models[0])
    fast.wait()
    exact.wait()
    one, other, longer = (fast.get(deployment(model)).fingerprint for model in models)
    assert one == other
    assert len({one, longer, exact.get(deployment(models[0])).fingerprint}) == 3


@pytest.mark.parametrize("deterministic", [False, True], ids=["fast", "deterministic"])
def test_the_estimate_of_memory_is_what_the_engine_reserves(
    make_engines: MakeEngines, make_model: MakeModel, models_dir: Path, deterministic: bool
) -> None:
    engines, tiny = make_engines(deterministic=deterministic), make_model("tiny")
    estimate = memory.estimate(models_dir / "tiny", 512, deterministic=deterministic)
    engines.load(tiny).result(SECONDS)
    actual = engines.status("tiny").memory
    assert actual is not None
    assert estimate.weights == actual.weights
    # The engine has a block more than is asked for.
    assert 0.9 * actual.kv_cache < estimate.kv_cache < actual.kv_cache


async def test_memory_in_use(make_engines: MakeEngines, make_model: MakeModel) -> None:
    engines, tiny = make_engines(), make_model("tiny")
    await asyncio.to_thread(engines.load(tiny).result, SECONDS)
    stream = endless(engines.get(deployment(tiny)))
    await anext(stream)
    await anext(stream)
    busy = engines.status("tiny").memory
    assert busy is not None
    assert 0 < busy.kv_cache_used < busy.kv_cache
    stream.cancel()


def test_a_model_that_does_not_fit_into_the_limit_is_refused_with_the_numbers(
    make_engines: MakeEngines, make_model: MakeModel
) -> None:
    engines = make_engines(memory_limit_bytes=40 * 2**20)
    # 80 bytes for each token.
    small, big = make_model("small", ComputeConfig(kv_cache_len=65_536)), ComputeConfig(kv_cache_len=491_520)
    engines.load(small).result(SECONDS)
    numbers = r"needs 38 MiB \(0 MiB of weights, 38 MiB of KV cache\); other models take 5 MiB of the limit of 40 MiB"
    with pytest.raises(Conflict, match=numbers):
        engines.require_memory(make_model("big", big))
    engines.load(make_model("big", big)).result(SECONDS)
    assert engines.status("big").state == "ERROR"
    assert "ADAPTIVE_ENGINE__MEMORY_LIMIT_BYTES" in (engines.status("big").reason or "")
    assert engines.status("small").state == "ONLINE"
    engines.unload("small")
    engines.load(make_model("big", big)).result(SECONDS)
    assert engines.status("big").state == "ONLINE"


def test_the_default_limit_is_a_share_of_the_memory_there_is() -> None:
    assert 2**28 < memory.default_limit() < 2**44
