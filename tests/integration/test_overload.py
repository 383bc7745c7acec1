"""More requests than fit: turns between projects, the queue's end, and limits to the first token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest
import requests

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.sdk import Adaptive, FirstTokenTimeoutError
from adaptive_engine.services import models
from adaptive_engine.store import Database, projects
from adaptive_engine.types import Project, now_ms, uuid7
from integration.server import Server, place_model, start
from integration.wire import PROMPT, ask, chat, chunks, listed, unique

RUNNING, WAITING = 2, 40
FOREVER = {"max_tokens": 8000, "ignore_eos": True}


@pytest.fixture(scope="module")
def narrow(shallow_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two places, a short queue, and the projects `default` and `other`."""
    data_dir = tmp_path_factory.mktemp("overload")
    place_model(shallow_model_dir.path, data_dir)
    database = Database.open(data_dir / "adaptive.db")
    with database.write() as connection:
        model = models.register(connection, shallow_model_dir)
        projects.create(connection, Project(uuid7(), "other", "Other", "", now_ms()))
        models.deploy(connection, "other", model.key)
    database.close()
    env = {"ADAPTIVE_ENGINE__MAX_RUNNING": str(RUNNING), "ADAPTIVE_ENGINE__MAX_WAITING": str(WAITING)}
    running = start(data_dir, env=env, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "default", "messages": PROMPT, "temperature": 0, "max_tokens": 8, "ignore_eos": True, **fields}


@pytest.fixture
def busy(narrow: Server) -> Iterator[None]:
    """All places are taken, until the test is over."""
    streams = [
        requests.post(
            f"{narrow.api}/chat/completions",
            json=body(stream=True, **FOREVER),
            headers=narrow.headers,
            timeout=60,
            stream=True,
        )
        for _ in range(RUNNING)
    ]
    # One that is dropped would close its connection.
    lines = [stream.iter_lines() for stream in streams]
    for events in lines:
        while b'"content":" ' not in next(events):
            pass
    yield
    for stream in streams:
        stream.close()
    # A request that is answered has found a place.
    chat(narrow)


async def test_one_request_does_not_wait_for_the_queue_of_another_project(narrow: Server) -> None:
    finished: list[str] = []

    async def send(client: httpx2.AsyncClient, project: str) -> None:
        reply = await client.post(f"{narrow.api}/chat/completions", json=body(model=project), headers=narrow.headers)
        assert reply.status_code == 200, reply.text
        finished.append(project)

    async with httpx2.AsyncClient(timeout=120, limits=httpx2.Limits(max_connections=100)) as client:
        crowd = [asyncio.create_task(send(client, "default")) for _ in range(WAITING // 2)]
        while len(finished) < 2:  # noqa: ASYNC110 - that the queue is full is seen by what leaves it
            await asyncio.sleep(0.005)
        before = len(finished)
        await send(client, "other")
        # Those that ran, those that ran beside it, and what was on its way when it was sent.
        assert len(finished) - before <= 1 + 4 * RUNNING
        await asyncio.gather(*crowd)
    assert len(finished) == WAITING // 2 + 1


def test_a_thousand_at_once_are_answered_or_told_when_to_come_again(narrow: Server) -> None:
    with requests.Session() as session, ThreadPoolExecutor(60) as pool:
        session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=60))

        def send(_: int) -> requests.Response:
            url = f"{narrow.api}/chat/completions"
            return session.post(url, json=body(max_tokens=2, store=False), headers=narrow.headers, timeout=120)

        replies = list(pool.map(send, range(1000)))
    refused = [reply for reply in replies if reply.status_code != 200]
    assert refused
    for reply in refused:
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "project_overloaded")
        assert reply.json()["error"]["type"] == "overloaded_error"
        assert 1 <= int(reply.headers["retry-after"]) <= 120
        assert "x-should-retry" not in reply.headers
    assert len(refused) < 1000 - RUNNING - WAITING // 2


