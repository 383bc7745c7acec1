from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
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
            feedbacks=[
                {"feedback_key": "helpful", "value": True, "reason": "good"},
                {"metric": "speed", "value": 2, "created_at": datetime(2026, 11, 2, tzinfo=UTC)},
            ],
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
    assert [score.created_at for score in parsed.feedbacks or []] == [None, datetime(2026, 11, 2, tzinfo=UTC)]


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
    assert [received.body for received in server.received] == [
        {"project": "proj", "limit": 2, "after": cursor} for cursor in ("c0", "c2", "c3")
    ]


async def test_next_page(server: ScriptedServer, client) -> None:
    server.replies(page(1, after="c1"), page(2))
    second = await result((await result(client.interactions.list())).next_page())
    assert [item.id.int % 16 for item in second.data] == [2]
    assert await result(second.next_page()) is None


async def test_previous_page(server: ScriptedServer, client) -> None:
    before = {"has_previous": True, "previous_cursor": "b1"}
    server.replies(Reply({**page(3).body, **before}), page(1, 2))
    second = await result(client.interactions.list(limit=2, after="c2"))
    first = await result(second.previous_page())
    assert [item.id.int % 16 for item in first.data] == [1, 2]
    assert server.last.body == {"project": "proj", "last": 2, "before": "b1"}
    assert await result(first.previous_page()) is None


async def test_filters(server: ScriptedServer, client) -> None:
    server.replies(page())
    filters = {
        "labels": [{"key": "lang", "value": ["de", "a=b & c"]}, {"key": "a=b"}, {"key": "one", "value": "1"}],
        "models": ["m1", "m2"],
        "timerange": {"from": datetime(2026, 11, 1, tzinfo=UTC), "to": 1793836800000},
        "session_id": SESSION,
        "completion_id": UUID(COMPLETION),
        "state": "complete",
        "source": ["LIVE", "OFFLINE"],
        "prompt_hash": "abc",
        "user": "ada",
        "filter": {"not": {"model": {"eq": "m3"}}},
    }
    order = [{"field": "created_at", "order": "ASC"}]
    await result(client.interactions.list(filters=filters, order=order, count=True, project="p"))
    body = server.last.body
    start = body["timerange"].pop("from")
    assert datetime.fromisoformat(start) == datetime(2026, 11, 1, tzinfo=UTC)
    assert body == {
        **filters,
        "project": "p",
        "order": order,
        "count": True,
        "timerange": {"to": "1793836800000"},
        "session_id": SESSION,
        "completion_id": COMPLETION,
    }
    assert server.last.path == "/api/v1/interactions/search"


@pytest.mark.parametrize(
    ("filters", "message"), [({"label": []}, "Unknown filter label.*labels"), ({"session_id": "s"}, "session_id")]
)
async def test_wrong_filters_are_refused(server: ScriptedServer, client, filters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await result(client.interactions.list(filters=filters))
    assert server.received == []


async def test_labels_deletion_and_groups(server: ScriptedServer, client) -> None:
    server.replies(Reply(interaction(1)))
    await result(client.interactions.update_labels(COMPLETION, add={"a": "b"}, remove=["c"], project="p"))
    assert (server.last.method, server.last.path) == ("PATCH", f"/api/v1/interactions/{COMPLETION}")
    assert (server.last.query, server.last.body) == ([("project", "p")], {"add": {"a": "b"}, "remove": ["c"]})
    server.replies(Reply(status=204, content=b""))
    await result(client.interactions.delete(COMPLETION))
    assert (server.last.method, server.last.query) == ("DELETE", [("project", "proj")])
    server.replies(Reply({"deleted": 7}))
    assert await result(client.interactions.delete_all({"models": ["m"]})) == 7
    assert server.last.body == {"project": "proj", "models": ["m"]}
    server.replies(Reply({"group_by": "model", "data": [], "total_count": 0, "has_more": False}))
    assert (await result(client.interactions.groups("model", order="count", descending=True))).data == []
    assert server.last.body == {"project": "proj", "group_by": "model", "order": "count", "descending": True}
    server.replies(Reply({"data": [], "has_more": False}))
    assert (await result(client.interactions.labels("env", values=3))).data == []
    assert dict(server.last.query) == {"project": "proj", "key": "env", "values": "3"}


def line(n: int) -> bytes:
    return json.dumps({"text": f"{n} \n", "id": f"id-{n}"}).encode() + b"\n"


async def test_an_export_that_breaks_goes_on_behind_the_last_whole_record(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=[line(1), line(2)[:9]], complete=False), Reply(frames=[line(2), line(3)]))
    out, seen = io.BytesIO(), []
    assert await result(client.interactions.export(out, progress=seen.append)) == len(out.getvalue())
    assert out.getvalue() == line(1) + line(2) + line(3)
    assert seen[-1] == len(out.getvalue())
    assert [received.body.get("after") for received in server.received] == [None, "id-1"]


async def test_a_file_is_continued(server: ScriptedServer, client, tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    whole = b'id,text\r\n1,"a\r\nb ""q"""\r\n2,c\r\n'
    file.write_bytes(whole + b'3,"half\r\n')
    server.replies(Reply(frames=[b'3,"half\r\n"\r\n']))
    await result(client.interactions.export(file, format="csv", resume=True))
    assert server.last.body["after"] == "2"
    assert file.read_bytes() == whole + b'3,"half\r\n"\r\n'


async def test_what_is_no_export_is_not_continued(server: ScriptedServer, client, tmp_path: Path) -> None:
    file = tmp_path / "notes.jsonl"
    file.write_text("dear diary\n")
    with pytest.raises(ValueError, match="no export"):
        await result(client.interactions.export(file, resume=True))
    with pytest.raises(ValueError, match="path"):
        await result(client.interactions.export(io.BytesIO(), resume=True))
    assert file.read_text() == "dear diary\n"


@pytest.mark.parametrize("filters", [["labels"], "labels"])
async def test_filters_are_a_mapping(client: Any, filters: Any) -> None:
    with pytest.raises(ValueError, match="filters"):
        await result(client.interactions.list(filters))


async def test_no_id_is_told(client: Any) -> None:
    with pytest.raises(ValueError, match="completion_id is None"):
        await result(client.interactions.get(None))
    with pytest.raises(ValueError, match="/images/"):
        await result(client.interactions.image(None))
