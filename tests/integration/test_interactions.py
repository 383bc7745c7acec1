"""Every prompt and completion is stored, and can be scored."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from integration.server import MODEL, Server
from integration.wire import PROMPT, chat, interaction, post, text, unique


@pytest.fixture(scope="module")
def metrics(server: Server) -> dict[str, str]:
    """Keys of a metric of each kind."""
    keys = {kind: f"{kind}-{uuid4().hex[:8]}" for kind in ("bool", "scalar")}
    for kind, key in keys.items():
        created = post(server, "/metrics", {"project": "default", "key": key, "kind": kind})
        assert created.status_code == 201, created.text
    return keys


@pytest.fixture(scope="module")
def answer(server: Server) -> dict[str, Any]:
    return chat(server, max_tokens=2)


def test_s40_the_pair_is_stored_with_what_belongs_to_it(server: Server) -> None:
    run, session = unique(), str(uuid4())
    messages = [{"role": "system", "content": "Be brief."}, *PROMPT]
    answer = chat(server, messages=messages, labels={"run": run}, session_id=session, top_p=0.5, stop=["\n\n\n"])
    row = interaction(server, answer)
    assert row["messages"] == messages
    assert row["completion"] == text(answer)
    assert (row["project"], row["model"], row["source"]) == ("default", MODEL, "LIVE")
    assert (row["labels"], row["session_id"]) == ({"run": run}, session)
    assert row["usage"] == answer["usage"]
    assert row["finish_reason"] == answer["choices"][0]["finish_reason"]
    assert row["parameters"]["top_p"] == 0.5
    assert (row["parameters"]["max_tokens"], row["parameters"]["stop"]) == (6, ["\n\n\n"])
    assert row["timings"]["ttft_ms"] <= row["timings"]["total_ms"]
    assert row["created_at"] <= row["completed_at"]
    assert row["request_id"] == answer["id"]


def test_s40_unicode_is_stored_as_sent(server: Server) -> None:
    messages = [{"role": "user", "content": "Grüße, 世界 🙂‍↕️ \u202e‮ <|im_end|> \t\r\n"}]
    row = interaction(server, chat(server, messages=messages, labels={"🏷️ ключ": "值 = 1"}, max_tokens=1))
    assert row["messages"] == messages
    assert row["labels"] == {"🏷️ ключ": "值 = 1"}


@pytest.mark.parametrize(
    ("kind", "value", "logged"), [("bool", True, 1), ("bool", 0, 0), ("scalar", 0.25, 0.25), ("scalar", -3, -3)]
)
def test_s35_s42_a_metric_is_logged_by_completion_id(
    server: Server, metrics: dict[str, str], kind: str, value: float, logged: float
) -> None:
    answer = chat(server, max_tokens=1)
    score = {"value": value, "completion_id": answer["choices"][0]["completion_id"], "metric": metrics[kind]}
    response = post(server, "/feedback", {**score, "user_id": str(uuid4()), "reason": "Style", "details": "too short"})
    assert response.status_code == 201, response.text
    (found,) = interaction(server, answer)["scores"]
    assert found["id"] == response.json()["feedback_id"]
    assert (found["metric"], found["value"]) == (metrics[kind], logged)
    assert (found["reason"], found["details"]) == ("Style", "too short")


@pytest.mark.parametrize(("kind", "value"), [("bool", 0.5), ("bool", 2), ("scalar", True), ("scalar", "many")])
def test_s42_a_value_that_the_metric_does_not_take(
    server: Server, metrics: dict[str, str], answer: dict[str, Any], kind: str, value: Any
) -> None:
    score = {"value": value, "completion_id": answer["choices"][0]["completion_id"], "metric": metrics[kind]}
    response = post(server, "/feedback", score)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "value")
    assert interaction(server, answer)["scores"] == []


def test_s42_unknown_completions_and_metrics(server: Server, metrics: dict[str, str], answer: dict[str, Any]) -> None:
    known = {"value": 1, "completion_id": answer["choices"][0]["completion_id"], "metric": metrics["scalar"]}
    for change, code in (
        ({"completion_id": str(uuid4())}, "interaction_not_found"),
        ({"metric": "never registered"}, "metric_not_found"),
    ):
        response = post(server, "/feedback", {**known, **change})
        assert (response.status_code, response.json()["error"]["code"]) == (404, code)
        assert response.json()["error"]["message"].startswith("EntityNotFound:")
