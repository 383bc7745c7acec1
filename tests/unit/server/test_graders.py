"""Graders in a server, with a model of one layer as their judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest

from adaptive_engine.permissions import ALL
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import graders
from adaptive_engine.store import projects
from adaptive_engine.types import Judge, Principal, uuid7
from adaptive_engine.wire.chat import ChatRequest

Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def ask(services: Services, client: httpx2.AsyncClient) -> Ask:
    """What `method path, body` is answered with, asked by an admin or with another key."""
    admin = services.keys.create("test", "admin")[1]

    async def ask(route: str, body: Any = None, key: str = admin) -> Any:
        method, path = route.split()
        answer = await client.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    return ask


@pytest.fixture(scope="module", autouse=True)
def _answering(services: Services) -> None:
    services.engines.wait()


async def make_grader(ask: Ask, key: str, **fields: Any) -> None:
    await ask("POST /graders", {"project": "default", "key": key, "criteria": "Polite.", "model": "tiny", **fields})


async def progress(ask: Ask, key: str) -> dict[str, Any]:
    found: dict[str, Any] = (await ask(f"GET /graders/{key}?project=default"))["progress"]
    return found


async def test_what_is_logged_by_hand_is_judged(services: Services, ask: Ask) -> None:
    wanted = {"email": "ada@example.com", "name": "Ada", "generate_api_key": True}
    ada = await ask("POST /users", {**wanted, "teams": [{"team": "default", "role": "power_user"}]})
    await ask("POST /metrics", {"project": "default", "key": "better", "kind": "bool"})
    await make_grader(ask, "by-hand")
    messages = [{"role": "user", "content": "Hi"}]
    body = {"project": "default", "messages": messages, "completion": "Hello."}
    await ask("POST /interactions", body)
    sides = [{"text": text, "model": "tiny"} for text in ("Good day.", "What now?")]
    compared: dict[str, Any] = {"project": "default", "metric": "better", "messages": messages}
    compared |= {"preferred_completion": sides[0], "other_completion": sides[1]}
    await ask("POST /comparison", compared, ada["api_key"])
    counts = await progress(ask, "by-hand")
    assert sum(counts[state] for state in ("pending", "running", "done", "failed")) == 3
    stored = (await ask("GET /interactions?project=default&source=OFFLINE"))["data"]
    assert [row["created_by"] for row in stored] == [ada["id"], ada["id"], None]
    await ask("DELETE /graders/by-hand?project=default")


async def test_judges_are_asked_without_the_settings_of_their_model(services: Services, ask: Ask) -> None:
    settings = {"system_prompt": "You help customers of {{ shop }}.", "max_ttft_ms": 1, "max_tokens": 3}
    await ask("PATCH /projects/default/models/tiny", {"settings": settings})
    asked = ChatRequest.model_validate(
        {"model": "default/tiny", "messages": [{"role": "user", "content": "Judge."}], "max_tokens": 5, "store": False}
    )
    judging = await services.completions.start(Principal("grader", ALL), asked, "grader-1", background=True)
    await judging.cancel()
    assert (judging.prepared.system_prompt, judging.prepared.first_token_limited) == (None, False)
    await ask("PATCH /projects/default/models/tiny", {"settings": dict.fromkeys(settings)})


async def test_a_judge_that_cannot_be_asked_is_left_alone_for_a_while(services: Services, ask: Ask) -> None:
    await make_grader(ask, "lonely", sampling_rate=0.0)
    for _ in range(9):
        await ask(
            "POST /interactions",
            {"project": "default", "messages": [{"role": "user", "content": "Hi"}], "completion": "Hello."},
        )
    await ask("DELETE /projects/default/models/tiny")
    try:
        started = await ask("POST /graders/lonely/run?project=default", {})
        assert started["queued"] >= 9
        deadline = time.monotonic() + 20
        while (counts := await progress(ask, "lonely"))["problem"] is None or counts["running"]:
            assert time.monotonic() < deadline, counts
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        with services.database.read() as connection:
            tried = connection.exec_driver_sql("SELECT count(*) FROM judgements WHERE error IS NOT NULL").scalar_one()
        assert tried <= 2
        await ask("PATCH /graders/lonely?project=default", {"enabled": False})
    finally:
        await ask("DELETE /graders/lonely?project=default")
        await ask("POST /projects/default/models", {"model": "tiny", "wait": True})


async def test_the_metric_of_a_grader_can_be_deleted_after_it(ask: Ask, client: httpx2.AsyncClient) -> None:
    await make_grader(ask, "brief", sampling_rate=0.0)
    with pytest.raises(AssertionError, match="metric_in_use"):
        await ask("DELETE /metrics/brief?project=default")
    await ask("DELETE /graders/brief?project=default")
    await ask("DELETE /metrics/brief?project=default")


async def test_a_run_has_a_limit_that_databases_know(ask: Ask) -> None:
    await make_grader(ask, "limited", sampling_rate=0.0)
    with pytest.raises(AssertionError, match=r"limit"):
        await ask("POST /graders/limited/run?project=default", {"limit": 10**30})
    await ask("DELETE /graders/limited?project=default")


@pytest.mark.parametrize("key", [".", "..", "tone/.."])
async def test_a_key_that_clients_leave_out_of_paths_is_refused_and_older_ones_are_listed(
    services: Services, ask: Ask, key: str
) -> None:
    with pytest.raises(AssertionError, match=r"key: a key, .*cannot be '\.' or '\.\.'.*\"param\":\"key\""):
        await make_grader(ask, key)
    with services.database.write() as connection:
        project = projects.get_by_key(connection, "default")
        assert project is not None
        graders.create(connection, project.id, key, Judge("tiny", "Polite."), sampling_rate=0.0)
    assert [found["key"] for found in (await ask("GET /graders?project=default"))["data"]] == [key]
    assert key in [found["key"] for found in (await ask("GET /metrics?project=default"))["data"]]
    logged = await log_answer(ask)
    await ask("POST /feedback", {"metric": key, "completion_id": logged, "value": True})
    with services.database.write() as connection:
        graders.delete(connection, project.id, key)


async def test_a_key_may_have_a_slash(ask: Ask) -> None:
    await make_grader(ask, "tone/polite", sampling_rate=0.0)
    assert (await ask("PATCH /graders/tone%2Fpolite?project=default", {"enabled": False}))["key"] == "tone/polite"
    await ask("POST /graders/tone%2Fpolite/run?project=default", {})
    await ask("DELETE /graders/tone%2Fpolite?project=default")


@pytest.fixture
async def scripted(ask: Ask) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Attaches models that say what they are told to; gives back their keys."""
    made: list[str] = []

    async def attach(answer: str, **profile: Any) -> str:
        key = f"scripted-{uuid7()}"
        body = {"name": key, "key": key, "provider": "fake", "external_model_id": "m"}
        await ask("POST /admin/models/external", {**body, "extra_params": {"answer": answer}, "profile": profile})
        await ask("POST /projects/default/models", {"model": key, "wait": True})
        made.append(key)
        return key

    yield attach
    for key in made:
        await ask(f"DELETE /projects/default/models/{key}")


