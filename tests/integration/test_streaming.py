"""Event streams, read byte by byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from integration.server import MODEL, Server
from integration.wire import chat, chunks, is_uuid, stored, stream, streamed_text, text


@pytest.fixture(scope="module")
def answer(server: Server) -> dict[str, Any]:
    return chat(server)


@pytest.fixture(scope="module")
def response(server: Server) -> requests.Response:
    return stream(server)


@pytest.fixture(scope="module")
def parts(response: requests.Response) -> list[dict[str, Any]]:
    return chunks(response)


@pytest.fixture(scope="module")
def counted(server: Server) -> list[dict[str, Any]]:
    """The chunks of a stream that was asked for usage."""
    return chunks(stream(server, stream_options={"include_usage": True}))


@pytest.fixture(scope="module")
def pair(server: Server) -> list[dict[str, Any]]:
    """The chunks of a stream of two choices."""
    return chunks(stream(server, n=2, temperature=1.2, seed=5, stream_options={"include_usage": True}))


def test_s29_usage_only_when_asked_for(parts: list[dict[str, Any]]) -> None:
    assert all(part["usage"] is None for part in parts)
    assert all(part["choices"] for part in parts)


@pytest.mark.parametrize("options", [{}, {"include_usage": False}, {"include_usage": None}])
def test_s29_s30_stream_options_that_ask_for_nothing(server: Server, options: dict[str, Any]) -> None:
    assert all(part["choices"] for part in chunks(stream(server, max_tokens=1, stream_options=options)))


def test_s29_usage_equals_that_of_one_answer(server: Server, counted: list[dict[str, Any]]) -> None:
    usage, expected = counted[-1]["usage"], chat(server)["usage"]
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert usage[name] == expected[name]


def test_s37_s38_every_chunk_names_session_and_model(counted: list[dict[str, Any]]) -> None:
    assert is_uuid(counted[0]["session_id"])
    for name in ("id", "created", "session_id", "model"):
        assert len({part[name] for part in counted}) == 1
    assert {choice["model"] for part in counted for choice in part["choices"]} == {MODEL}


def test_s41_the_full_text_is_stored_when_the_stream_ends(server: Server, parts: list[dict[str, Any]]) -> None:
    row = stored(server, parts[0]["choices"][0]["completion_id"])
    assert row is not None
    assert row["completion"] == streamed_text(parts)
    assert row["state"] == "length"
    assert row["session_id"] == parts[0]["session_id"]
    assert row["usage"]["completion_tokens"] == 6


def test_s43_the_text_equals_that_of_one_answer(answer: dict[str, Any], parts: list[dict[str, Any]]) -> None:
    assert streamed_text(parts) == text(answer)


def test_s43_the_text_comes_in_pieces(server: Server) -> None:
    # A client that is slower than the model gets several tokens at once.
    parts = chunks(stream(server, max_tokens=64, ignore_eos=True))
    assert sum(bool(part["choices"][0]["delta"]["content"]) for part in parts) > 4


def test_s44_s45_the_last_chunk_has_usage_and_no_choices(counted: list[dict[str, Any]]) -> None:
    assert counted[-1]["choices"] == []
    usage = counted[-1]["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert all(part["choices"] and part["usage"] is None for part in counted[:-1])


def test_s45_usage_of_two_choices_is_their_sum(server: Server, pair: list[dict[str, Any]]) -> None:
    ids = {choice["completion_id"] for part in pair for choice in part["choices"]}
    rows = [row for completion_id in ids if (row := stored(server, completion_id))]
    assert pair[-1]["usage"]["completion_tokens"] == sum(row["usage"]["completion_tokens"] for row in rows)


def test_s46_all_chunks_share_the_stored_completion_id(server: Server, parts: list[dict[str, Any]]) -> None:
    (completion_id,) = {choice["completion_id"] for part in parts for choice in part["choices"]}
    assert is_uuid(completion_id)
    assert stored(server, completion_id) is not None


def test_s46_each_choice_has_its_own_id_and_text(server: Server, pair: list[dict[str, Any]]) -> None:
    ids = {(choice["index"], choice["completion_id"]) for part in pair for choice in part["choices"]}
    assert sorted(index for index, _ in ids) == [0, 1]
    for index, completion_id in ids:
        row = stored(server, completion_id)
        assert row is not None
        assert row["completion"] == streamed_text(pair, index)


def test_s47_every_delta_has_id_role_and_content(counted: list[dict[str, Any]], pair: list[dict[str, Any]]) -> None:
    for delta in [choice["delta"] for part in counted + pair for choice in part["choices"]]:
        assert isinstance(delta["id"], str)
        assert delta["role"] == "assistant"
        assert isinstance(delta["content"], str)


def test_s48_only_the_last_chunk_of_a_choice_has_a_finish_reason(pair: list[dict[str, Any]]) -> None:
    for index in (0, 1):
        reasons = [c["finish_reason"] for part in pair for c in part["choices"] if c["index"] == index]
        assert reasons[-1] in {"stop", "length"}
        assert set(reasons[:-1]) == {None}


def test_s49_every_line_is_data_and_the_last_is_done(response: requests.Response) -> None:
    events = response.content.split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    for event in events[:-2]:
        assert event.startswith(b"data: {")
        assert b"\n" not in event
        assert json.loads(event[6:])["object"] == "chat.completion.chunk"


def test_s49_headers_let_the_events_through(response: requests.Response) -> None:
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert "content-length" not in response.headers


def test_s49_what_is_wrong_is_said_before_a_stream_begins(server: Server) -> None:
    body = {"model": "nowhere", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    response = requests.post(f"{server.api}/chat/completions", json=body, headers=server.headers, timeout=30)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/json"


def test_s50_a_chunk_without_text_does_not_break_the_documented_loop(
    answer: dict[str, Any], counted: list[dict[str, Any]]
) -> None:
    read = ""
    for chunk in counted:
        if chunk["choices"] and chunk["choices"][0]["delta"]["content"]:
            read += chunk["choices"][0]["delta"]["content"]
    assert read == text(answer)
    assert any(part["choices"][0]["delta"]["content"] == "" for part in counted if part["choices"])
