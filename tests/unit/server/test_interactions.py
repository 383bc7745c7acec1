"""What is wrong with a logged interaction or with a list of them is named as the client spelled it."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import metrics
from adaptive_engine.store import projects
from adaptive_engine.types import Metric, now_ms, uuid7

LOGGED = {"project": "default", "messages": [{"role": "user", "content": "Hi"}], "completion": "Hello."}
SIDE = {"text": "Hello.", "model": "a"}


@pytest.fixture(scope="module")
def headers(services: Services) -> dict[str, str]:
    with services.database.write() as connection:
        project = projects.get_by_key(connection, "default")
        assert project is not None
        made = Metric(uuid7(), project.id, "cost", "cost", "SCALAR", "LOWER_IS_BETTER", "", None, now_ms())
        metrics.register(connection, made)
    return {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"feedbacks": [{"metric": "cost", "value": 1}, {"metric": "cost", "value": True}]}, "feedbacks[1].value"),
        ({"feedbacks": [{"metric": "nope", "value": 1}]}, "feedbacks[0].metric"),
        ({"feedbacks": [{"metric": "cost", "value": 1, "detail": "x"}]}, "feedbacks[0].detail"),
        ({"feedbacks": [{"metric": "cost", "value": 1, "created_at": "soon"}]}, "feedbacks[0].created_at"),
        (
            {"feedbacks": [{"metric": "cost", "value": 1, "created_at": "0001-01-01T00:00:00+02:00"}]},
            "feedbacks[0].created_at",
        ),
        ({"model_service": "nope"}, "model_service"),
        ({"model": "nope"}, "model"),
    ],
)
async def test_the_field_that_is_wrong_is_named(
    client: httpx2.AsyncClient, headers: dict[str, str], more: dict[str, Any], param: str
) -> None:
    refused = await client.post("/interactions", json={**LOGGED, **more}, headers=headers)
    assert refused.status_code in (400, 404)
    assert refused.json()["error"]["param"] == param


async def test_scores_of_earlier_keep_their_times(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    given = [{"metric": "cost", "value": 2}, {"metric": "cost", "value": 1, "created_at": "2024-02-21T09:51:03Z"}]
    logged = await client.post("/interactions", json={**LOGGED, "feedbacks": given}, headers=headers)
    shown = (await client.get(f"/interactions/{logged.json()['completion_id']}", headers=headers)).json()
    assert [score["value"] for score in shown["scores"]] == [1, 2]
    assert shown["scores"][0]["created_at"] == "2024-02-21T09:51:03Z"
    assert shown["scores"][1]["created_at"] >= shown["created_at"]


async def test_a_model_has_one_name(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    both = {**LOGGED, "model": "tiny", "model_service": "tiny"}
    assert (await client.post("/interactions", json=both, headers=headers)).status_code == 400
    for name in ("model", "model_service"):
        made = await client.post("/interactions", json={**LOGGED, name: "tiny"}, headers=headers)
        assert made.status_code == 201, made.text


@pytest.mark.parametrize("name", ["label", "model"])
async def test_the_parameter_that_is_wrong_is_named(
    client: httpx2.AsyncClient, headers: dict[str, str], name: str
) -> None:
    refused = await client.get(f"/interactions?project=default&{name}=", headers=headers)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, name)
    assert error["message"].startswith(f"{name}: ")


@pytest.mark.parametrize("path", ["/interactions", "/labels", "/metrics", "/ab_tests", "/outcomes", "/projects"])
async def test_a_misspelled_filter_is_refused(client: httpx2.AsyncClient, headers: dict[str, str], path: str) -> None:
    needed: dict[str, dict[str, str]] = {
        "/projects": {},
        "/outcomes": {"project": "default", "session_id": str(uuid7())},
    }
    query = {**needed.get(path, {"project": "default"}), "lable": "x"}
    refused = await client.get(path, params=query, headers=headers)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "lable")
    assert "there is no such parameter here" in error["message"]


async def test_a_filter_that_takes_one_value_is_given_once(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    refused = await client.get("/interactions?project=default&limit=1&limit=2", headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "limit")
    many = await client.get("/interactions?project=default&model=a&model=b&label=c&label=d", headers=headers)
    assert many.status_code == 200


@pytest.mark.parametrize(
    "everything",
    [
        {"or": [{}]},
        {"or": [{"user": None}, {"model": {"eq": "tiny"}}]},
        {"not": {"not": {}}},
        {"not": {"and": [{"has_warnings": True}, {"not": {}}]}},
        {"and": [{"or": [{"and": []}]}]},
    ],
)
async def test_a_filter_that_leaves_nothing_out_does_not_delete(
    client: httpx2.AsyncClient, headers: dict[str, str], everything: dict[str, Any]
) -> None:
    made = (await client.post("/interactions", json=LOGGED, headers=headers)).json()["completion_id"]
    body = {"project": "default", "filter": everything}
    refused = await client.post("/interactions/delete", json=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "all")
    assert (await client.get(f"/interactions/{made}", headers=headers)).status_code == 200
    nothing: dict[str, Any] = {"not": {"or": [{}, {"user": {"eq": "ann"}}]}}
    answer = await client.post("/interactions/delete", json={**body, "filter": nothing}, headers=headers)
    assert answer.json() == {"deleted": 0}


@pytest.mark.parametrize(
    ("route", "more"),
    [
        ("/interactions", {"completion": "Hello."}),
        ("/comparison", {"metric": "cost", **{f"{side}_completion": SIDE for side in ("preferred", "other")}}),
    ],
)
async def test_a_field_of_an_image_that_would_not_be_stored_is_refused(
    client: httpx2.AsyncClient, headers: dict[str, str], route: str, more: dict[str, Any]
) -> None:
    image = {"type": "image_url", "image_url": "data:,", "text": "Hi"}
    body = {"project": "default", "messages": [{"role": "user", "content": [image]}], **more}
    refused = await client.post(route, json=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages[0].content[0].text")
