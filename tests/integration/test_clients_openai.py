"""OpenAI's own Python library against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletion

from integration.server import MODEL, Server
from integration.wire import GREEDY, PROMPT, chat, interaction, listed, stored, text, unique


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/api/v1", api_key=server.api_key, max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def answer(client: openai.OpenAI) -> ChatCompletion:
    return client.chat.completions.create(model=f"default/{MODEL}", messages=PROMPT, **GREEDY)


def test_s1_s33_the_text_is_that_of_plain_http(server: Server, answer: ChatCompletion) -> None:
    assert answer.choices[0].message.content == text(chat(server))


def test_s6_s7_an_answer_is_a_chat_completion(server: Server, answer: ChatCompletion) -> None:
    assert isinstance(answer, ChatCompletion)
    assert answer.object == "chat.completion"
    assert (answer.model, answer.choices[0].model) == (MODEL, MODEL)
    row = stored(server, answer.choices[0].completion_id)
    assert row is not None
    assert row["project"] == "default"


@pytest.mark.parametrize("base", ["{}//api/v1", "{}/api/v1/", "{}//api/v1//", "{}/v1", "{}/v1/"])
def test_s13_base_urls_with_more_slashes(server: Server, base: str) -> None:
    with openai.OpenAI(base_url=base.format(server.url), api_key=server.api_key, max_retries=0) as client:
        assert client.chat.completions.create(model="default", messages=PROMPT, max_tokens=1).choices


def test_s15_a_client_needs_a_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(openai.OpenAIError):
        openai.OpenAI(base_url=server.api)


def test_s34_s39_an_answer_is_pydantic_and_complete(answer: ChatCompletion) -> None:
    assert isinstance(answer, pydantic.BaseModel)
    assert ChatCompletion.model_validate_json(answer.model_dump_json()) == answer
    usage = answer.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_s35_s37_vendor_fields_are_extra_attributes(server: Server, answer: ChatCompletion) -> None:
    row = stored(server, answer.choices[0].completion_id)
    assert row is not None
    assert row["completion"] == answer.choices[0].message.content
    assert row["session_id"] == answer.session_id


def test_s43_s44_s49_a_stream(client: openai.OpenAI, answer: ChatCompletion) -> None:
    options = {"include_usage": True}
    with client.chat.completions.create(
        model="default", messages=PROMPT, stream=True, stream_options=options, **GREEDY
    ) as stream:
        chunks = list(stream)
    read = "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)
    assert read == answer.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == answer.usage.total_tokens
    assert chunks[-2].choices[0].finish_reason == "length"


async def test_s1_s43_s49_asynchronously(server: Server, answer: ChatCompletion) -> None:
    async with openai.AsyncOpenAI(base_url=server.api, api_key=server.api_key, max_retries=0) as client:
        whole = await client.chat.completions.create(model="default", messages=PROMPT, **GREEDY)
        stream = await client.chat.completions.create(model="default", messages=PROMPT, stream=True, **GREEDY)
        read = "".join([chunk.choices[0].delta.content async for chunk in stream if chunk.choices])
    assert whole.choices[0].message.content == read == answer.choices[0].message.content


def test_s24_s32_parameters_in_openais_spelling(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="default",
        messages=[{"role": "developer", "content": "Be brief."}, *PROMPT],
        max_completion_tokens=3,
        seed=3,
        stop="never to be seen",
        n=2,
        logit_bias={"1": 2},
        presence_penalty=0.5,
        service_tier="auto",
    )
    assert len(answer.choices) == 2
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 6


def test_s32_vendor_parameters_go_through_extra_body(server: Server, client: openai.OpenAI) -> None:
    session = str(uuid4())
    answer = client.chat.completions.create(
        model="default", messages=PROMPT, max_tokens=1, store=False, extra_body={"session_id": session}
    )
    assert answer.session_id == session
    assert listed(server, session_id=session) == []


def test_s31_user_may_be_any_string(server: Server, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="default", messages=PROMPT, max_tokens=1, user="user-1234")
    assert interaction(server, answer.model_dump())["user"] == "user-1234"


def test_s107_metadata_is_stored_as_labels(server: Server, client: openai.OpenAI) -> None:
    run = unique()
    answer = client.chat.completions.create(model="default", messages=PROMPT, max_tokens=1, metadata={"run": run})
    (row,) = listed(server, f"run={run}")
    assert row["completion_id"] == answer.choices[0].completion_id


def test_s108_labels_only_through_extra_body(server: Server, client: openai.OpenAI) -> None:
    run = unique()
    with pytest.raises(TypeError, match="labels"):
        client.chat.completions.create(model="default", messages=PROMPT, labels={"run": run})
    client.chat.completions.create(model="default", messages=PROMPT, max_tokens=1, extra_body={"labels": {"run": run}})
    assert len(listed(server, f"run={run}")) == 1


def test_s3_s7_errors_say_what_is_wrong(server: Server, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Project 'nowhere' does not exist") as unknown:
        client.chat.completions.create(model="nowhere", messages=PROMPT)
    assert unknown.value.code == "project_not_found"
    with pytest.raises(openai.BadRequestError, match="messages") as empty:
        client.chat.completions.create(model="default", messages=[])
    assert empty.value.param == "messages"
    with pytest.raises(openai.AuthenticationError, match="API key"):
        client.with_options(api_key="wrong").chat.completions.create(model="default", messages=PROMPT)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nowhere", messages=PROMPT, stream=True)


def test_s7_models_are_listed_as_requests_spell_them(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert f"default/{MODEL}" in ids
    assert client.models.retrieve(f"default/{MODEL}").id == f"default/{MODEL}"
