"""Limits of keys and projects as clients meet them: who is admitted, what answers say, and who may change them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from adaptive_engine.permissions import ALL
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.services.api_keys import NewKey, create
from adaptive_engine.types import Limits, Principal
from adaptive_engine.wire.chat import ChatRequest

ASKED = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "store": False}


@pytest.fixture(scope="module", autouse=True)
def _loaded(services: Services) -> None:
    services.engines.wait()


def key(services: Services, role: str = "inference", **limited: int) -> dict[str, str]:
    with services.keys.changing() as connection:
        wanted = NewKey("test", role, limits=Limits(**limited))
        return {"Authorization": f"Bearer {create(connection, services.keys, OPERATOR, wanted)[1]}"}


async def ask(client: httpx2.AsyncClient, headers: dict[str, str], **more: Any) -> httpx2.Response:
    return await client.post("/chat/completions", json={**ASKED, **more}, headers=headers)


@pytest.fixture
async def admin(services: Services, client: httpx2.AsyncClient) -> AsyncIterator[dict[str, str]]:
    """Takes the limits of the project away afterwards."""
    headers = key(services, "admin")
    yield headers
    await client.patch("/projects/default", json={"settings": {"limits": None}}, headers=headers)


async def test_of_a_hundred_requests_at_once_as_many_are_admitted_as_the_limit_says(
    services: Services, client: httpx2.AsyncClient
) -> None:
    limited = key(services, requests_per_minute=10)
    answers = await asyncio.gather(*(ask(client, limited) for _ in range(100)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 90
    refused = next(answer for answer in answers if answer.status_code == 429)
    error = refused.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("rate_limit_error", "rate_limit_exceeded", None)
    assert "10 requests per minute" in error["message"]
    assert "API key" in error["message"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 61
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


async def test_of_a_hundred_requests_at_once_no_more_tokens_are_admitted_than_the_limit_says(
    services: Services, client: httpx2.AsyncClient
) -> None:
    one = (await ask(client, key(services), max_tokens=4)).json()["usage"]["prompt_tokens"] + 4
    limited = key(services, tokens_per_minute=5 * one, concurrent_requests=100)
    answers = await asyncio.gather(*(ask(client, limited, max_tokens=4, ignore_eos=True) for _ in range(100)))
    used = [answer.json()["usage"]["total_tokens"] for answer in answers if answer.status_code == 200]
    assert used == [one] * 5
    last = await ask(client, limited)
    assert last.headers["x-ratelimit-remaining-tokens"] == "0"


@pytest.mark.parametrize("stream", [False, True])
async def test_answers_say_what_is_left_and_count_what_was_used(
    services: Services, client: httpx2.AsyncClient, stream: bool
) -> None:
    limited = key(services, requests_per_minute=5, tokens_per_minute=10_000)
    answer = await ask(client, limited, stream=stream, max_tokens=100, ignore_eos=True)
    assert answer.headers["x-ratelimit-limit-requests"] == "5"
    assert answer.headers["x-ratelimit-remaining-requests"] == "4"
    assert answer.headers["x-ratelimit-reset-requests"] in ("1m1s", "1m0s")
    assert answer.headers["x-ratelimit-limit-tokens"] == "10000"
    after = await ask(client, limited, n=3, max_tokens=2, ignore_eos=True)
    prompt, made = (after.json()["usage"][f"{kind}_tokens"] for kind in ("prompt", "completion"))
    assert made == 6
    assert after.headers["x-ratelimit-remaining-requests"] == "3"
    assert int(after.headers["x-ratelimit-remaining-tokens"]) == 10_000 - (prompt + 100) - (prompt + 6)


async def test_unlimited_answers_say_nothing_of_limits(services: Services, client: httpx2.AsyncClient) -> None:
    answer = await ask(client, key(services))
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


async def test_a_stream_that_its_reader_leaves_is_settled_and_gives_its_place_back(
    services: Services, client: httpx2.AsyncClient
) -> None:
    limited = key(services, concurrent_requests=1, tokens_per_minute=100_000)
    # The transport of these tests has the whole answer before it returns.
    principal = services.keys.authenticate(limited["Authorization"].removeprefix("Bearer "))
    asked = ChatRequest.model_validate({**ASKED, "max_tokens": 500, "ignore_eos": True})
    completion = await services.completions.start(principal, asked, "chatcmpl-left")
    deltas = completion.deltas()
    await anext(deltas)
    assert (await ask(client, limited)).status_code == 429
    await completion.cancel()
    answer = await ask(client, limited)
    assert answer.status_code == 200
    used = 100_000 - int(answer.headers["x-ratelimit-remaining-tokens"])
    assert completion.usage.prompt_tokens < used < 500


async def test_a_limit_of_a_project_counts_all_its_keys_and_its_setting_merges(
    services: Services, client: httpx2.AsyncClient, admin: dict[str, str]
) -> None:
    async def change(limits: Any) -> Any:
        changed = await client.patch("/projects/default", json={"settings": {"limits": limits}}, headers=admin)
        assert changed.status_code == 200, changed.text
        return changed.json()["settings"]["limits"]

    everything = {"requests_per_minute": 2, "tokens_per_minute": None, "concurrent_requests": None}
    assert await change({"requests_per_minute": 2}) == everything
    assert await change({"concurrent_requests": 5}) == {**everything, "concurrent_requests": 5}
    first, second = key(services), key(services)
    assert (await ask(client, first)).status_code == 200
    assert (await ask(client, second)).status_code == 200
    refused = await ask(client, first)
    assert refused.status_code == 429
    assert "Project 'default'" in refused.json()["error"]["message"]
    assert (await change({"requests_per_minute": None}))["requests_per_minute"] is None
    assert (await ask(client, first)).status_code == 200
    assert await change(None) is None
    metrics = (await client.get("http://server/metrics", headers=admin)).text
    assert 'adaptive_rate_limited_total{limit="requests_per_minute",scope="project"}' in metrics


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"requests_per_minute": 0}, "limits.requests_per_minute"),
        ({"tokens_per_minute": 1.5}, "limits.tokens_per_minute"),
        ({"tokens_per_minute": True}, "limits.tokens_per_minute"),
        ({"concurrent_requests": 10**10}, "limits.concurrent_requests"),
        ({"requests_per_day": 5}, "limits.requests_per_day"),
    ],
)
async def test_what_cannot_be_a_limit_is_named(
    services: Services, client: httpx2.AsyncClient, wrong: dict[str, Any], param: str
) -> None:
    body = {"name": "x", "role": "inference", "limits": wrong}
    refused = await client.post("/keys", json=body, headers=key(services, "admin"))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_limits_of_a_key_are_changed_and_count_at_once(
    services: Services, client: httpx2.AsyncClient, admin: dict[str, str]
) -> None:
    body = {"name": "x", "role": "inference", "project": "default", "limits": {"requests_per_minute": 1}}
    made = (await client.post("/keys", json=body, headers=admin)).json()
    own = {"Authorization": f"Bearer {made['api_key']}"}
    assert made["limits"] == {"requests_per_minute": 1, "tokens_per_minute": None, "concurrent_requests": None}
    assert (await ask(client, own)).status_code == 200
    assert (await ask(client, own)).status_code == 429
    changed = await client.patch(f"/keys/{made['id']}", json={"limits": {"requests_per_minute": 2}}, headers=admin)
    assert changed.json()["limits"]["requests_per_minute"] == 2
    assert (await ask(client, own)).status_code == 200
    listed = (await client.get("/keys", headers=admin)).json()["data"]
    assert next(one for one in listed if one["id"] == made["id"])["limits"]["requests_per_minute"] == 2
    # Nobody lifts the limits of their own key.
    assert (await client.patch(f"/keys/{made['id']}", json={"limits": None}, headers=own)).status_code == 403
    assert (await client.patch("/keys/unknown", json={"limits": None}, headers=admin)).status_code == 404
    lifted = await client.patch(f"/keys/{made['id']}", json={"limits": None}, headers=admin)
    assert set(lifted.json()["limits"].values()) == {None}
    assert "x-ratelimit-limit-requests" not in (await ask(client, own)).headers


async def test_a_limited_key_makes_none_with_wider_limits(services: Services, client: httpx2.AsyncClient) -> None:
    limited = key(services, "power_user", requests_per_minute=5, tokens_per_minute=100)
    body = {"name": "x", "role": "inference", "project": "default"}
    wider = await client.post("/keys", json={**body, "limits": {"requests_per_minute": 6}}, headers=limited)
    assert (wider.status_code, wider.json()["error"]["param"]) == (403, "limits.requests_per_minute")
    same = await client.post("/keys", json={**body, "limits": {"requests_per_minute": 3}}, headers=limited)
    assert same.json()["limits"]["requests_per_minute"] == 3
    assert same.json()["limits"]["tokens_per_minute"] == 100


async def test_who_shares_a_project_limits_its_other_keys_and_not_the_own_one(
    client: httpx2.AsyncClient, admin: dict[str, str]
) -> None:
    async def make(role: str) -> dict[str, Any]:
        body = {"name": role, "role": role, "project": "default", "limits": {"requests_per_minute": 9}}
        made = await client.post("/keys", json=body, headers=admin)
        return dict(made.json())

    own, other = await make("power_user"), await make("inference")
    headers = {"Authorization": f"Bearer {own['api_key']}"}
    narrower = {"limits": {"requests_per_minute": 3}}
    assert (await client.patch(f"/keys/{own['id']}", json=narrower, headers=headers)).status_code == 403
    changed = await client.patch(f"/keys/{other['id']}", json=narrower, headers=headers)
    assert changed.json()["limits"]["requests_per_minute"] == 3


async def test_judges_are_nobodys_requests(services: Services) -> None:
    judge = Principal("grader", ALL, limits=Limits(requests_per_minute=1))
    asked = ChatRequest.model_validate(ASKED)
    for number in range(3):
        completion = await services.completions.start(judge, asked, f"grader-{number}", background=True)
        await completion.cancel()


async def test_graphql_knows_the_limits_of_a_project(
    services: Services, client: httpx2.AsyncClient, admin: dict[str, str]
) -> None:
    query = """mutation { createProject(input: {name: "Limited", key: "limited",
        settings: {limits: {requestsPerMinute: 7, concurrentRequests: 2}}})
        { key limits { requestsPerMinute tokensPerMinute concurrentRequests } } }"""
    made = await client.post("http://server/api/graphql", json={"query": query}, headers=admin)
    assert made.json()["data"]["createProject"]["limits"] == {
        "requestsPerMinute": 7,
        "tokensPerMinute": None,
        "concurrentRequests": 2,
    }
