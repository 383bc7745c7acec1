"""Stored interactions are found, grouped, labelled, deleted and exported."""

from __future__ import annotations

import csv
import io
import json
from contextlib import closing
from typing import Any
from uuid import uuid4

import pyarrow.parquet as pq
import pytest
import requests

from adaptive_engine import Adaptive, AsyncAdaptive
from adaptive_engine.services.keys import KeyRing, load_pepper
from adaptive_engine.store import Database
from integration.server import MODEL, Server
from integration.wire import PROMPT, chat, post, unique

ANSWERS = ["Sorry, no.", "Of course!", "=SUM(1,2) is a formula", "Grüße, ÄÖÜ", "sorry again"]


class Logged:
    """Five interactions of this module alone: a label says so."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.run = unique()
        self.metric = f"quality-{uuid4().hex[:8]}"
        assert post(server, "/metrics", {"project": "default", "key": self.metric}).status_code == 201
        self.ids = [self._log(at, answer) for at, answer in enumerate(ANSWERS)]

    def _log(self, at: int, answer: str) -> str:
        body = {
            "project": "default",
            "messages": [{"role": "user", "content": f"Question {at % 2} of {self.run}"}],
            "completion": answer,
            "model_service": MODEL if at < 3 else None,
            "created_at": f"2025-01-0{at + 1}T00:00:00Z",
            "labels": {"run": self.run, f"a=b {self.run}": str(at), "half": str(at % 2)},
            "user": f"user {at % 2}",
            "feedbacks": [{"metric": self.metric, "value": at}] if at < 4 else [],
        }
        created = post(self.server, "/interactions", body)
        assert created.status_code == 201, created.text
        completion_id: str = created.json()["completion_id"]
        return completion_id

    def selection(self, filter: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:  # noqa: A002
        own = {"project": "default", "labels": [{"key": "run", "value": self.run}], **fields}
        return own if filter is None else {**own, "filter": filter}

    def search(self, filter: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:  # noqa: A002
        response = post(self.server, "/interactions/search", self.selection(filter, **fields))
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def found(self, filter: dict[str, Any] | None = None, **fields: Any) -> list[int]:  # noqa: A002
        """Which of the five, in the order of the answer."""
        return [self.ids.index(row["id"]) for row in self.search(filter, **fields)["data"]]

    def export(self, **fields: Any) -> requests.Response:
        response = post(self.server, "/interactions/export", self.selection(**fields))
        assert response.status_code == 200, response.text
        return response


@pytest.fixture(scope="module")
def logged(server: Server) -> Logged:
    return Logged(server)


def test_conditions(logged: Logged) -> None:
    assert logged.found() == [4, 3, 2, 1, 0]
    assert logged.found({"completion": {"contains": "SORRY"}}) == [4, 0]
    assert logged.found({"completion": {"contains": "äö"}}) == [3]
    assert logged.found({"completion": {"eq": "Of course!"}}) == [1]
    assert logged.found({"prompt": {"contains": "question 1"}}) == [3, 1]
    assert logged.found({"model": {"neq": MODEL}}) == [4, 3]
    assert logged.found({"label": {"key": f"a=b {logged.run}"}}) == [4, 3, 2, 1, 0]
    assert logged.found({"label": {"key": f"a=b {logged.run}", "value": {"in": ["1", "3"]}}}) == [3, 1]
    assert logged.found({"label": {"key": "half", "value": {"neq": "0"}}}) == [3, 1]
    assert logged.found({"scores": {"metric": logged.metric, "value": {"gte": 1, "lt": 3}}}) == [2, 1]
    assert logged.found({"not": {"scores": {"metric": logged.metric}}}) == [4]
    assert logged.found({"or": [{"user": {"eq": "user 1"}}, {"completion_id": logged.ids[0]}]}) == [3, 1, 0]
    assert logged.found({"timerange": {"from": "2025-01-02", "to": 1735948800000}}) == [2, 1]
    assert logged.found({"source": "LIVE"}) == []
    assert logged.found({"and": []}, state=["complete", "error"], source="OFFLINE", user="user 0") == [4, 2, 0]
    assert logged.found(labels=[{"key": "run", "value": logged.run}, {"key": f"a=b {logged.run}", "value": "2"}]) == [2]


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"filter": {"modle": {"eq": "x"}}}, 400, "filter.modle"),
        ({"filter": {"and": [{"not": {"label": {}}}]}}, 400, "filter.and[0].not.label.key"),
        ({"filter": {"or": []}}, 400, "filter.or"),
        ({"filter": {"model": {}}}, 400, "filter.model"),
        ({"filter": {"completion": {"contains": ""}}}, 400, "filter.completion.contains"),
        ({"filter": {"timerange": {"from": "yesterday"}}}, 400, "filter.timerange.from"),
        ({"filter": {"and": [{"scores": {"metric": "unknown"}}]}}, 404, "filter.and[0].scores.metric"),
        ({"filter": {"comparisons": {"metric": "latency"}}}, 400, "filter.comparisons.metric"),
        ({"filter": {"ab_test": {"eq": "unknown"}}}, 404, "filter.ab_test"),
        ({"limit": 0}, 400, "limit"),
        ({"limit": 5, "last": 5}, 400, "last"),
        ({"after": "garbage"}, 400, "after"),
        ({"order": [{"field": "magic"}]}, 400, "order[0].field"),
        ({"project": "unknown"}, 404, "project"),
    ],
)
def test_what_is_wrong_is_named(server: Server, change: dict[str, Any], status: int, param: str) -> None:
    response = post(server, "/interactions/search", {"project": "default", **change})
    assert (response.status_code, response.json()["error"]["param"]) == (status, param), response.text


def test_a_filter_has_limits(server: Server) -> None:
    deep: dict[str, Any] = {"has_warnings": True}
    for _ in range(8):
        deep = {"not": deep}
    for tree, words in ((deep, "8 deep"), ({"and": [{}] * 64}, "64 parts")):
        response = post(server, "/interactions/search", {"project": "default", "filter": tree})
        assert response.status_code == 400
        assert words in response.json()["error"]["message"]
        assert response.json()["error"]["param"].startswith("filter.")


def test_paging_both_ways_with_a_count(logged: Logged) -> None:
    first = logged.search(limit=2, count=True)
    assert (first["total_count"], first["total_count_is_exact"], first["has_previous"]) == (5, True, False)
    assert logged.found(limit=9, after=first["next_cursor"]) == [2, 1, 0]
    last = logged.search(last=2)
    assert [logged.ids.index(row["id"]) for row in last["data"]] == [1, 0]
    assert (last["has_more"], last["has_previous"]) == (False, True)
    assert logged.found(last=2, before=last["previous_cursor"]) == [3, 2]
    oldest = [{"field": "created_at", "order": "ASC"}]
    assert logged.found(order=oldest, limit=2) == [0, 1]


def test_the_query_string_still_works(server: Server, logged: Logged) -> None:
    query = {"project": "default", "label": [f"run={logged.run}", "half=1"], "limit": 1, "count": "true"}
    page = requests.get(f"{server.api}/interactions", params=query, headers=server.headers, timeout=30).json()
    assert ([row["id"] for row in page["data"]], page["total_count"]) == ([logged.ids[3]], 2)
    query = {**query, "after": page["next_cursor"], "limit": 50}
    page = requests.get(f"{server.api}/interactions", params=query, headers=server.headers, timeout=30).json()
    assert [row["id"] for row in page["data"]] == [logged.ids[1]]
    back = {"project": "default", "label": f"run={logged.run}", "before": page["previous_cursor"]}
    page = requests.get(f"{server.api}/interactions", params=back, headers=server.headers, timeout=30).json()
    assert [row["id"] for row in page["data"]] == [logged.ids[4], logged.ids[3], logged.ids[2]]


def test_groups(logged: Logged) -> None:
    asked = {**logged.selection(), "group_by": "model", "interactions": 1}
    answer = post(logged.server, "/interactions/groups", asked).json()
    nameless, model = answer["data"]
    assert (nameless["key"], nameless["count"], model["key"], model["count"]) == (None, 2, MODEL, 3)
    (statistics,) = (each for each in model["scores"] if each["metric"] == logged.metric)
    assert (statistics["count"], statistics["mean"], statistics["min"], statistics["max"]) == (3, 1, 0, 2)
    assert statistics["stddev"] == pytest.approx((2 / 3) ** 0.5)
    assert [row["id"] for row in model["interactions"]["data"]] == [logged.ids[2]]
    asked = {**logged.selection(), "group_by": "prompt", "order": "count", "descending": True, "limit": 1}
    answer = post(logged.server, "/interactions/groups", asked).json()
    assert (answer["data"][0]["count"], answer["total_count"], answer["has_more"]) == (3, 2, True)
    of_group = logged.found({"prompt_hash": {"eq": answer["data"][0]["key"]}})
    assert of_group == [4, 2, 0]


def test_s113_label_usage_is_listed(server: Server, logged: Logged) -> None:
    def usage(**query: Any) -> dict[str, Any]:
        query = {"project": "default", **query}
        response = requests.get(f"{server.api}/labels", params=query, headers=server.headers, timeout=30)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    (one,) = usage(key=f"a=b {logged.run}", values=3)["data"]
    assert (one["count"], one["count_is_exact"], one["has_more_values"], one["last_used"]) == (5, True, True, None)
    assert [(each["value"], each["count"]) for each in one["values"]] == [("0", 1), ("1", 1), ("2", 1)]
    assert one["values"][2]["last_used"] == "2025-01-03T00:00:00Z"
    assert {f"a=b {logged.run}", "run", "half"} <= {each["key"] for each in usage()["data"]}
    assert usage(key="never used")["data"] == []


def test_labels_are_edited(server: Server) -> None:
    completion_id = chat(server, max_tokens=1, labels={"a": "1", "b": "2"})["choices"][0]["completion_id"]
    url = f"{server.api}/interactions/{completion_id}"

    def patch(body: Any) -> requests.Response:
        return requests.patch(url, json=body, headers=server.headers, timeout=30)

    run = unique()
    assert patch({"add": {"a": "x", "c": run}, "remove": ["b", "unknown"]}).json()["labels"] == {"a": "x", "c": run}
    assert post(server, "/interactions/search", {"project": "default", "labels": [{"key": "c", "value": run}]}).json()[
        "data"
    ]
    assert patch({"set": {"only": "this"}}).json()["labels"] == {"only": "this"}
    assert patch({"add": {f"k{n}": "v" for n in range(64)}}).status_code == 400
    assert patch({"add": {"a": 1}}).json()["error"]["param"] == "add.a"
    assert patch({}).status_code == 400
    assert requests.get(url, headers=server.headers, timeout=30).json()["labels"] == {"only": "this"}
    unknown = requests.patch(
        f"{server.api}/interactions/{uuid4()}", json={"add": {}}, headers=server.headers, timeout=30
    )
    assert unknown.json()["error"]["code"] == "interaction_not_found"


def test_deletion(server: Server) -> None:
    logged = Logged(server)
    assert (
        requests.delete(f"{server.api}/interactions/{logged.ids[0]}", headers=server.headers, timeout=30).status_code
        == 204
    )
    assert (
        requests.delete(f"{server.api}/interactions/{logged.ids[0]}", headers=server.headers, timeout=30).status_code
        == 404
    )
    some = logged.selection({"label": {"key": "half", "value": {"eq": "1"}}})
    assert post(server, "/interactions/delete", some).json() == {"deleted": 2}
    assert logged.found() == [4, 2]
    for nothing in ({}, {"labels": []}, {"filter": {}}, {"filter": {"and": [{"and": []}]}}, {"models": None}):
        refused = post(server, "/interactions/delete", {"project": "default", **nothing})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "all")


def test_export_of_whole_interactions(server: Server, logged: Logged) -> None:
    lines = [json.loads(line) for line in logged.export().content.splitlines()]
    assert [line["id"] for line in lines] == logged.ids
    shown = requests.get(f"{server.api}/interactions/{logged.ids[2]}", headers=server.headers, timeout=30).json()
    for name, value in lines[2].items():
        if name not in ("prompt_tokens", "completion_tokens", "cached_tokens", "scores"):
            assert shown[name] == value, name
    assert [(score["metric"], score["value"]) for score in lines[2]["scores"]] == [(logged.metric, 2)]
    continued = logged.export(after=logged.ids[2]).content.splitlines()
    assert [json.loads(line)["id"] for line in continued] == logged.ids[3:]


def test_export_as_csv_guards_against_formulas(server: Server, logged: Logged) -> None:
    query = {"project": "default", "label": f"run={logged.run}", "format": "csv"}
    response = requests.get(f"{server.api}/interactions/export", params=query, headers=server.headers, timeout=30)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.content.decode())))
    assert [row["completion"] for row in rows] == [ANSWERS[0], ANSWERS[1], "'" + ANSWERS[2], *ANSWERS[3:]]
    assert json.loads(rows[0]["labels"])["run"] == logged.run
    assert not logged.export(format="csv", after=logged.ids[4]).content


def test_export_for_training(logged: Logged) -> None:
    message = {"role": "user", "content": f"Question 0 of {logged.run}"}
    answer = {"role": "assistant", "content": ANSWERS[0]}
    first = json.loads(logged.export(kind="messages").content.splitlines()[0])
    assert first == {"messages": [message, answer], "id": logged.ids[0]}
    table = pq.read_table(io.BytesIO(logged.export(kind="sft", format="parquet").content)).to_pylist()
    assert table[0] == {"prompt": [message], "completion": [answer], "id": logged.ids[0]}
    assert len(table) == 5
    whole = pq.read_table(io.BytesIO(logged.export(format="parquet").content)).to_pylist()
    assert [row["id"] for row in whole] == logged.ids
    assert whole[0]["created_at"].isoformat() == "2025-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"format": "xlsx"}, "format"),
        ({"metric": "m"}, "metric"),
        ({"after": str(uuid4())}, "after"),
        ({"after": "x"}, "after"),
    ],
)
def test_exports_that_make_no_sense(server: Server, change: dict[str, Any], param: str) -> None:
    response = post(server, "/interactions/export", {"project": "default", **change})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_an_abandoned_export_leaves_the_server_working(server: Server, logged: Logged) -> None:
    for _ in range(20):
        with requests.post(
            f"{server.api}/interactions/export",
            json={"project": "default"},
            headers=server.headers,
            stream=True,
            timeout=30,
        ) as response:
            next(response.iter_content(10))
    assert logged.found() == [4, 3, 2, 1, 0]


async def test_the_sdk_does_all_of_it(server: Server, tmp_path: Any) -> None:
    logged = Logged(server)
    filters: Any = {"labels": [{"key": f"a=b {logged.run}"}]}
    file = tmp_path / "all.jsonl"
    with Adaptive(server.url, server.api_key, "default") as client:
        page = client.interactions.list(filters, limit=2, count=True)
        assert ([str(each.id) for each in page], page.total_count) == (logged.ids[::-1], 5)
        assert client.interactions.export(file, filters) == file.stat().st_size
        whole = file.read_bytes()
        file.write_bytes(whole[:-10])
        client.interactions.export(file, filters, resume=True)
        assert file.read_bytes() == whole
    async with AsyncAdaptive(server.url, server.api_key, "default") as client:
        changed = await client.interactions.update_labels(logged.ids[0], add={"seen": "yes"})
        assert changed.labels["seen"] == "yes"
        groups = await client.interactions.groups("prompt", filters)
        assert sorted(group.count for group in groups.data) == [2, 3]
        await client.interactions.delete(logged.ids[0])
        assert await client.interactions.delete_all(filters) == 4


def test_applications_cannot_read_change_or_delete(server: Server, logged: Logged) -> None:
    with closing(Database.open(server.data_dir / "adaptive.db")) as database:
        _, key = KeyRing(database, load_pepper(server.data_dir)).create("app", "inference")
    headers = {"Authorization": f"Bearer {key}"}
    one = f"/interactions/{logged.ids[0]}?project=default"
    body = logged.selection()
    refused = [
        ("POST", "/interactions/search", body, "interaction:read"),
        ("POST", "/interactions/groups", {**body, "group_by": "model"}, "interaction:read"),
        ("POST", "/interactions/export", body, "interaction:read"),
        ("GET", "/interactions/export?project=default", None, "interaction:read"),
        ("GET", "/labels?project=default", None, "interaction:read"),
        ("PATCH", one, {"add": {"a": "b"}}, "interaction:update"),
        ("DELETE", one, None, "interaction:delete"),
        ("POST", "/interactions/delete", body, "interaction:delete"),
    ]
    for method, path, sent, permission in refused:
        response = requests.request(method, f"{server.api}{path}", json=sent, headers=headers, timeout=30)
        assert response.status_code == 403, path
        assert permission in response.json()["error"]["message"]
    assert logged.found() == [4, 3, 2, 1, 0]


def test_what_is_no_image_is_refused_by_name(server: Server) -> None:
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": "data:image/png;base64,AA=="}]
    body = {"project": "default", "messages": [*PROMPT, {"role": "user", "content": parts}], "completion": "A cat."}
    response = post(server, "/interactions", body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_image")
    assert response.json()["error"]["param"] == "messages[1].content[1]"


@pytest.mark.parametrize("path", ["/interactions", "/interactions/export", "/metrics/latency/statistics"])
def test_a_filter_that_does_not_exist_is_refused(server: Server, path: str) -> None:
    query = {"project": "default", "models": MODEL}
    response = requests.get(f"{server.api}{path}", params=query, headers=server.headers, timeout=30)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "models")
