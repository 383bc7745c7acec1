from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.bodies import parse
from adaptive_engine.wire.chat import ChatRequest
from adaptive_engine.wire.feedback import ComparisonCreate, FeedbackCreate, MetricCreate
from adaptive_engine.wire.teams import TeamCreate
from adaptive_engine.wire.users import UserCreate


@pytest.mark.parametrize(
    ("kind", "body", "param", "words"),
    [
        (MetricCreate, {"project": "default", "key": "a//b"}, "key", "visible text"),
        (TeamCreate, {"key": "a b"}, "key", "letters, digits"),
        (UserCreate, {"name": "Ada", "email": "ada"}, "email", "no e-mail address"),
    ],
)
def test_nobody_is_told_a_regular_expression(
    kind: type[BaseModel], body: dict[str, str], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as refusal:
        parse(kind, json.dumps(body).encode())
    assert refusal.value.param == param
    assert "pattern" not in refusal.value.message


ID = "01890000-0000-7000-8000-000000000003"
NUMBER_OR_BOOLEAN = "Input should be a number, true or false."
TEXT_OR_LIST = "Input should be a string or a list."
PART = 'a part is an object whose "type" is "text" or "image_url".'


def refusal(kind: type[BaseModel], body: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        parse(kind, json.dumps(body).encode())
    return refused.value


def asked(content: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize("value", ["4", None, [4]])
def test_a_score_of_another_type_is_told_all_that_there_are(value: Any) -> None:
    refused = refusal(FeedbackCreate, {"completion_id": ID, "metric": "a", "value": value})
    assert (refused.param, refused.message) == ("value", f"value: {NUMBER_OR_BOOLEAN}")


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({**asked("Hi"), "stop": 5}, "stop", TEXT_OR_LIST),
        ({**asked("Hi"), "stop": [1]}, "stop[0]", "Input should be a valid string."),
        (asked(5), "messages[0].content", TEXT_OR_LIST),
        (asked({"type": "text", "text": "Hi"}), "messages[0].content", TEXT_OR_LIST),
        (asked([5]), "messages[0].content[0]", "Input should be an object."),
        (asked([{"text": "Hi"}]), "messages[0].content[0]", PART),
        (asked([{"type": None}]), "messages[0].content[0]", PART),
        (
            asked([{"type": "text", "text": "Hi"}, {"type": "input_audio", "input_audio": {}}]),
            "messages[0].content[1]",
            PART,
        ),
        (asked([{"type": "text"}]), "messages[0].content[0].text", "this field is required."),
        (
            asked([{"type": "image_url", "image_url": 5}]),
            "messages[0].content[0].image_url",
            "Input should be a string or an object.",
        ),
        (
            {**asked(5), "temperature": "hot", "stop": 5},
            "messages[0].content",
            f"{TEXT_OR_LIST[:-1]} (2 more problems).",
        ),
        (
            {**asked("Hi"), "response_format": {"type": "json_schema", "json_schema": {"schema": 5}}},
            "response_format.json_schema.schema",
            "Input should be an object, true or false.",
        ),
    ],
)
def test_of_alternatives_the_one_that_was_meant_is_told_or_all(body: dict[str, Any], param: str, words: str) -> None:
    refused = refusal(ChatRequest, body)
    assert (refused.param, refused.message) == (param, f"{param}: {words}")


@pytest.mark.parametrize(
    ("answer", "param", "words"),
    [
        (5, "preferred_completion", "a UUID or an object"),
        ("five", "preferred_completion", "a valid UUID"),
        ({"text": "Hi"}, "preferred_completion.model", "required"),
    ],
)
def test_a_completion_is_told_as_an_id_or_a_text(answer: Any, param: str, words: str) -> None:
    refused = refusal(ComparisonCreate, {"metric": "a", "preferred_completion": answer, "other_completion": ID})
    assert refused.param == param
    assert words in refused.message
