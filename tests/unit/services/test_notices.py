"""What a request asks for in vain is said; what is there by habit, or by our own hand, is not."""

from __future__ import annotations

from typing import Any

import pytest

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services.images import DecodedImages
from adaptive_engine.services.notices import request_notices, require_known_images
from adaptive_engine.types import uuid7
from adaptive_engine.wire.chat import ChatRequest, Message

HELLO = {"role": "user", "content": "Hi"}


def request(*messages: dict[str, Any], **fields: Any) -> ChatRequest:
    return ChatRequest.model_validate({"model": "m", "messages": list(messages) or [HELLO], **fields})


def params(given: ChatRequest) -> list[str | None]:
    return [notice.param for notice in request_notices(given)]


def test_unknown_fields_of_texts_are_named() -> None:
    part = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}, "image_url": "data:image/png;base64,"}
    assert params(request({"role": "user", "content": [part]})) == [
        "messages[].content[].cache_control",
        "messages[].content[].image_url",
    ]


def test_unknown_fields_of_texts_are_stored() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "Hi", "foo": 1}]}
    assert DecodedImages().stored_messages(request(message).messages, uuid7()) == [message]


def test_our_own_answers_are_taken_back_without_a_warning() -> None:
    reasons = {"reasoning": "They greet.", "reasoning_content": "They greet."}
    answered = {"id": "msg-1", "role": "assistant", "content": "Hello.", **reasons}
    habits = {"refusal": None, "annotations": [], "tool_calls": None}
    assert params(request(HELLO, {**answered, **habits}, HELLO)) == []
    assert params(request({**HELLO, "id": "msg-1"})) == ["messages[].id"]


@pytest.mark.parametrize("kind", ["text", "json_object"])
def test_a_schema_that_its_type_does_not_read_is_said(kind: str) -> None:
    wanted = {"type": kind, "json_schema": {"name": "a", "schema": {"type": "object"}}}
    (notice,) = request_notices(request(response_format=wanted))
    assert notice.param == "response_format.json_schema"
    assert '"json_schema"' in notice.message


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": "data:,", "text": "Hi"}, "messages[0].content[1].text"),
        ({"type": "image_url", "image_url": {"url": "data:,", "alt": "Hi"}}, "messages[0].content[1].image_url.alt"),
    ],
)
def test_what_would_not_be_stored_beside_an_image_is_refused(part: dict[str, Any], param: str) -> None:
    text = {"type": "text", "text": "Hi", "kept": 1}
    with pytest.raises(InvalidRequest, match="would not be stored") as refused:
        require_known_images([Message.model_validate({"role": "user", "content": [text, part]})])
    assert refused.value.param == param


def test_an_image_alone_is_stored() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:,", "detail": "low"}, "cache_control": None}
    require_known_images([Message.model_validate({"role": "user", "content": [image]})])