async def log_answer(ask: Ask) -> str:
    body = {"project": "default", "messages": [{"role": "user", "content": "Hi"}], "completion": "Hello."}
    logged: str = (await ask("POST /interactions", body))["completion_id"]
    return logged


@pytest.mark.parametrize(
    "answer",
    [
        "free text",
        '{"reasoning":"r","score":"MAYBE"}',
        '{"score":3}',
        "[]",
        '```json\n{"reasoning":"r","score":5}\n```',
    ],
)
async def test_a_judge_that_says_something_else_is_shown_with_its_answer(
    ask: Ask, scripted: Callable[..., Awaitable[str]], client: httpx2.AsyncClient, services: Services, answer: str
) -> None:
    await make_grader(ask, "odd", model=await scripted(answer), sampling_rate=0.0)
    completion_id = await log_answer(ask)
    headers = {"Authorization": f"Bearer {services.keys.create('odd', 'admin')[1]}"}
    body = {"completion_id": completion_id}
    refusal = await client.post("/graders/odd/try?project=default", json=body, headers=headers)
    error = refusal.json()["error"]
    assert (refusal.status_code, error["code"], error["type"]) == (502, "judgement_invalid", "upstream_error")
    assert "does not match what it was asked for" in error["message"]
    assert answer in error["message"]
    await ask("POST /graders/odd/run?project=default", {"limit": 1})
    deadline = time.monotonic() + 20
    while not (counts := await progress(ask, "odd"))["failed"]:
        assert time.monotonic() < deadline, counts
        await asyncio.sleep(0.02)
    assert counts["problem"] == error["message"]
    await ask("DELETE /graders/odd?project=default")


async def test_a_model_without_schemas_is_refused_as_a_judge(ask: Ask, scripted: Callable[..., Awaitable[str]]) -> None:
    plain = await scripted('{"reasoning":"r","score":"PASS"}', structured="none")
    with pytest.raises(AssertionError, match=r"Choose a model that takes JSON schemas.*\"param\":\"model\""):
        await make_grader(ask, "plain", model=plain)
    await make_grader(ask, "plain", sampling_rate=0.0)
    with pytest.raises(AssertionError, match=r"Choose a model that takes JSON schemas.*\"param\":\"model\""):
        await ask("PATCH /graders/plain?project=default", {"model": plain})
    able = await scripted('{"reasoning":"r","score":"PASS"}')
    await ask("PATCH /graders/plain?project=default", {"model": able})
    await ask(f"PATCH /admin/models/{able}/external", {"profile": {"structured": "none"}})
    completion_id = await log_answer(ask)
    with pytest.raises(AssertionError, match="Choose a model that takes JSON schemas"):
        await ask("POST /graders/plain/try?project=default", {"completion_id": completion_id})
    await ask("DELETE /graders/plain?project=default")
