"""What there is to replicas on Ray without a cluster. tests/integration/test_ray.py has one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import ray
from pydantic import ValidationError
from ray.exceptions import ActorDiedError
from ray.serve.exceptions import BackPressureError

from adaptive_engine.deploy.ray import cluster
from adaptive_engine.deploy.ray.answer import Answer, ReplicaLost
from adaptive_engine.deploy.ray.autoscaling import replicas_for_load
from adaptive_engine.deploy.ray.options import ReplicaOptions
from adaptive_engine.errors import AdaptiveError, InvalidRequest, Overloaded, Unavailable
from adaptive_engine.services.engine_process import messages
from adaptive_engine.services.engine_process.messages import Begun
from adaptive_engine.types import Delta, Timings, Usage

BEGUN = {"result": messages.BEGUN.dump_python(Begun("fp", 3, (), (), None), mode="json")}
LAST = Delta("!", "stop", Usage(3, 2, 0), Timings(0, 0, 0))


def context(requests: float, **kv_cache_used: float) -> Any:
    metrics = {"kv_cache_used": kv_cache_used}
    config = SimpleNamespace(target_ongoing_requests=10)
    return SimpleNamespace(total_num_requests=requests, aggregated_metrics=metrics, config=config)


@pytest.mark.parametrize(
    ("load", "wanted"),
    [
        (context(0), 0),
        (context(15), 1.5),
        (context(15, a=0.1, b=0.1), 1.5),
        (context(5, a=0.9, b=0.9), 2.25),
        (SimpleNamespace(total_num_requests=5, aggregated_metrics=None, config=context(0).config), 0.5),
    ],
)
def test_replicas_follow_requests_and_cache(load: Any, wanted: float) -> None:
    assert replicas_for_load(load) == (pytest.approx(wanted), {})


def test_options_are_checked() -> None:
    with pytest.raises(ValidationError, match="max_replicas is 1, less than min_replicas, 2"):
        ReplicaOptions(model="m", min_replicas=2)
    with pytest.raises(ValidationError, match="replicas"):
        ReplicaOptions.model_validate({"model": "m", "replicas": 2})
    assert [ReplicaOptions(model="m", cpus=cpus).threads for cpus in (0.5, 1, 3)] == [1, 1, 3]


@pytest.mark.parametrize("address", ["ray://host:10001", "host", "host:port", ""])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InvalidRequest, match="give auto, or HOST:PORT"):
        cluster.connect(address)


def test_no_cluster_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    # Another test of this process may have joined one.
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(Unavailable, match=r"No Ray cluster answers at 127\.0\.0\.1:1: .*ray start --head"):
        cluster.connect("127.0.0.1:1")


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    def adaptive(*arguments: str) -> str:
        # None stands for a package that is not installed.
        code = "import sys; sys.modules['ray'] = None; from adaptive_engine.cli import main; main()"
        command = [sys.executable, "-c", code, "deploy", "ray", *arguments]
        environment = {**os.environ, "ADAPTIVE_DATA_DIR": str(tmp_path)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 1
        return done.stderr

    assert "pip install 'adaptive-engine[server,ray]'" in adaptive()
    assert "There is no model directory" in adaptive("nothing")
    assert "--remove: say which model" in adaptive("--remove")
    assert "--max-replicas is 1, less than --min-replicas, 2" in adaptive(
        "m", "--min-replicas", "2", "--max-replicas", "1"
    )


class Scripted:
    """A response of Ray Serve: what it says, and then how it ends."""

    def __init__(self, *said: Any, end: Exception | None = None, endless: bool = False) -> None:
        self._said = self._say(said, end, endless)
        self.cancelled = False

    @staticmethod
    async def _say(said: Any, end: Exception | None, endless: bool) -> AsyncIterator[Any]:
        for each in said:
            yield each
        if end is not None:
            raise end
        if endless:
            await asyncio.Event().wait()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._said

    async def __anext__(self) -> Any:
        return await anext(self._said)

    def cancel(self) -> None:
        self.cancelled = True


async def begun(response: Scripted, choices: int = 1) -> Answer:
    answer = Answer("m", response, choices)
    assert (await answer.begun()).prompt_tokens == 3
    return answer


async def test_an_answer_is_what_its_entries_say() -> None:
    hello, last = messages.delta_entry(0, 1, Delta("hello")), messages.delta_entry(0, 2, LAST)
    answer = await begun(Scripted(BEGUN, [messages.admitted_entry(0, 32), hello], [last]))
    (stream,) = answer.streams
    found = [delta async for delta in stream]
    assert "".join(delta.text for delta in found) == "hello!"
    assert found[-1].finish_reason == "stop"
    assert (stream.cached_tokens, stream.completion_tokens, stream.phase) == (32, 2, "done")


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Scripted({"error": messages.error_message(InvalidRequest("no", param="n"))}), InvalidRequest),
        (Scripted(end=BackPressureError(num_queued_requests=1, max_queued_requests=1)), Overloaded),
        (Scripted(end=ActorDiedError()), ReplicaLost),
        (Scripted(), ReplicaLost),
    ],
)
async def test_what_keeps_an_answer_from_beginning(response: Scripted, expected: type[AdaptiveError]) -> None:
    with pytest.raises(expected):
        await Answer("m", response, 1).begun()


async def test_a_replica_that_ends_in_mid_answer() -> None:
    answer = await begun(Scripted(BEGUN, [messages.delta_entry(1, 2, LAST)], end=ActorDiedError()), 2)
    lost, whole = answer.streams
    assert [delta.text async for delta in whole] == ["!"]
    with pytest.raises(ReplicaLost):
        await anext(lost)


async def test_the_last_choice_that_is_cancelled_ends_the_request() -> None:
    response = Scripted(BEGUN, endless=True)
    first, second = (await begun(response, 2)).streams
    first.cancel()
    assert not response.cancelled
    second.cancel()
    assert response.cancelled


async def test_who_does_not_wait_for_the_beginning_ends_the_request() -> None:
    response = Scripted(endless=True)
    waiting = asyncio.create_task(Answer("m", response, 1).begun())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert cast(bool, response.cancelled)
