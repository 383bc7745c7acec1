"""What a request may ask for, and that the answer shows it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
import requests

from integration.server import Server
from integration.wire import PROMPT, ask, chat, chunks, interaction, is_uuid, listed, post, stored, stream, text, unique

SYSTEM = {"role": "system", "content": "You are a pirate. Answer every question with the word Arrr."}


@pytest.fixture(scope="module")
def greedy(server: Server) -> str:
    """Ten tokens of the most likely answer."""
    return text(chat(server, max_tokens=10))


def test_s17_system_and_user(server: Server) -> None:
    assert text(chat(server, messages=[SYSTEM, *PROMPT]))


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"content": "Hi"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": None}], "messages[0].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "pirate", "content": "Hi"}], "messages[0].role"),
        ([*PROMPT, "Hi"], "messages[1]"),
        ([*PROMPT, {"role": "user", "content": [{"type": "text"}]}], "messages[1].content[0].text"),
        ([], "messages"),
        ("Hi", "messages"),
        ({"role": "user", "content": "Hi"}, "messages"),
    ],
)
def test_s17_messages_are_validated(server: Server, messages: Any, param: str) -> None:
    response = ask(server, messages=messages)
    error = response.json()["error"]
    assert (response.status_code, error["param"], error["type"]) == (400, param, "invalid_request_error")
    assert param in error["message"]


def test_s17_messages_are_required(server: Server) -> None:
    response = post(server, "/chat/completions", {"model": "default"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "messages")


def test_s17_text_parts_are_the_text(server: Server, greedy: str) -> None:
    parts = [{"type": "text", "text": "Name three "}, {"type": "text", "text": "colours."}]
    assert text(chat(server, messages=[{"role": "user", "content": parts}], max_tokens=10)) == greedy


def test_s18_a_system_prompt_changes_the_answer(server: Server, greedy: str) -> None:
    assert text(chat(server, messages=[SYSTEM, *PROMPT], max_tokens=10)) != greedy


def test_s18_an_assistant_turn_changes_the_answer(server: Server) -> None:
    def continued(number: str) -> str:
        earlier = [{"role": "user", "content": "Pick a number."}, {"role": "assistant", "content": number}]
        return text(chat(server, messages=[*earlier, {"role": "user", "content": "Repeat your number."}]))

    assert continued("7777") != continued("The number is forty-two.")


def test_s21_one_json_object_unless_asked_for_a_stream(server: Server) -> None:
    for fields in ({}, {"stream": False}):
        response = ask(server, max_tokens=1, **fields)
        assert response.headers["content-type"] == "application/json"
        assert response.json()["object"] == "chat.completion"
    assert stream(server, max_tokens=1).headers["content-type"].startswith("text/event-stream")


def test_s22_temperature_0_repeats(server: Server, greedy: str) -> None:
    assert text(chat(server, max_tokens=10)) == greedy


def test_s22_a_high_temperature_varies(server: Server) -> None:
    assert len({text(chat(server, temperature=1.8)) for _ in range(4)}) > 1


def test_s22_the_temperature_is_recorded(server: Server) -> None:
    assert interaction(server, chat(server, temperature=0.25, max_tokens=1))["parameters"]["temperature"] == 0.25


def test_s22_the_same_seed_repeats(server: Server) -> None:
    first, again, other = (text(chat(server, temperature=1.5, seed=seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_s22_the_recorded_seed_reproduces_an_answer(server: Server) -> None:
    answer = chat(server, temperature=1.5)
    seed = interaction(server, answer)["parameters"]["seed"]
    assert text(chat(server, temperature=1.5, seed=seed)) == text(answer)


def test_s23_max_tokens_cuts(server: Server) -> None:
    answer = chat(server, max_tokens=5)
    assert answer["usage"]["completion_tokens"] == 5
    assert answer["choices"][0]["finish_reason"] == "length"


def test_s23_a_finished_answer_says_stop(server: Server) -> None:
    answer = chat(server, messages=[{"role": "user", "content": "Say hi."}], max_tokens=24, stop=[".", "!", "?"])
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] <= 24


def test_s24_stop_ends_the_text_before_the_sequence(server: Server, greedy: str) -> None:
    # From the middle of a word into the next: it is no token of its own.
    stop = greedy[len(greedy) // 2 : len(greedy) // 2 + 6]
    answer = chat(server, max_tokens=10, stop=["never to be seen", stop])
    assert text(answer) == greedy[: greedy.index(stop)]
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_s24_stop_may_be_a_plain_string(server: Server, greedy: str) -> None:
    stop = greedy.split()[2]
    assert text(chat(server, max_tokens=10, stop=stop)) == greedy[: greedy.index(stop)]


def test_s24_a_stream_never_shows_part_of_a_stop_sequence(server: Server, greedy: str) -> None:
    stop = greedy[len(greedy) // 2 : len(greedy) // 2 + 6]
    parts = chunks(stream(server, max_tokens=10, stop=[stop]))
    assert "".join(part["choices"][0]["delta"]["content"] for part in parts) == greedy[: greedy.index(stop)]
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("seed", [1, 2])
def test_s25_a_tiny_top_p_is_greedy(server: Server, greedy: str, seed: int) -> None:
    assert text(chat(server, max_tokens=10, temperature=1.5, top_p=1e-6, seed=seed)) == greedy


def test_s26_a_second_turn_reuses_the_first(server: Server) -> None:
    session = str(uuid4())
    opening = {"role": "user", "content": f"Remember {session}. " + "The sea is blue and the sand is warm. " * 4}
    first = chat(server, messages=[opening], session_id=session, max_tokens=4)
    turns = [opening, {"role": "assistant", "content": text(first)}, {"role": "user", "content": "Go on."}]
    second = chat(server, messages=turns, session_id=session, max_tokens=4)
    assert first["session_id"] == second["session_id"] == session
    assert second["usage"]["prompt_tokens_details"]["cached_tokens"] > 32
    assert interaction(server, second)["usage"] == second["usage"]
    ids = {answer["choices"][0]["completion_id"] for answer in (first, second)}
    assert {found["completion_id"] for found in listed(server, session_id=session)} == ids


@pytest.mark.parametrize("session_id", ["monday", 5, ""])
def test_s26_a_session_id_is_a_uuid(server: Server, session_id: Any) -> None:
    response = ask(server, session_id=session_id)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "session_id")


@pytest.mark.parametrize("streamed", [False, True])
def test_s27_store_false_leaves_nothing(server: Server, streamed: bool) -> None:
    run, session = unique(), str(uuid4())
    fields: dict[str, Any] = {"store": False, "labels": {"run": run}, "session_id": session, "max_tokens": 2}
    answer = chunks(stream(server, **fields))[0] if streamed else chat(server, **fields)
    assert is_uuid(answer["choices"][0]["completion_id"])
    assert stored(server, answer["choices"][0]["completion_id"]) is None
    assert listed(server, f"run={run}") == listed(server, session_id=session) == []


@pytest.mark.parametrize("fields", [{}, {"store": True}])
def test_s27_everything_else_is_stored(server: Server, fields: dict[str, Any]) -> None:
    run = unique()
    chat(server, labels={"run": run}, max_tokens=1, **fields)
    assert len(listed(server, f"run={run}")) == 1


def test_s28_response_format_text_is_free_text(server: Server, greedy: str) -> None:
    answer = chat(server, max_tokens=10, response_format={"type": "text"})
    assert text(answer) == greedy
    assert "warnings" not in answer


def test_s28_response_format_is_one_of_three_types(server: Server) -> None:
    response = ask(server, response_format={"type": "yaml"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "response_format.type")


def test_s30_stream_options_without_a_stream(server: Server) -> None:
    for options in ({}, {"include_usage": None}, {"include_usage": True}):
        assert chat(server, stream_options=options, max_tokens=1)["object"] == "chat.completion"


@pytest.mark.parametrize("user", ["4b0f4dd4-5d3e-4f0a-9f6b-8a0f2a3c1d11", "alice@example.com", "Zoë 🙂"])
def test_s31_the_user_is_recorded_as_sent(server: Server, user: str) -> None:
    answer = chat(server, user=user, max_tokens=1)
    assert interaction(server, answer)["user"] == user
    assert answer["choices"][0]["completion_id"] in {found["completion_id"] for found in listed(server, user=user)}


def test_s32_parameters_that_only_openai_has(server: Server) -> None:
    answer = chat(server, max_tokens=None, max_completion_tokens=3, seed=1, frequency_penalty=0.5, logit_bias={"5": 1})
    assert answer["usage"]["completion_tokens"] == 3
    # What had no effect is said; what had one, or asks for nothing, is not.
    assert {warning["param"] for warning in answer["warnings"]} == {"frequency_penalty", "logit_bias"}


def test_s32_null_is_the_same_as_not_given(server: Server) -> None:
    names = (
        "stream stream_options stop max_completion_tokens top_p seed n session_id user labels metadata store "
        "max_ttft_ms response_format ab_campaign system_prompt_args tags use_tools tools constrained_decoding"
    )
    body = {"model": "default", "messages": PROMPT, "max_tokens": 1, "temperature": 0, **dict.fromkeys(names.split())}
    response = post(server, "/chat/completions", body)
    assert response.status_code == 200
    assert "warnings" not in response.json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stream", "perhaps"),
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", "warm"),
        ("max_tokens", 0),
        ("max_tokens", 2**31),
        ("max_tokens", 1.5),
        ("stop", [""]),
        ("stop", ["x"] * 17),
        ("top_p", 1.1),
        ("store", "perhaps"),
        ("stream_options", "all"),
        ("user", 5),
        ("n", 0),
        ("n", 17),
    ],
)
def test_s21_s22_s23_s24_s25_s27_s29_s31_s36_wrong_values_are_named(server: Server, field: str, value: Any) -> None:
    response = ask(server, **{field: value})
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, field)
    assert error["message"].startswith(f"{field}: ")


def test_s22_numbers_must_be_finite(server: Server) -> None:
    for number in ("NaN", "Infinity", "1e999"):
        body = '{"model": "default", "messages": [{"role": "user", "content": "Hi"}], "temperature": ' + number + "}"
        headers = {**server.headers, "Content-Type": "application/json"}
        response = requests.post(f"{server.api}/chat/completions", data=body, headers=headers, timeout=30)
        assert (response.status_code, response.json()["error"]["param"]) == (400, "temperature")
