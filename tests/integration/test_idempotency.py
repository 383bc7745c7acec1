"""Idempotency-Key: what is sent twice is done once, and answered twice."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import openai
import pytest
import sqlalchemy as sa

from adaptive_engine import Adaptive
from adaptive_engine.store.tables import idempotency_keys
from faultserver import FaultServer
from integration.gateway import Gateway
from integration.server import start
from integration.upstream import ANSWER, ASKED, Models, events

METRIC = "useful"


@pytest.fixture(scope="module", autouse=True)
def _metric(http: httpx2.Client) -> None:
    assert http.post("/metrics", json={"project": "default", "key": METRIC}).status_code == 201


@pytest.fixture
def key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


def ask(http: httpx2.Client, model: str, headers: dict[str, str], **more: Any) -> httpx2.Response:
    return http.post("/chat/completions", json={"model": model, "messages": ASKED, **more}, headers=headers)


@pytest.mark.parametrize("store", [True, False])
def test_twenty_at_once_are_one_generation_and_twenty_equal_answers(
    http: httpx2.Client, models: Models, upstream: FaultServer, key: dict[str, str], store: bool
) -> None:
    model, before = models("slow"), upstream.asked("slow")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(http, model, key, store=store), range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert upstream.asked("slow") == before + 1
    assert sum(answer.headers.get("idempotent-replayed") == "true" for answer in answers) == 19
    assert ask(http, model, key, store=store).content == answers[0].content


def test_a_stored_answer_is_the_same_in_full_with_several_choices(
    http: httpx2.Client, models: Models, upstream: FaultServer, key: dict[str, str]
) -> None:
    model = models("good")
    first = ask(http, model, key, n=3)
    assert "idempotent-replayed" not in first.headers
    again = ask(http, model, key, n=3)
    assert again.content == first.content
    assert again.json()["choices"][2]["message"]["content"] == ANSWER
    with http.stream("GET", "/interactions", params={"project": "default", "limit": 1}):
        assert upstream.asked("good") == 3


def test_a_stream_is_repeated_as_a_stream(
    http: httpx2.Client, models: Models, upstream: FaultServer, key: dict[str, str]
) -> None:
    model = models("streamed")
    options = {"stream": True, "stream_options": {"include_usage": True}}
    first, again = (events(ask(http, model, key, **options)) for _ in range(2))
    assert upstream.asked("streamed") == 1

    def told(chunks: list[Any]) -> Any:
        *parts, usage, done = chunks
        text = "".join(part["choices"][0]["delta"]["content"] for part in parts)
        ids = {(part["id"], part["created"], part["choices"][0]["completion_id"]) for part in parts}
        return text, ids, parts[-1]["choices"][0]["finish_reason"], usage["usage"], usage["choices"], done

    assert told(again) == told(first)
    assert told(again)[0] == ANSWER
    assert again[0]["choices"][0]["delta"]["role"] == "assistant"
    assert ask(http, model, key, **options).headers["content-type"].startswith("text/event-stream")


def test_another_body_with_the_same_key_is_refused_and_named(
    http: httpx2.Client, models: Models, key: dict[str, str]
) -> None:
    ask(http, models("good"), key)
    refused = ask(http, models("good"), key, temperature=1)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (409, "idempotency_key_reused", "Idempotency-Key")
    assert refused.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("wrong", ["", "has space", "x" * 256])
def test_what_cannot_be_a_key_is_a_400(http: httpx2.Client, models: Models, wrong: str) -> None:
    refused = ask(http, models("good"), {"Idempotency-Key": wrong})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "invalid_idempotency_key", "Idempotency-Key")


@pytest.mark.parametrize("fault", ["status-500", "end-after-2"])
def test_what_failed_is_done_again(
    http: httpx2.Client, models: Models, upstream: FaultServer, key: dict[str, str], fault: str
) -> None:
    model = models(fault)
    first = ask(http, model, key)
    assert first.status_code >= 500
    asked = upstream.asked(fault)
    assert ask(http, model, key).status_code >= 500
    assert upstream.asked(fault) > asked


def test_a_refused_request_may_be_sent_again_with_its_key_when_it_is_right(
    http: httpx2.Client, models: Models, key: dict[str, str]
) -> None:
    assert ask(http, models("good"), key, temperature=9).status_code == 400
    assert ask(http, "default/unknown", key).status_code == 404
    assert ask(http, models("good"), key).status_code == 200


def test_who_has_a_deleted_answer_repeated_is_told_so(http: httpx2.Client, models: Models, key: dict[str, str]) -> None:
    first = ask(http, models("good"), key, n=2).json()["choices"]
    # The mark goes with the choice that ended last; the other one's text is gone all the same.
    for choice in first:
        assert http.delete(f"/interactions/{choice['completion_id']}").status_code == 204
    again = ask(http, models("good"), key, n=2).json()["choices"]
    assert {choice["completion_id"] for choice in again}.isdisjoint(choice["completion_id"] for choice in first)


def test_when_one_of_its_choices_is_deleted_an_answer_is_not_repeated(
    http: httpx2.Client, gateway: Gateway, models: Models, key: dict[str, str]
) -> None:
    choices = {choice["completion_id"] for choice in ask(http, models("good"), key, n=3).json()["choices"]}
    with gateway.services.database.read() as connection:
        marked = connection.scalars(sa.select(idempotency_keys.c.interaction_id)).all()
    # The choice that ended last takes the mark with it.
    unmarked = choices - set(map(str, marked))
    assert len(unmarked) == 2
    assert http.delete(f"/interactions/{unmarked.pop()}").status_code == 204
    refused = ask(http, models("good"), key, n=3)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_answer_deleted")


def test_who_may_not_ask_any_more_is_not_told_the_answer(
    http: httpx2.Client, gateway: Gateway, models: Models, key: dict[str, str]
) -> None:
    role = {"key": "asker", "name": "Asker", "permissions": ["project:read", "completion:create"]}
    assert http.post("/roles", json=role).status_code == 201
    made = http.post("/keys", json={"name": "asker", "role": "asker", "project": "default"}).json()
    theirs = {**key, "Authorization": f"Bearer {made['api_key']}"}
    assert ask(http, models("good"), theirs).status_code == 200
    assert ask(http, models("good"), theirs).headers["idempotent-replayed"] == "true"
    assert http.patch("/roles/asker", json={"permissions": ["project:read"]}).status_code == 200
    refused = ask(http, models("good"), theirs)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")


def test_a_key_is_one_of_its_api_key_and_address(http: httpx2.Client, models: Models, key: dict[str, str]) -> None:
    other = http.post("/keys", json={"name": "other", "role": "inference", "project": "default"}).json()
    first = ask(http, models("good"), key)
    theirs = ask(http, models("good"), {**key, "Authorization": f"Bearer {other['api_key']}"})
    assert theirs.status_code == 200
    assert theirs.json()["id"] != first.json()["id"]
    body, headers = {"project": "default", "key": "moved"}, {"Idempotency-Key": str(uuid4())}
    assert http.post("/metrics", json=body, headers=headers).status_code == 201
    refused = http.post("/graders", json=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "idempotency_key_reused")


def test_what_is_logged_twice_is_there_once(http: httpx2.Client, models: Models) -> None:
    completion = ask(http, models("good"), {}).json()["choices"][0]["completion_id"]
    other = ask(http, models("good"), {}).json()["choices"][0]["completion_id"]
    session = str(uuid4())
    logged = {
        "/interactions": {
            "project": "default",
            "messages": ASKED,
            "completion": "Yes.",
            "session_id": session,
            "feedbacks": [{"metric": METRIC, "value": 1}],
        },
        "/feedback": {"completion_id": completion, "metric": METRIC, "value": 1},
        "/comparison": {
            "project": "default",
            "metric": METRIC,
            "preferred_completion": completion,
            "other_completion": other,
        },
        "/outcome": {"project_id": "default", "session_id": session, "metric": METRIC, "value": 1},
        "/metrics": {"project": "default", "key": "once"},
        "/graders": {"project": "default", "key": "judge", "model": "x-good", "criteria": "Polite.", "enabled": False},
    }
    for path, body in logged.items():
        headers = {"Idempotency-Key": str(uuid4())}
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda _, p=path, b=body, h=headers: http.post(p, json=b, headers=h), range(5)))
        assert {answer.status_code for answer in answers} == {201}, answers[0].text
        assert len({answer.content for answer in answers}) == 1
        assert sum("idempotent-replayed" in answer.headers for answer in answers) == 4
        refused = http.post(path, json={**body, "more": 1}, headers=headers)
        assert refused.json()["error"]["code"] == "idempotency_key_reused"
        wrong = http.post(path, json=[], headers={"Idempotency-Key": "new " + path})
        assert wrong.status_code == 400
    found = http.get(f"/interactions/{completion}").json()
    assert [score["value"] for score in found["scores"]] == [1]
    outcomes = http.get("/outcomes", params={"project": "default", "session_id": session}).json()["data"]
    assert len(outcomes) == 1


def test_a_second_try_of_the_sdk_and_of_openais_client_has_the_answer_of_the_first(
    gateway: Gateway, models: Models, upstream: FaultServer, key: dict[str, str]
) -> None:
    models("good")
    before = upstream.asked("good")

    class Losing(httpx2.HTTPTransport):
        """Loses the first answer of each client on its way."""

        lost: int = 0

        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            response = super().handle_request(request)
            if request.url.path.endswith("/chat/completions") and not self.lost:
                self.lost += 1
                response.read()
                raise httpx2.RemoteProtocolError("lost", request=request)
            return response

    losing = Losing()
    with httpx2.Client(transport=losing) as http:
        client = Adaptive(gateway.url, gateway.api_key, default_project="default", http_client=http)
        answer = client.chat.create(ASKED, model="x-good")
    assert losing.lost == 1
    assert answer.choices[0].message.content == ANSWER
    assert upstream.asked("good") == before + 1
    theirs = openai.OpenAI(base_url=gateway.api, api_key=gateway.api_key)
    both = [
        theirs.chat.completions.create(model="default/x-good", messages=ASKED, extra_headers=key)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    assert both[0].id == both[1].id
    assert upstream.asked("good") == before + 2


def test_after_kill_9_what_was_answered_is_known_and_what_was_not_is_done_once(small_data_dir: Path) -> None:
    body = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8, "ignore_eos": True}
    long = {**body, "max_tokens": 2000, "stream": True}
    server = start(small_data_dir, quick=True)
    with httpx2.Client(base_url=server.api, headers=server.headers, timeout=30) as http:
        first = http.post("/chat/completions", json=body, headers={"Idempotency-Key": "answered"})
        with http.stream("POST", "/chat/completions", json=long, headers={"Idempotency-Key": "cut"}) as stream:
            next(stream.iter_bytes())
            server.stop(signal.SIGKILL)
    server = start(small_data_dir, quick=True)
    with httpx2.Client(base_url=server.api, headers=server.headers, timeout=30) as http:
        again = http.post("/chat/completions", json=body, headers={"Idempotency-Key": "answered"})
        assert again.headers["idempotent-replayed"] == "true"
        assert again.content == first.content
        done = http.post("/chat/completions", json={**long, "stream": True}, headers={"Idempotency-Key": "cut"})
        assert done.text.endswith("data: [DONE]\n\n")
        stored = http.get("/interactions", params={"project": "default", "limit": 10}).json()["data"]
    # What was cut within 50 ms has left no row at all.
    assert [row["state"] for row in stored if row["state"] != "aborted"] == ["length", "length"]
    assert server.stop() == 0
