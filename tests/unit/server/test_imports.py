"""/api/v1/admin/imports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from adaptive_engine.server.lifespan import Services
from unit.registry.gguf_builder import tiny_model

Ask = Callable[..., Awaitable[httpx2.Response]]


@pytest.fixture
def ask(services: Services, client: httpx2.AsyncClient) -> Ask:
    headers = {"Authorization": f"Bearer {services.keys.create('test', 'admin')[1]}"}

    async def ask(method: str, path: str = "", body: Any = None) -> httpx2.Response:
        return await client.request(method, f"/admin/imports{path}", json=body, headers=headers)

    return ask


async def test_an_import_is_followed_to_its_end(ask: Ask, services: Services) -> None:
    # The model of this server, imported again from its own directory: there is nothing to convert.
    services.imports._directory = services.settings.data_dir
    tiny_model(services.settings.data_dir / "tiny.gguf")
    begun = await ask("POST", "", {"path": "tiny.gguf"})
    assert begun.status_code == 202, begun.text
    found = begun.json()
    assert (found["object"], found["state"], found["key"], found["path"]) == (
        *("model_import", "RUNNING", "tiny"),
        "tiny.gguf",
    )
    services.imports.join()
    ended = (await ask("GET", f"/{found['id']}")).json()
    assert (ended["state"], ended["stage"], ended["error"]) == ("COMPLETED", "read", None)
    assert ended["done"] == ended["total"]
    assert (await ask("GET")).json()["data"] == [ended]
    assert (await ask("POST", f"/{found['id']}/cancel")).json() == ended


async def test_sources(ask: Ask) -> None:
    found = (await ask("GET", "/sources")).json()
    assert [entry["name"] for entry in found["catalog"]] == ["smollm2-135m-instruct"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "name"),
        ({"name": "a", "path": "b"}, 400, "name"),
        ({"name": "nothing"}, 404, "name"),
        ({"path": "../adaptive.db"}, 404, "path"),
        ({"path": 5}, 400, "path"),
        ({"name": "smollm2-135m-instruct", "key": "A B"}, 400, "key"),
        ({"name": "smollm2-135m-instruct", "key": "../x"}, 400, "key"),
        ({"name": "smollm2-135m-instruct", "url": "http://evil.example"}, 400, "url"),
    ],
)
async def test_mistakes_are_named(ask: Ask, services: Services, body: dict[str, Any], status: int, param: str) -> None:
    services.imports._directory = services.settings.models_dir
    refused = await ask("POST", "", body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (status, param), refused.text
    assert (await ask("GET", "/nothing")).json()["error"]["code"] == "import_not_found"
