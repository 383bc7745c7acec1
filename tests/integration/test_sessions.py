"""Conversations over HTTP: what a session finds in the cache, and what nobody else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest
import requests

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.services import models
from adaptive_engine.store import Database, projects
from adaptive_engine.types import Project, now_ms, uuid7
from integration.server import MODEL, Server, place_model, start
from integration.wire import chat, text

Messages = list[dict[str, str]]


@pytest.fixture(scope="module")
def crowded(shallow_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A deterministic server with room for 1024 tokens, and a second project."""
    data_dir = tmp_path_factory.mktemp("crowded")
    place_model(shallow_model_dir.path, data_dir)
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.write() as connection:
        models.register(connection, shallow_model_dir)
        projects.create(connection, Project(uuid7(), "other", "Other", "", now_ms()))
        models.deploy(connection, "other", MODEL)
    running = start(data_dir, "--deterministic", env={"ADAPTIVE_ENGINE__KV_CACHE_LEN": "1024"}, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


def opening(name: str) -> Messages:
    return [{"role": "user", "content": f"My name is {name}. Tell me a story about the sea."}]


def then(messages: Messages, answer: dict[str, Any], question: str) -> Messages:
    return [*messages, {"role": "assistant", "content": text(answer)}, {"role": "user", "content": question}]


def cached(answer: dict[str, Any]) -> int:
    count: int = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
    return count


def seen(answer: dict[str, Any]) -> int:
    """Tokens that were computed for this turn: its prompt at least."""
    count: int = answer["usage"]["prompt_tokens"]
    return count


def noise(server: Server) -> None:
    """Three prompts without a session that together need more than the whole cache."""
    for number in range(3):
        chat(server, messages=[{"role": "user", "content": f"{number} " * 180}], max_tokens=1)


def test_sessions_take_turns_in_a_cache_that_others_fill(crowded: Server) -> None:
    names = ("Ada", "Bob", "Eve")
    sessions = [str(uuid4()) for _ in names]
    talks = [opening(name) for name in names]
    known = [0] * len(names)
    for question in ("What then?", "Who was it?", "The end?"):
        for at, session in enumerate(sessions):
            answer = chat(crowded, messages=talks[at], session_id=session, max_tokens=8)
            assert cached(answer) >= known[at]
            known[at] = seen(answer)
            talks[at] = then(talks[at], answer, question)
        noise(crowded)


def test_without_a_session_the_same_is_evicted(crowded: Server) -> None:
    first = chat(crowded, messages=opening("Max"), max_tokens=8)
    noise(crowded)
    assert cached(chat(crowded, messages=then(opening("Max"), first, "What then?"), max_tokens=8)) < seen(first)


def test_the_session_of_another_project_is_another_session(crowded: Server) -> None:
    session = str(uuid4())
    messages = opening(f"Canary {session}")
    first = chat(crowded, messages=messages, session_id=session, max_tokens=8)
    following = then(messages, first, "What is my name?")
    mine = chat(crowded, messages=following, session_id=session, max_tokens=8)
    theirs = chat(crowded, model="other", messages=following, session_id=session, max_tokens=8)
    assert cached(mine) >= seen(first)
    assert cached(theirs) == 0
    assert text(mine) == text(theirs)


def test_an_edited_history_reuses_less_and_is_answered_as_if_it_were_new(crowded: Server) -> None:
    session = str(uuid4())
    first = chat(crowded, messages=opening("Ann"), session_id=session, max_tokens=20)
    following = then(opening("Bea"), first, "What is my name?")
    edited = chat(crowded, messages=following, session_id=session, max_tokens=8)
    assert cached(edited) < seen(first)
    assert text(edited) == text(chat(crowded, model="other", messages=following, max_tokens=8))


def test_parallel_requests_of_a_session_are_answered_as_alone(crowded: Server) -> None:
    session = str(uuid4())
    first = chat(crowded, messages=opening("Kim"), session_id=session, max_tokens=8)
    turns = [then(opening("Kim"), first, f"Name {count} fish.") for count in ("two", "three", "four", "five")]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda turn: text(chat(crowded, messages=turn, session_id=session)), turns))
    assert together == [text(chat(crowded, model="other", messages=turn)) for turn in turns]


def test_a_client_that_leaves_in_mid_turn_finds_its_session(crowded: Server) -> None:
    session = str(uuid4())
    first = chat(crowded, messages=opening("Zoe"), session_id=session, max_tokens=8)
    following = then(opening("Zoe"), first, "Count to one hundred.")
    body = {"model": "default", "messages": following, "session_id": session, "stream": True, "ignore_eos": True}
    part = ""
    with requests.post(
        f"{crowded.api}/chat/completions", json=body, headers=crowded.headers, stream=True, timeout=60
    ) as reply:
        for line in reply.iter_lines():
            if line.startswith(b"data: "):
                part += json.loads(line[6:])["choices"][0]["delta"]["content"]
            if len(part) > 10:
                break
    again = [*following, {"role": "assistant", "content": part}, {"role": "user", "content": "Go on."}]
    assert cached(chat(crowded, messages=again, session_id=session, max_tokens=4)) > seen(first)


def test_what_is_not_stored_is_continued_too(server: Server) -> None:
    """Hot, so that its tokens are not those of its text; nothing of them is in the database."""
    session = str(uuid4())
    messages = opening(f"Nobody {session}")
    hot: dict[str, Any] = {"session_id": session, "store": False, "temperature": 1.5}
    first = chat(server, messages=messages, max_tokens=40, seed=1, **hot)
    second = chat(server, messages=then(messages, first, "Go on."), max_tokens=4, seed=1, **hot)
    assert cached(second) == seen(first) + first["usage"]["completion_tokens"] - 1
