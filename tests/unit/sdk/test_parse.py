from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, field_validator

from adaptive_engine.sdk import (
    AdaptiveSDKError,
    APIError,
    BadRequestError,
    LengthFinishReasonError,
    ResponseParseError,
    StreamInterruptedError,
)
from adaptive_engine.sdk.parsing import ParsedChatResponse
from adaptive_engine.sdk.schemas import json_schema
from adaptive_engine.wire.chat import ChatResponse
from unit.sdk.both import collect, each, result
from unit.sdk.scripted import DONE, Reply, ScriptedServer, answer, chunk, error_body, event, stream

HELLO = [{"role": "user", "content": "Hello!"}]


class Item(BaseModel):
    name: str
    count: int = Field(alias="n")

    @field_validator("name")
    @classmethod
    def _no_shouting(cls, name: str) -> str:
        if name.isupper():
            raise ValueError("no shouting")
        return name


@dataclasses.dataclass
class Point:
    x: int


TEXT = '{"name": "nut", "n": 3}'
ITEM = Item(name="nut", n=3)


async def test_answer_as_an_instance(server: ScriptedServer, client) -> None:
    server.replies(answer(TEXT))
    response = await result(client.chat.parse(HELLO, response_format=Item, model="m", max_tokens=9, complete=True))
    assert isinstance(response, ParsedChatResponse)
    assert isinstance(response, ChatResponse)
    message = response.choices[0].message
    assert type(message.parsed) is Item
    assert (message.parsed, message.content) == (ITEM, TEXT)
    assert response.usage.total_tokens == 5
    spec = {"name": "Item", "schema": json_schema(Item), "complete": True}
    assert server.last.body == {
        "model": "proj/m",
        "messages": HELLO,
        "stream": False,
        "max_tokens": 9,
        "response_format": {"type": "json_schema", "json_schema": spec},
    }


@pytest.mark.parametrize(
    ("kind", "text", "parsed"),
    [
        (list[Item], f"[{TEXT}]", [ITEM]),
        (Point, '{"x": 1}', Point(1)),
        (TypeAdapter(Item | None), "null", None),
        (TypeAdapter(Item | Point), '{"x": 1}', Point(1)),
        (int, "12", 12),
    ],
)
async def test_other_types(server: ScriptedServer, client, kind: Any, text: str, parsed: Any) -> None:
    server.replies(answer(text))
    response = await result(client.chat.parse(HELLO, response_format=kind))
    assert response.choices[0].message.parsed == parsed


async def test_every_choice_is_parsed(server: ScriptedServer, client) -> None:
    server.replies(answer("1", "2"))
    response = await result(client.chat.parse(HELLO, response_format=int, n=2))
    assert [choice.message.parsed for choice in response.choices] == [1, 2]


async def test_no_text_is_no_instance(server: ScriptedServer, client) -> None:
    server.replies(answer(""))
    assert (await result(client.chat.parse(HELLO, response_format=Item))).choices[0].message.parsed is None


async def test_dumps_are_those_of_the_wire(server: ScriptedServer, client) -> None:
    reply = answer(TEXT)
    server.replies(reply)
    response = await result(client.chat.parse(HELLO, response_format=Item))
    assert response.model_dump(mode="json") == ChatResponse.model_validate(reply.body).model_dump(mode="json")
    await result(client.chat.parse([*HELLO, response.choices[0].message], response_format=Item))
    assert server.last.body["messages"][1] == {"id": "m", "role": "assistant", "content": TEXT}


@pytest.mark.parametrize("text", ["", '{"name": "nu', '{"name"', "["])
async def test_answer_that_was_cut_off(server: ScriptedServer, client, text: str) -> None:
    server.replies(answer(text, finish_reason="length"))
    with pytest.raises(LengthFinishReasonError, match=r"max_tokens.*complete=True") as caught:
        await result(client.chat.parse(HELLO, response_format=Item, max_tokens=3))
    assert isinstance(caught.value, ResponseParseError)
    assert isinstance(caught.value, AdaptiveSDKError)
    assert not isinstance(caught.value, APIError)
    assert (caught.value.content, caught.value.index) == (text, 0)
    assert caught.value.response is not None
    assert caught.value.response.usage.total_tokens == 5


async def test_number_that_was_cut_off_is_not_taken_for_another(server: ScriptedServer, client) -> None:
    server.replies(answer("12", finish_reason="length"))
    with pytest.raises(LengthFinishReasonError):
        await result(client.chat.parse(HELLO, response_format=int))


async def test_json_that_was_complete_at_the_limit_is_parsed(server: ScriptedServer, client) -> None:
    server.replies(answer(TEXT, finish_reason="length"))
    response = await result(client.chat.parse(HELLO, response_format=Item, complete=True))
    assert response.choices[0].message.parsed == ITEM


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "NUT", "n": 3}', "name: Value error, no shouting"),
        ('{"name": "nut"}', "n: Field required"),
        ("{}", r"Field required \(2 errors\)"),
        ("Certainly!", "Invalid JSON"),
    ],
)
async def test_answer_that_is_not_valid(server: ScriptedServer, client, text: str, message: str) -> None:
    server.replies(answer(TEXT, text))
    with pytest.raises(ResponseParseError, match=message) as caught:
        await result(client.chat.parse(HELLO, response_format=Item))
    error = caught.value
    assert type(error) is ResponseParseError
    assert isinstance(error.__cause__, ValidationError)
    assert (error.content, error.index) == (text, 1)
    assert error.response is not None
    assert error.response.choices[0].message.content == TEXT


