"""`logprobs`, with and without a schema, streamed and not, over plain HTTP and OpenAI's library."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest

from integration.server import Server
from integration.wire import GREEDY, PROMPT, ask, chat, chunks, stream, text

SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "schema": {
            "type": "object",
            "properties": {"kind": {"const": "city"}, "big": {"type": "boolean"}},
            "required": ["kind", "big"],
            "additionalProperties": False,
        },
    },
}


def tokens(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer["choices"][0]["logprobs"]["content"]
    return found


def test_of_a_greedy_answer(server: Server) -> None:
    answer = chat(server, logprobs=True, top_logprobs=3)
    assert "warnings" not in answer
    assert len(tokens(answer)) == answer["usage"]["completion_tokens"]
    assert b"".join(bytes(token["bytes"]) for token in tokens(answer)).decode() == text(answer)
    for token in tokens(answer):
        assert token["logprob"] <= 0
        assert len(token["top_logprobs"]) == 3
        assert token["top_logprobs"][0]["bytes"] == token["bytes"]
        assert sum(math.exp(other["logprob"]) for other in token["top_logprobs"]) <= 1 + 1e-6


def test_forced_tokens_are_certain(server: Server) -> None:
    answer = chat(server, logprobs=True, top_logprobs=5, max_tokens=60, response_format=SCHEMA)
    assert text(answer) in ('{"kind":"city","big":true}', '{"kind":"city","big":false}')
    assert b"".join(bytes(token["bytes"]) for token in tokens(answer)).decode() == text(answer)
    uncertain = [token for token in tokens(answer) if token["logprob"] < 0]
    assert len(uncertain) == 1
    assert sum(math.exp(other["logprob"]) for other in uncertain[0]["top_logprobs"]) == pytest.approx(1, abs=1e-3)
    for token in tokens(answer):
        if token["logprob"] == 0:
            assert len(token["top_logprobs"]) == 1


def test_a_stream_has_the_same(server: Server) -> None:
    whole = tokens(chat(server, logprobs=True, top_logprobs=2))
    streamed: list[dict[str, Any]] = []
    for part in chunks(stream(server, logprobs=True, top_logprobs=2)):
        for choice in part["choices"]:
            streamed += (choice.get("logprobs") or {"content": []})["content"]
    assert streamed == whole


def test_openais_library_reads_them(server: Server) -> None:
    with openai.OpenAI(base_url=server.api, api_key=server.api_key, max_retries=0) as client:
        answer = client.chat.completions.create(
            model="default", messages=PROMPT, logprobs=True, top_logprobs=1, **GREEDY
        )
    found = answer.choices[0].logprobs
    assert found is not None
    assert found.content is not None
    assert "".join(token.token for token in found.content) == answer.choices[0].message.content


@pytest.mark.parametrize(
    "fields", [{"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 21}, {"logprobs": True, "top_logprobs": -1}]
)
def test_wrong_requests_name_the_field(server: Server, fields: dict[str, Any]) -> None:
    response = ask(server, **fields)
    assert response.status_code == 400
    assert "top_logprobs" in response.json()["error"]["message"]


def test_nothing_is_reported_unless_asked_for(server: Server) -> None:
    for fields in ({}, {"logprobs": False}):
        assert "logprobs" not in chat(server, **fields)["choices"][0]
