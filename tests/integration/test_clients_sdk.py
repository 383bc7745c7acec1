"""Our own SDK against a real server."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from adaptive_engine.sdk import Adaptive, AsyncAdaptive, AuthenticationError, BadRequestError, NotFoundError
from adaptive_engine.wire.chat import ChatResponse
from integration.recorder import recording
from integration.server import MODEL, Server
from integration.wire import GREEDY, PROMPT, chat, text, unique


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    with Adaptive(server.url, server.api_key, default_project="default", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def answer(client: Adaptive) -> ChatResponse:
    return client.chat.create(PROMPT, model=MODEL, **GREEDY)


def test_s1_s33_the_text_is_that_of_plain_http(server: Server, answer: ChatResponse) -> None:
    assert answer.choices[0].message.content == text(chat(server))


@pytest.mark.parametrize(("model", "spelled"), [("m", "p/m"), (None, "p"), ("", "p")])
@pytest.mark.parametrize("base", ["{}/", "{}///", "{}/prefix/"])
def test_s8_s13_what_is_sent(base: str, model: str | None, spelled: str) -> None:
    with recording() as recorder, Adaptive(base.format(recorder.url), "key") as client:
        client.chat.create(PROMPT, project="p", model=model)
    prefix = base.format("").rstrip("/")
    assert recorder.paths == [f"{prefix}/api/v1/chat/completions"]
    assert recorder.bodies[0]["model"] == spelled


def test_s9_s16_without_a_model(client: Adaptive) -> None:
    assert client.chat.create(PROMPT, max_tokens=1).choices[0].model == MODEL


def test_s14_use_case_is_the_older_name_of_project(client: Adaptive) -> None:
    with pytest.warns(DeprecationWarning, match="use_case"):
        assert client.chat.create(PROMPT, use_case="default", model=MODEL, max_tokens=1).choices


def test_s15_a_client_needs_a_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAPTIVE_API_KEY", raising=False)
    with pytest.raises(ValueError, match="ADAPTIVE_API_KEY"):
        Adaptive(server.url)


def test_s19_s20_s113_labels_filter(client: Adaptive) -> None:
    run, topic = unique(), "billing questions"
    answer = client.chat.create(PROMPT, max_tokens=1, labels={"run": run, "topic": topic})
    for wanted in ([{"key": "run", "value": [run]}], [{"key": "run", "value": run}, {"key": "topic"}]):
        (row,) = client.interactions.list(filters={"labels": wanted})
        assert row.completion_id == answer.choices[0].completion_id
        assert row.labels == {"run": run, "topic": topic}


@pytest.mark.parametrize("kind", [str, UUID])
def test_s26_session_id_as_text_or_uuid(client: Adaptive, kind: type) -> None:
    session = uuid4()
    assert client.chat.create(PROMPT, max_tokens=1, session_id=kind(str(session))).session_id == session


def test_s26_a_session_id_that_is_no_uuid_is_not_sent(client: Adaptive) -> None:
    with pytest.raises(ValueError, match="session_id"):
        client.chat.create(PROMPT, session_id="monday")


def test_s27_store_false(client: Adaptive) -> None:
    answer = client.chat.create(PROMPT, max_tokens=1, store=False)
    assert client.interactions.get(answer.choices[0].completion_id) is None


def test_s40_an_interaction_by_completion_id(client: Adaptive, answer: ChatResponse) -> None:
    row = client.interactions.get(answer.choices[0].completion_id)
    assert row is not None
    assert row.messages == PROMPT
    assert (row.completion, row.model) == (answer.choices[0].message.content, MODEL)
    assert (row.usage, row.session_id) == (answer.usage, answer.session_id)


def test_s35_s42_register_a_key_and_log_a_metric(client: Adaptive) -> None:
    key = f"helpful/{uuid4().hex[:8]}"
    metric = client.feedback.register_key(key, kind="bool")
    assert client.feedback.get_key(key) == metric
    answer = client.chat.create(PROMPT, max_tokens=1)
    logged = client.feedback.log_metric(True, answer.choices[0].completion_id, key, details="yes", user=uuid4())
    row = client.interactions.get(answer.choices[0].completion_id)
    assert row is not None
    (score,) = row.scores
    assert (score.id, score.metric, score.value, score.details) == (logged.feedback_id, key, 1, "yes")


def test_s36_two_choices(client: Adaptive) -> None:
    answer = client.chat.create(PROMPT, max_tokens=2, temperature=1.5, n=2)
    assert len({choice.completion_id for choice in answer.choices}) == 2


def test_s29_s41_s43_to_s50_a_stream(client: Adaptive, answer: ChatResponse) -> None:
    with client.chat.create(PROMPT, stream=True, stream_include_usage=True, **GREEDY) as stream:
        chunks = list(stream)
    read = "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)
    assert read == answer.choices[0].message.content
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == answer.usage.total_tokens
    row = client.interactions.get(chunks[0].choices[0].completion_id)
    assert row is not None
    assert row.completion == read


async def test_s1_s43_s49_asynchronously(server: Server, answer: ChatResponse) -> None:
    async with AsyncAdaptive(server.url, server.api_key, default_project="default") as client:
        whole = await client.chat.create(PROMPT, **GREEDY)
        async with await client.chat.create(PROMPT, stream=True, **GREEDY) as stream:
            read = "".join([chunk.choices[0].delta.content async for chunk in stream if chunk.choices])
        row = await client.interactions.get(whole.choices[0].completion_id)
    assert whole.choices[0].message.content == read == answer.choices[0].message.content
    assert row is not None
    assert row.completion == read


def test_s3_s7_s17_errors_have_types(server: Server, client: Adaptive) -> None:
    with pytest.raises(NotFoundError, match="Project 'nowhere' does not exist"):
        client.chat.create(PROMPT, project="nowhere")
    with pytest.raises(NotFoundError):
        client.chat.create(PROMPT, project="nowhere", stream=True)
    with pytest.raises(BadRequestError, match=r"messages\[0\]\.content"):
        client.chat.create([{"role": "user"}])
    with Adaptive(server.url, "wrong", default_project="default") as stranger, pytest.raises(AuthenticationError):
        stranger.chat.create(PROMPT)
