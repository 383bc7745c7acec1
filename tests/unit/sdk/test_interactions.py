from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from adaptive_engine.sdk import NotFoundError
from adaptive_engine.wire.interactions import InteractionCreate
from unit.sdk.both import collect, result
from unit.sdk.scripted import COMPLETION, SESSION, USAGE, Reply, ScriptedServer, error_body

HELLO = [{"role": "user", "content": "Hello!"}]


def interaction(number: int) -> dict[str, Any]:
    return {
        "id": f"01890000-0000-7000-8000-{number:012}",
        "completion_id": f"01890000-0000-7000-8000-{number:012}",
        "project": "proj",
        "session_id": SESSION,
        "messages": HELLO,
        "completion": "Hello.",
        "model": "smollm2",
        "state": "complete",
        "source": "LIVE",
        "finish_reason": "stop",
        "error": None,
        "user": None,
        "labels": {"lang": "de"},
        "scores": [],
        "parameters": {},
        "usage": USAGE,
        "timings": {},
        "warnings": [],
        "prompt_hash": None,
        "request_id": "r1",
        "choice_index": 0,
        "created_at": "2026-11-01T00:00:00Z",
        "completed_at": None,
    }


def page(*numbers: int, after: str | None = None) -> Reply:
    data = [interaction(number) for number in numbers]
    return Reply({"object": "list", "data": data, "has_more": after is not None, "next_cursor": after})


async def test_create(server: ScriptedServer, client) -> None:
    server.replies(Reply({"completion_id": COMPLETION, "session_id": SESSION, "feedback_ids": []}, status=201))
    created = await result(
        client.interactions.create(
            HELLO,
            "Hello.",
            model="gpt",
            feedbacks=[{"feedback_key": "helpful", "value": True, "reason": "good"}, {"metric": "speed", "value": 2}],
            user="ada",
            session_id=SESSION,
            labels={"lang": "de"},
            created_at=datetime(2026, 11, 1, tzinfo=UTC),
        )
    )
    assert created.completion_id == UUID(COMPLETION)
    assert (server.last.method, server.last.path) == ("POST", "/api/v1/interactions")
    parsed = InteractionCreate.model_validate(server.last.body)
    assert not parsed.model_extra
    assert (parsed.project, parsed.model_service, parsed.completion) == ("proj", "gpt", "Hello.")
    assert [score.metric for score in parsed.feedbacks or []] == ["helpful", "speed"]
    assert parsed.created_at == datetime(2026, 11, 1, tzinfo=UTC)


async def test_get(server: ScriptedServer, client) -> None:
    server.replies(Reply(interaction(1)))
    found = await result(client.interactions.get(COMPLETION, project="p"))
    assert found.labels == {"lang": "de"}
    assert server.last.path == f"/api/v1/interactions/{COMPLETION}"
    assert server.last.query == [("project", "p")]


async def test_get_of_nothing_is_none(server: ScriptedServer, client) -> None:
    server.replies(Reply(error_body("EntityNotFound: x", code="interaction_not_found"), status=404))
    assert await result(client.interactions.get(COMPLETION)) is None


@pytest.mark.parametrize("code", ["project_not_found", "route_not_found", None])
async def test_get_does_not_hide_a_wrong_url_or_project(server: ScriptedServer, client, code: str | None) -> None:
    server.replies(Reply(error_body("EntityNotFound: x", code=code), status=404))
    with pytest.raises(NotFoundError):
        await result(client.interactions.get(COMPLETION))


async def test_get_needs_a_uuid(client) -> None:
    with pytest.raises(ValueError, match="completion_id"):
        await result(client.interactions.get("../models"))


async def test_iterating_a_page_goes_through_all(server: ScriptedServer, client) -> None:
    server.replies(page(1, 2, after="c2"), page(3, after="c3"), page())
    first = await result(client.interactions.list(limit=2, after="c0"))
    assert [item.id.int % 16 for item in first.data] == [1, 2]
    assert (first.has_more, first.next_cursor) == (True, "c2")
    assert [item.id.int % 16 for item in await collect(first)] == [1, 2, 3]
    assert [dict(received.query) for received in server.received] == [
        {"project": "proj", "limit": "2", "after": cursor} for cursor in ("c0", "c2", "c3")
    ]


async def test_next_page(server: ScriptedServer, client) -> None:
    server.replies(page(1, after="c1"), page(2))
    second = await result((await result(client.interactions.list())).next_page())
    assert [item.id.int % 16 for item in second.data] == [2]
    assert await result(second.next_page()) is None


async def test_filters(server: ScriptedServer, client) -> None:
    server.replies(page())
    filters = {
        "labels": [{"key": "lang", "value": ["de", "a=b & c"]}, {"key": "seen"}, {"key": "one", "value": "1"}],
        "models": ["m1", "m2"],
        "timerange": {"from": datetime(2026, 11, 1, tzinfo=UTC), "to": 1793836800000},
        "session_id": SESSION,
        "completion_id": UUID(COMPLETION),
        "state": "complete",
        "source": "LIVE",
        "prompt_hash": "abc",
        "user": "ada",
    }
    await result(client.interactions.list(filters=filters, project="p"))
    query = server.last.query
    assert [value for name, value in query if name == "label"] == ["lang=de", "lang=a=b & c", "seen", "one=1"]
    assert [value for name, value in query if name == "model"] == ["m1", "m2"]
    start = next(value for name, value in query if name == "from")
    assert datetime.fromisoformat(start) == datetime(2026, 11, 1, tzinfo=UTC)
    assert {
        ("project", "p"),
        ("to", "1793836800000"),
        ("session_id", SESSION),
        ("completion_id", COMPLETION),
        ("state", "complete"),
        ("source", "LIVE"),
        ("prompt_hash", "abc"),
        ("user", "ada"),
    } < set(query)


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"label": []}, "Unknown filter label.*labels"),
        ({"labels": [{"value": ["x"]}]}, "key"),
        ({"labels": [{"key": "a=b"}]}, "="),
        ({"session_id": "s"}, "session_id"),
    ],
)
async def test_wrong_filters_are_refused(server: ScriptedServer, client, filters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await result(client.interactions.list(filters=filters))
    assert server.received == []
