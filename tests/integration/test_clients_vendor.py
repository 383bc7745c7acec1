"""The vendor's client, adaptive-sdk 0.14.2, against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any
from uuid import UUID, uuid4

import httpx_sse
import pydantic
import pytest
from adaptive_sdk import Adaptive, AsyncAdaptive
from adaptive_sdk.rest.rest_types import ChatResponse

from integration.recorder import recording
from integration.server import MODEL, Server
from integration.wire import GREEDY, PROMPT, chat, listed, stored, text, unique


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    assert version("adaptive-sdk") == "0.14.2"
    made = Adaptive(server.url, server.api_key)
    made.set_default_project("default")
    yield made
    made.close()


@pytest.fixture(scope="module")
def answer(client: Adaptive) -> ChatResponse:
    return client.chat.create(PROMPT, model=MODEL, **GREEDY)


def sent(base: str = "{}", **arguments: Any) -> tuple[str, dict[str, Any]]:
    """The path and body of a chat with `arguments`, for a client made with `base`."""
    with recording() as recorder:
        client = Adaptive(base.format(recorder.url), "key")
        client.chat.create(PROMPT, **{"project": "p", **arguments})
        client.close()
    return recorder.paths[0], recorder.bodies[0]


def test_s1_s33_the_text_is_that_of_plain_http(server: Server, answer: ChatResponse) -> None:
    assert answer.choices[0].message.content == text(chat(server))


@pytest.mark.parametrize(("model", "spelled"), [("m", "p/m"), (None, "p"), ("", "p/")])
def test_s8_s10_s12_the_client_joins_project_and_model(model: str | None, spelled: str) -> None:
    assert sent(model=model)[1]["model"] == spelled


@pytest.mark.parametrize("model", [MODEL, None, ""])
def test_s8_s9_s12_s16_model_key_or_default(client: Adaptive, model: str | None) -> None:
    assert client.chat.create(PROMPT, model=model, max_tokens=1).choices[0].model == MODEL


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("{}/", "/api/v1/chat/completions"),
        ("{}///", "/api/v1/chat/completions"),
        ("{}/prefix/", "/prefix/api/v1/chat/completions"),
    ],
)
def test_s13_base_urls(base: str, path: str) -> None:
    assert sent(base)[0] == path


def test_s13_trailing_slashes_reach_the_server(server: Server) -> None:
    client = Adaptive(f"{server.url}///", server.api_key)
    assert client.chat.create(PROMPT, project="default", max_tokens=1).choices
    client.close()


def test_s15_a_client_needs_a_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAPTIVE_API_KEY", raising=False)
    with pytest.raises(ValueError, match="API key not found"):
        Adaptive(server.url)


def test_s17_s18_s112_all_three_roles(client: Adaptive) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        *PROMPT,
    ]
    assert client.chat.create(messages, max_tokens=2).choices[0].message.role == "assistant"


def test_s19_s40_labels_are_stored(server: Server, client: Adaptive) -> None:
    run = unique()
    answer = client.chat.create(PROMPT, max_tokens=1, labels={"run": run})
    (row,) = listed(server, f"run={run}")
    assert row["completion_id"] == answer.choices[0].completion_id


def test_s22_s23_s24_s25_generation_parameters(server: Server, client: Adaptive) -> None:
    answer = client.chat.create(PROMPT, temperature=0.5, top_p=0.5, max_tokens=2, stop=["\n\n\n"])
    row = stored(server, answer.choices[0].completion_id)
    assert row is not None
    expected = {"temperature": 0.5, "top_p": 0.5, "max_tokens": 2, "stop": ["\n\n\n"]}
    assert {name: row["parameters"][name] for name in expected} == expected


@pytest.mark.parametrize("kind", [str, UUID])
def test_s26_session_id_as_text_or_uuid(client: Adaptive, kind: type) -> None:
    session = uuid4()
    answer = client.chat.create(PROMPT, max_tokens=1, session_id=kind(str(session)))
    assert answer.session_id == session


def test_s26_a_session_id_that_is_no_uuid_is_not_sent(client: Adaptive) -> None:
    with pytest.raises(ValueError, match="badly formed"):
        client.chat.create(PROMPT, session_id="monday")


def test_s27_store_false(server: Server, client: Adaptive) -> None:
    answer = client.chat.create(PROMPT, max_tokens=1, store=False)
    assert stored(server, answer.choices[0].completion_id) is None


def test_s30_stream_options_are_always_sent() -> None:
    assert sent()[1]["stream_options"] == {}


def test_s31_the_user_is_recorded(server: Server, client: Adaptive) -> None:
    user = uuid4()
    answer = client.chat.create(PROMPT, max_tokens=1, user=user)
    row = stored(server, answer.choices[0].completion_id)
    assert row is not None
    assert row["user"] == str(user)


def test_s34_s36_s37_s38_s39_an_answer_is_pydantic_and_complete(answer: ChatResponse) -> None:
    assert isinstance(answer, pydantic.BaseModel)
    assert answer.choices[0].model == MODEL
    assert UUID(answer.choices[0].completion_id)
    assert isinstance(answer.session_id, UUID)
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_s29_s43_to_s50_a_stream(server: Server, client: Adaptive, answer: ChatResponse) -> None:
    chunks = list(client.chat.create(PROMPT, stream=True, stream_include_usage=True, **GREEDY))
    read = ""
    for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            read += chunk.choices[0].delta.content
    assert read == answer.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage == answer.usage
    assert chunks[-2].choices[0].finish_reason == "length"
    (completion_id,) = {chunk.choices[0].completion_id for chunk in chunks[:-1]}
    row = stored(server, completion_id)
    assert row is not None
    assert row["completion"] == read


async def test_s1_s43_s49_asynchronously(server: Server, answer: ChatResponse) -> None:
    client = AsyncAdaptive(server.url, server.api_key)
    client.set_default_project("default")
    whole = await client.chat.create(PROMPT, **GREEDY)
    stream = await client.chat.create(PROMPT, stream=True, **GREEDY)
    read = "".join([chunk.choices[0].delta.content async for chunk in stream if chunk.choices])
    await client.close()
    assert whole.choices[0].message.content == read == answer.choices[0].message.content


def test_s3_s7_errors_reach_the_caller(server: Server, client: Adaptive) -> None:
    with pytest.raises(Exception, match=r"404.*EntityNotFound: Project 'nowhere' does not exist"):
        client.chat.create(PROMPT, project="nowhere")
    stranger = Adaptive(server.url, "wrong")
    with pytest.raises(Exception, match=r"401.*API key"):
        stranger.chat.create(PROMPT, project="default")
    stranger.close()
    # This client hides the status of an error that comes instead of a stream; it must end all the same.
    with pytest.raises(httpx_sse.SSEError):
        list(client.chat.create(PROMPT, project="nowhere", stream=True))
