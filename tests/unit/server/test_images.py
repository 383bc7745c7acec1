"""Pictures over HTTP: taken, stored, shown, exported and deleted. The model here sees none; logged interactions do."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from PIL import Image as Pillow

from adaptive_engine.server import body_limit
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services import metrics
from adaptive_engine.services.judging import request as judge_request
from adaptive_engine.store import interactions, projects
from adaptive_engine.types import Judge, Metric, Project, now_ms, uuid7
from image_files import BLUE, asking, file, noise, padded, part, plain, uri


@pytest.fixture
async def client(app: Any, services: Services) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://server", headers=headers) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def _filled(services: Services) -> None:
    with services.database.write() as connection:
        default = projects.get_by_key(connection, "default")
        assert default is not None
        projects.create(connection, Project(uuid7(), "elsewhere", "", "", now_ms()))
        helpful = Metric(uuid7(), default.id, "helpful", "", "BOOL", "HIGHER_IS_BETTER", "", None, now_ms())
        metrics.register(connection, helpful)
    services.routing.refresh()


def fresh() -> bytes:
    """The file of a picture that no other test has."""
    return file(noise(6, 5, uuid4().int))


async def log(client: httpx2.AsyncClient, messages: Any, **fields: Any) -> str:
    body = {"project": "default", "messages": messages, "completion": "A cat.", **fields}
    answer = await client.post("/api/v1/interactions", json=body)
    assert answer.status_code == 201, answer.text
    completion_id: str = answer.json()["completion_id"]
    return completion_id


async def shown(client: httpx2.AsyncClient, completion_id: str) -> Any:
    return (await client.get(f"/api/v1/interactions/{completion_id}")).json()


async def url_of(client: httpx2.AsyncClient, completion_id: str) -> str:
    row = await shown(client, completion_id)
    url: str = row["messages"][0]["content"][1]["image_url"]["url"]
    return url


async def test_an_interaction_shows_where_its_picture_is(client: httpx2.AsyncClient) -> None:
    picture = noise(30, 20)
    url = await url_of(client, await log(client, asking(part(file(picture)))))
    for place in (url, f"/api/v1{url}", f"/v1{url}"):
        answer = await client.get(place)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        assert Pillow.open(io.BytesIO(answer.content)).tobytes() == picture.tobytes()


async def test_s59_pictures_are_for_who_reads_interactions(client: httpx2.AsyncClient, services: Services) -> None:
    url = await url_of(client, await log(client, asking(part())))
    ids = {project.key: project.id for project in services.routing.projects(admin(services))}

    async def status(key: str | None, place: str) -> tuple[int, str | None]:
        headers = {"Authorization": f"Bearer {key}"} if key else {"Authorization": ""}
        answer = await client.get(place, headers=headers)
        return answer.status_code, None if answer.status_code == 200 else answer.json()["error"]["code"]

    reader = services.keys.create("reads", "read-only", ids["default"])[1]
    asker = services.keys.create("asks", "inference", ids["default"])[1]
    foreigner = services.keys.create("elsewhere", "admin", ids["elsewhere"])[1]
    for place in (url, f"/api/v1{url}"):
        assert await status(reader, place) == (200, None)
        assert await status(asker, place) == (403, "permission_denied")
        assert await status(foreigner, place) == (404, "project_not_found")
        assert (await status(None, place))[0] == 401
    unknown = url[:-8] + "0000.png"
    assert await status(reader, unknown) == (404, "image_not_found")
    assert await status(foreigner, url.replace(str(ids["default"]), str(ids["elsewhere"]))) == (404, "image_not_found")
    for wrong in (f"/images/{ids['default']}/..%2fadaptive.db", f"/images/{ids['default']}/%00", "/images/x/y.png"):
        assert (await status(reader, wrong))[0] == 404


def admin(services: Services) -> Any:
    return services.keys.authenticate(services.keys.create("sees all", "admin")[1])


async def test_deleting_the_last_interaction_deletes_the_picture(client: httpx2.AsyncClient) -> None:
    data = fresh()
    first, second = [await log(client, asking(part(data)), labels={"run": "delete"}) for _ in range(2)]
    url = await url_of(client, first)
    assert url == await url_of(client, second)
    assert (await client.delete(f"/api/v1/interactions/{first}")).status_code == 204
    assert (await client.get(url)).status_code == 200
    body = {"project": "default", "labels": [{"key": "run", "value": ["delete"]}]}
    assert (await client.post("/api/v1/interactions/delete", json=body)).json() == {"deleted": 1}
    assert (await client.get(url)).status_code == 404


async def test_texts_beside_pictures_are_found_and_prompts_grouped(client: httpx2.AsyncClient) -> None:
    data, word = fresh(), uuid4().hex
    ids = [
        await log(client, asking({"type": "image_url", "image_url": uri(data)}, text=f"What {word}?")),
        await log(client, asking(part(data), text=f"What {word}?")),
    ]
    other = await log(client, asking(part(), text=f"What {word}?"))
    wanted = {"project": "default", "filter": {"prompt": {"contains": word}}}
    found = (await client.post("/api/v1/interactions/search", json=wanted)).json()["data"]
    assert {row["id"] for row in found} == {*ids, other}
    groups = (await client.post("/api/v1/interactions/groups", json={**wanted, "group_by": "prompt"})).json()["data"]
    assert sorted(group["count"] for group in groups) == [1, 2]
    wanted["filter"] = {"prompt": {"contains": "base64"}}
    assert (await client.post("/api/v1/interactions/search", json=wanted)).json()["data"] == []


async def test_comparisons_by_text_have_pictures(client: httpx2.AsyncClient) -> None:
    body = {
        "project": "default",
        "metric": "helpful",
        "messages": asking(part(fresh())),
        "preferred_completion": {"text": "A cat.", "model": "tiny"},
        "other_completion": {"text": "A dog.", "model": "tiny"},
    }
    for _ in range(2):
        assert (await client.post("/api/v1/comparison", json=body)).status_code == 201
    wanted = {"project": "default", "filter": {"comparisons": {"metric": "helpful"}}}
    rows = (await client.post("/api/v1/interactions/search", json=wanted)).json()["data"]
    assert len(rows) == 2
    (url,) = {row["messages"][0]["content"][1]["image_url"]["url"] for row in rows}
    assert (await client.get(url)).status_code == 200
    body["messages"] = asking(part(b"none"))
    assert (await client.post("/api/v1/comparison", json=body)).json()["error"]["param"] == "messages[0].content[1]"


async def test_exports_name_pictures_or_have_them(client: httpx2.AsyncClient) -> None:
    data, run = fresh(), uuid4().hex
    await log(client, asking(part(data)), labels={"run": run})
    await log(client, [{"role": "user", "content": "Hi"}], labels={"run": run})

    async def export(**options: str) -> httpx2.Response:
        query = {"project": "default", "label": f"run={run}", **options}
        return await client.get("/api/v1/interactions/export", params=query)

    for kind, column in (("interactions", "messages"), ("messages", "messages"), ("sft", "prompt")):
        for images, begins in (("url", "/images/"), ("data", "data:image/png;base64,")):
            answer = await export(kind=kind, images=images)
            record, plain_one = map(json.loads, answer.text.splitlines())
            text, image = record[column][0]["content"]
            assert text == {"type": "text", "text": "What is this?"}
            assert image["image_url"]["url"].startswith(begins)
            assert plain_one[column][0]["content"] == "Hi"
    assert "/images/" in (await export(format="csv", kind="sft")).text
    refused = await export(format="csv", images="data")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "images")


async def test_graphql_has_text_and_parts(client: httpx2.AsyncClient) -> None:
    completion_id = await log(client, asking(part()))
    query = """query ($id: UUID!) { completion(id: $id, project: "default") { prompt chatMessages {
        content contentParts { ... on TextContentPart { text } ... on ImageContentPart { url } } } } }"""
    body = {"query": query, "variables": {"id": completion_id}}
    answer = (await client.post("/api/graphql", json=body)).json()
    found = answer["data"]["completion"]
    assert found["prompt"] == "What is this?"
    (message,) = found["chatMessages"]
    assert message["content"] == "What is this?"
    assert message["contentParts"] == [{"text": "What is this?"}, {"url": await url_of(client, completion_id)}]


async def test_a_judge_is_told_where_a_picture_was(client: httpx2.AsyncClient, services: Services) -> None:
    completion_id = await log(client, asking(part()))
    with services.database.read() as connection:
        stored = interactions.get(connection, None, UUID(completion_id))
    assert stored is not None
    asked = judge_request(Judge("tiny", "Polite."), "default", stored.interaction)
    assert "What is this?[image]" in asked.messages[-1].text()


async def test_s52_a_text_model_refuses_pictures(client: httpx2.AsyncClient) -> None:
    for model in ("default", "default/tiny"):
        body = {"model": model, "messages": asking(part())}
        refused = await client.post("/api/v1/chat/completions", json=body)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (400, "modality_unsupported")
        assert error["param"] == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "image_url"}, "messages[0].content[1].image_url"),
        ({"type": "image_url", "image_url": 7}, "messages[0].content[1].image_url"),
        ({"type": "image_url", "image_url": {}}, "messages[0].content[1].image_url.url"),
        ({"type": "image_url", "image_url": {"url": "x", "detail": "huge"}}, "messages[0].content[1].image_url.detail"),
        ({"type": "image"}, "messages[0].content[1]"),
    ],
)
async def test_malformed_parts_are_named(client: httpx2.AsyncClient, given: dict[str, Any], param: str) -> None:
    body = {"project": "default", "messages": asking(given), "completion": ""}
    refused = await client.post("/api/v1/interactions", json=body)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"].startswith(param)


async def test_s58_the_body_may_be_larger_by_its_pictures(client: httpx2.AsyncClient) -> None:
    nine = part(padded(9 * 2**20))
    await log(client, asking(nine, nine))


async def test_but_not_by_anything_else(client: httpx2.AsyncClient) -> None:
    large = "x" * (10 * 2**20)
    for messages in (
        [{"role": "user", "content": large}],
        [{"role": "user", "content": f"data:{large}"}],
        asking({"type": "text", "text": f"data:image/png;base64,{large}"}, part()),
    ):
        body = {"project": "default", "messages": messages, "completion": ""}
        refused = await client.post("/api/v1/interactions", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "payload_too_large")
        assert "ADAPTIVE_SERVER__MAX_BODY_BYTES" in refused.json()["error"]["message"]
    refused = await client.post("/api/v1/interactions/search", json={"project": "default", "x": large})
    assert refused.status_code == 413


async def test_few_large_bodies_arrive_at_a_time(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "_MOST_LARGE", 0)
    body = {"project": "default", "messages": asking(part(padded(9 * 2**20)), part(padded(9 * 2**20)))}
    refused = await client.post("/api/v1/interactions", json={**body, "completion": ""})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert await log(client, asking(part(file(plain(colour=BLUE)))))