async def test_the_servers_warning_says_why(server: ScriptedServer, client) -> None:
    warning = {"code": "schema_dropped", "message": "The schema was not enforced.", "param": "response_format"}
    other = {"code": "x", "message": "Something else.", "param": "tags"}
    server.replies(answer("Certainly!", warnings=[warning, other]))
    with pytest.raises(ResponseParseError, match=r"\. The schema was not enforced\.$"):
        await result(client.chat.parse(HELLO, response_format=Item))


async def test_failures_are_those_of_create(server: ScriptedServer, client) -> None:
    server.replies(Reply(error_body("Schema too large.", param="response_format"), status=400))
    with pytest.raises(BadRequestError, match="Schema too large"):
        await result(client.chat.parse(HELLO, response_format=Item, strict=True))
    assert server.last.body["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize("wrong", [None, {"type": "json_object"}, ITEM, 3])
async def test_only_types_can_be_parsed(server: ScriptedServer, client, wrong: Any) -> None:
    with pytest.raises(ValueError, match="response_format is"):
        await result(client.chat.parse(HELLO, response_format=wrong))
    assert server.received == []


async def test_streams_are_not_for_parse(server: ScriptedServer, client) -> None:
    with pytest.raises(TypeError, match="stream"):
        await result(client.chat.parse(HELLO, response_format=Item, stream=True))
    assert server.received == []


async def test_use_case_is_deprecated(server: ScriptedServer, client) -> None:
    server.replies(answer(TEXT))
    with pytest.warns(DeprecationWarning, match="project") as seen:
        await result(client.chat.parse(HELLO, response_format=Item, use_case="old"))
    assert Path(seen[0].filename).parent == Path(__file__).parent
    assert server.last.body["model"] == "old"


async def test_stream_as_an_instance(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=[*(event(chunk(text)) for text in TEXT), event(chunk("", "stop")), DONE]))
    chunks = await result(client.chat.create(HELLO, response_format=Item, stream=True))
    seen = [item.choices[0].delta.content async for item in each(chunks)]
    assert json.loads("".join(seen)) == {"name": "nut", "n": 3}
    assert await result(chunks.parse(Item)) == ITEM
    assert await result(chunks.parse(TypeAdapter(dict[str, Any]))) == {"name": "nut", "n": 3}
    assert server.last.body["response_format"]["json_schema"]["name"] == "Item"


async def test_parsing_reads_the_rest_of_the_stream(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=[event(chunk("[1,")), event(chunk(" 2]")), event(chunk("", "stop")), DONE]))
    chunks = await result(client.chat.create(HELLO, response_format=list[int], stream=True))
    async for _ in each(chunks):
        break
    assert await result(chunks.parse(list[int])) == [1, 2]
    assert await collect(chunks) == []


async def test_choices_of_a_stream_are_kept_apart(server: ScriptedServer, client) -> None:
    def of(index: int, text: str, finish_reason: str | None = None) -> bytes:
        body = chunk(text, finish_reason)
        body["choices"][0]["index"] = index
        return event(body)

    frames = [of(0, "[1"), of(1, "[2"), of(1, "]", "stop"), of(0, "]", "stop"), event(chunk(None)), DONE]
    server.replies(Reply(frames=frames))
    chunks = await result(client.chat.create(HELLO, response_format=list[int], stream=True, n=2))
    assert await result(chunks.parse(list[int], 1)) == [2]
    assert await result(chunks.parse(list[int])) == [1]
    with pytest.raises(StreamInterruptedError, match="Choice 2"):
        await result(chunks.parse(list[int], 2))


async def test_stream_that_was_cut_off(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=[event(chunk('{"name"')), event(chunk("", "length")), DONE]))
    chunks = await result(client.chat.create(HELLO, response_format=Item, stream=True))
    with pytest.raises(LengthFinishReasonError) as caught:
        await result(chunks.parse(Item))
    assert (caught.value.content, caught.value.response) == ('{"name"', None)


async def test_stream_that_is_not_valid(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=stream("Certainly!")))
    chunks = await result(client.chat.create(HELLO, response_format=Item, stream=True))
    with pytest.raises(ResponseParseError, match="Invalid JSON") as caught:
        await result(chunks.parse(Item))
    assert caught.value.content == "Certainly!"


async def test_stream_without_its_end_is_not_parsed(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=[event(chunk("12"))], headers={"x-request-id": "r1"}))
    chunks = await result(client.chat.create(HELLO, response_format=int, stream=True))
    for _ in range(2):
        with pytest.raises(StreamInterruptedError) as caught:
            await result(chunks.parse(int))
        assert caught.value.request_id == "r1"


async def test_closed_stream_is_not_parsed(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=stream("1", "2")))
    chunks = await result(client.chat.create(HELLO, response_format=int, stream=True))
    await result(chunks.close())
    with pytest.raises(StreamInterruptedError, match="nothing to parse"):
        await result(chunks.parse(int))