@pytest.mark.usefixtures("busy")
async def test_one_project_leaves_room_in_the_queue_for_others(narrow: Server) -> None:
    run = unique()
    async with httpx2.AsyncClient(timeout=120) as client:
        sixteen = asyncio.create_task(
            client.post(f"{narrow.api}/chat/completions", json=body(n=16, labels={"run": run}), headers=narrow.headers)
        )
        while len(await asyncio.to_thread(listed, narrow, f"run={run}")) < 16:
            pass
        refused = await asyncio.to_thread(ask, narrow, n=16)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "project_overloaded")
        other = await asyncio.to_thread(ask, narrow, model="other", n=16)
        assert other.status_code == 200, "it is let into the queue, and has a place beside those that run"
        sixteen.cancel()


def is_late(reply: requests.Response) -> bool:
    error = reply.json()["error"]
    assert (error["code"], error["type"], error["param"]) == ("ttft_timeout", "timeout_error", "max_ttft_ms")
    return reply.status_code == 408 and reply.headers["x-should-retry"] == "false"


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
@pytest.mark.parametrize("limit", [0, 1, 50])
def test_a_first_token_that_would_be_late_is_a_408_and_an_error_is_stored(
    narrow: Server, stream: bool, limit: int
) -> None:
    run = unique()
    assert is_late(ask(narrow, stream=stream, max_ttft_ms=limit, labels={"run": run}))
    (row,) = listed(narrow, f"run={run}")
    assert (row["state"], row["error"]["code"]) == ("error", "ttft_timeout")
    assert row["usage"]["completion_tokens"] == 0
    assert row["completion"] == ""


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("more", [{"n": 3}, {"response_format": {"type": "json_object"}}, {"store": False}])
def test_a_limit_goes_with_everything_else(narrow: Server, more: dict[str, Any]) -> None:
    run = unique()
    assert is_late(ask(narrow, max_ttft_ms=100, labels={"run": run}, **more))
    rows = listed(narrow, f"run={run}")
    assert [row["state"] for row in rows] == ["error"] * (0 if "store" in more else more.get("n", 1))


@pytest.mark.parametrize("limit", [60_000, 10**12, 2**63 - 1])
def test_a_limit_that_is_met_changes_nothing(narrow: Server, limit: int) -> None:
    plain, limited = chat(narrow), chat(narrow, max_ttft_ms=limit)
    assert plain["choices"][0]["message"]["content"] == limited["choices"][0]["message"]["content"]
    assert "warnings" not in limited
    streamed = chunks(ask(narrow, stream=True, max_ttft_ms=limit))
    read = "".join(choice["delta"]["content"] for chunk in streamed for choice in chunk["choices"])
    assert read == plain["choices"][0]["message"]["content"]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
def test_clients_raise_a_typed_error_after_a_single_try(narrow: Server, stream: bool) -> None:
    run = unique()
    with (
        openai.OpenAI(base_url=narrow.api, api_key=narrow.api_key) as client,
        pytest.raises(openai.APIStatusError) as theirs,
    ):
        client.chat.completions.create(
            model="default", messages=PROMPT, stream=stream, metadata={"run": run}, extra_body={"max_ttft_ms": 30}
        )
    assert (theirs.value.status_code, theirs.value.code) == (408, "ttft_timeout")
    with (
        Adaptive(narrow.url, narrow.api_key, default_project="default") as client,
        pytest.raises(FirstTokenTimeoutError, match="within 30 ms"),
    ):
        client.chat.create(PROMPT, stream=stream, labels={"run": run}, max_ttft_ms=30)
    assert len(listed(narrow, f"run={run}")) == 2


@pytest.mark.usefixtures("busy")
def test_leaving_before_the_first_token_of_a_limited_stream_is_a_cancellation(narrow: Server) -> None:
    run = unique()
    with pytest.raises(requests.ReadTimeout):
        requests.post(
            f"{narrow.api}/chat/completions",
            json=body(stream=True, max_ttft_ms=60_000, labels={"run": run}),
            headers=narrow.headers,
            timeout=0.5,
        )
    while (rows := listed(narrow, f"run={run}"))[0]["state"] == "pending":
        pass
    assert [(row["state"], row["error"]) for row in rows] == [("cancelled", {"phase": "queue"})]
