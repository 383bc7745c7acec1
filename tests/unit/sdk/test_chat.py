from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, get_type_hints
from uuid import UUID, uuid4

import pytest

from adaptive_engine.sdk import APIError
from adaptive_engine.sdk._async.chat import AsyncChat
from adaptive_engine.sdk.payloads import ChatOptions, ParseOptions
from adaptive_engine.wire.chat import ChatRequest, ChatResponse, Message
from unit.sdk.both import result
from unit.sdk.scripted import COMPLETION, SESSION, Reply, ScriptedServer, answer

HELLO = [{"role": "user", "content": "Hello!"}]


@pytest.fixture(autouse=True)
def _answers(server: ScriptedServer) -> None:
    server.replies(answer())


async def test_response(client) -> None:
    response = await result(client.chat.create(HELLO))
    assert isinstance(response, ChatResponse)
    assert response.choices[0].message.content == "Hello."
    assert response.choices[0].completion_id == UUID(COMPLETION)
    assert response.session_id == UUID(SESSION)
    assert response.usage.total_tokens == 5


@pytest.mark.parametrize("messages", ["Hello!", HELLO[0]])
async def test_a_text_is_not_taken_for_a_list_of_messages(server: ScriptedServer, client, messages: Any) -> None:
    with pytest.raises(ValueError, match="messages is no list"):
        await result(client.chat.create(messages))
    assert not server.received


async def test_what_is_not_given_is_not_sent(server: ScriptedServer, client) -> None:
    await result(client.chat.create(HELLO))
    assert server.last.body == {"model": "proj", "messages": HELLO, "stream": False}


async def test_every_argument_reaches_the_wire(server: ScriptedServer, client) -> None:
    session, user = uuid4(), uuid4()
    given: dict[str, Any] = {
        "model": "m",
        "project": "p",
        "stop": ["\n"],
        "max_tokens": 5,
        "temperature": 0.0,
        "top_p": 0.5,
        "seed": 1,
        "n": 2,
        "session_id": session,
        "user": user,
        "labels": {"lang": "de"},
        "store": False,
        "response_format": {"type": "json_object"},
        "ab_campaign": "test",
        "max_ttft_ms": 100,
        "system_prompt_args": {"name": "Ada"},
        "ignore_eos": True,
        "stream_include_usage": False,
    }
    await result(client.chat.create(HELLO, **given, extra_body={"tags": ["a"], "top_p": 0.6}))
    renamed = {name: given[name] for name in given if name not in ("project", "stream_include_usage")}
    assert server.last.body == {
        **renamed,
        "model": "p/m",
        "messages": HELLO,
        "stream": False,
        "stream_options": {"include_usage": False},
        "session_id": str(session),
        "user": str(user),
        "top_p": 0.6,
        "tags": ["a"],
    }
    assert not ChatRequest.model_validate_json(json.dumps(server.last.body)).model_extra


@pytest.mark.parametrize(
    ("call", "model"), [({}, "proj"), ({"model": ""}, "proj"), ({"model": "m"}, "proj/m"), ({"project": "p"}, "p")]
)
async def test_model_on_the_wire(server: ScriptedServer, client, call: dict[str, str], model: str) -> None:
    await result(client.chat.create(HELLO, **call))
    assert server.last.body["model"] == model


async def test_use_case_is_deprecated(server: ScriptedServer, client) -> None:
    with pytest.warns(DeprecationWarning, match="project") as seen:
        await result(client.chat.create(HELLO, use_case="old", model="m"))
    # The test itself, or the helper that awaits for it: either way the caller and not the SDK.
    assert Path(seen[0].filename).parent == Path(__file__).parent
    assert server.last.body["model"] == "old/m"
    with pytest.warns(DeprecationWarning, match="project"), pytest.raises(ValueError, match="project only"):
        await result(client.chat.create(HELLO, use_case="old", project="new"))


async def test_session_id_must_be_a_uuid(server: ScriptedServer, client) -> None:
    with pytest.raises(ValueError, match=r"session_id.*UUID"):
        await result(client.chat.create(HELLO, session_id="my-session"))
    assert server.received == []
    await result(client.chat.create(HELLO, session_id=SESSION, user="anyone"))
    assert (server.last.body["session_id"], server.last.body["user"]) == (SESSION, "anyone")


async def test_messages_may_be_typed(server: ScriptedServer, client) -> None:
    first = await result(client.chat.create([Message(role="user", content="Hi"), *HELLO]))
    assert server.last.body["messages"] == [{"role": "user", "content": "Hi"}, *HELLO]
    await result(client.chat.create([*HELLO, first.choices[0].message]))
    assert server.last.body["messages"][1] == {"id": "m", "role": "assistant", "content": "Hello."}


@pytest.mark.parametrize("content", [b"<html>hi</html>", b"{}", b""])
async def test_foreign_answer_is_an_error(server: ScriptedServer, client, content: bytes) -> None:
    server.replies(Reply(content=content, headers={"x-request-id": "r1"}))
    with pytest.raises(APIError, match="base_url") as caught:
        await result(client.chat.create(HELLO))
    assert caught.value.body == content.decode()
    assert caught.value.request_id == "r1"


def test_options_of_the_overloads_are_those_of_the_method() -> None:
    arguments = inspect.signature(AsyncChat.create).parameters.keys() - {"self", "messages", "stream"}
    assert arguments == get_type_hints(ChatOptions).keys()
    assert arguments - {"response_format", "stream_include_usage"} == get_type_hints(ParseOptions).keys()
