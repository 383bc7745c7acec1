"""The shape of an answer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from integration.server import MODEL, Server
from integration.wire import chat, chunks, interaction, is_uuid, listed, stored, stream, unique


@pytest.fixture(scope="module")
def answer(server: Server) -> dict[str, Any]:
    return chat(server)


@pytest.fixture(scope="module")
def pair(server: Server) -> dict[str, Any]:
    """An answer with two choices."""
    return chat(server, n=2, temperature=1.2, seed=5, labels={"run": unique()})


def test_s33_text_is_in_the_first_choice(answer: dict[str, Any]) -> None:
    assert isinstance(answer["choices"][0]["message"]["content"], str)
    assert answer["choices"][0]["message"]["content"]


def test_s34_every_field_that_clients_require(answer: dict[str, Any]) -> None:
    assert isinstance(answer["id"], str)
    assert abs(answer["created"] - time.time()) < 300
    (choice,) = answer["choices"]
    assert choice["index"] == 0
    assert isinstance(choice["message"]["id"], str)
    assert choice["message"]["role"] == "assistant"
    assert choice["finish_reason"] in {"stop", "length"}


def test_every_answer_and_chunk_says_what_it_was_made_by(server: Server, answer: dict[str, Any]) -> None:
    parts = chunks(stream(server, stream_options={"include_usage": True}))
    assert answer["system_fingerprint"].startswith("fp_")
    assert {part["system_fingerprint"] for part in parts} == {answer["system_fingerprint"]}


def test_s36_completion_id_is_a_uuid(answer: dict[str, Any]) -> None:
    assert is_uuid(answer["choices"][0]["completion_id"])


def test_s36_each_choice_is_a_completion_of_its_own(server: Server, pair: dict[str, Any]) -> None:
    assert [choice["index"] for choice in pair["choices"]] == [0, 1]
    rows = [stored(server, choice["completion_id"]) for choice in pair["choices"]]
    assert [row and row["choice_index"] for row in rows] == [0, 1]
    assert [row and row["completion"] for row in rows] == [c["message"]["content"] for c in pair["choices"]]
    assert len({choice["completion_id"] for choice in pair["choices"]}) == 2
    assert {row and row["session_id"] for row in rows} == {pair["session_id"]}


def test_s36_choices_differ_by_their_seed(server: Server, pair: dict[str, Any]) -> None:
    texts = {choice["message"]["content"] for choice in pair["choices"]}
    rows = [stored(server, choice["completion_id"]) for choice in pair["choices"]]
    assert len(texts) == 2
    assert [row and row["parameters"]["seed"] for row in rows] == [5, 6]


def test_s36_both_choices_carry_the_labels(server: Server, pair: dict[str, Any]) -> None:
    run = interaction(server, pair)["labels"]["run"]
    assert len(listed(server, f"run={run}")) == 2


def test_s37_a_session_id_is_made_when_none_is_sent(server: Server, answer: dict[str, Any]) -> None:
    assert is_uuid(answer["session_id"])
    assert chat(server, max_tokens=1)["session_id"] != answer["session_id"]


def test_s37_a_session_id_passed_back_is_shared(server: Server) -> None:
    first = chat(server, max_tokens=1)
    second = chat(server, max_tokens=1, session_id=first["session_id"])
    assert second["session_id"] == first["session_id"]
    assert len(listed(server, session_id=first["session_id"])) == 2


def test_s38_each_choice_names_its_model(answer: dict[str, Any], pair: dict[str, Any]) -> None:
    assert {choice["model"] for choice in answer["choices"] + pair["choices"]} == {MODEL}


def test_s39_usage_adds_up(answer: dict[str, Any], pair: dict[str, Any]) -> None:
    for usage in (answer["usage"], pair["usage"]):
        assert usage["prompt_tokens"] > 0
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_s39_usage_counts_every_choice(server: Server, pair: dict[str, Any]) -> None:
    rows = [stored(server, choice["completion_id"]) for choice in pair["choices"]]
    assert pair["usage"]["completion_tokens"] == sum(row["usage"]["completion_tokens"] for row in rows if row)
    assert {row["usage"]["prompt_tokens"] for row in rows if row} == {pair["usage"]["prompt_tokens"]}
