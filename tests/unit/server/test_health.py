"""Why /readyz says no, and that it says so before the port is closed."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import threading
from types import SimpleNamespace

import httpx2
import pytest
import uvicorn

from adaptive_engine.server.app import create_app
from adaptive_engine.server.http import _Server
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services.backends import Backends
from adaptive_engine.services.engines import Engines
from adaptive_engine.services.readiness import Readiness
from adaptive_engine.store import Recorder, models


async def readyz(services: Services, readiness: Readiness) -> tuple[int, str, list[str]]:
    services.engines.wait()
    transport = httpx2.ASGITransport(create_app(dataclasses.replace(services, readiness=readiness)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://server") as client:
        answer = await client.get("/readyz")
        assert (await client.get("/livez")).status_code == 200
    return answer.status_code, answer.json()["status"], answer.json()["problems"]


async def test_a_server_that_answers_is_ready(services: Services) -> None:
    assert await readyz(services, services.readiness) == (200, "ok", [])


async def test_a_store_that_cannot_be_written_is_a_reason(services: Services) -> None:
    readiness = Readiness(services.backends, services.routing, Recorder(services.database))
    assert await readyz(services, readiness) == (503, "unavailable", ["store: The recorder is not running."])


async def test_a_model_that_is_being_loaded_is_a_reason(services: Services) -> None:
    engines = Engines(services.settings.models_dir, services.settings.engine)
    gate = threading.Event()
    engines._loader.submit(gate.wait)
    try:
        with services.database.read() as connection:
            tiny = models.get_by_key(connection, "tiny")
        assert tiny is not None
        engines.load(tiny)
        given = services.backends
        backends = Backends(engines, given.vllm, given.providers, given._model_engine)
        readiness = Readiness(backends, services.routing, services.recorder)
        assert await readyz(services, readiness) == (503, "unavailable", ["model 'tiny': It is being loaded."])
    finally:
        gate.set()
        engines.close()


async def test_draining_is_a_reason(services: Services) -> None:
    readiness = Readiness(services.backends, services.routing, services.recorder)
    readiness.drain()
    status, _, (problem,) = await readyz(services, readiness)
    assert status == 503
    assert problem.startswith("server: It is draining")


def test_requests_are_taken_while_a_server_says_that_it_is_draining(services: Services) -> None:
    readiness = Readiness(services.backends, services.routing, services.recorder)
    app = create_app(dataclasses.replace(services, readiness=readiness))
    ready, draining, urls = threading.Event(), threading.Event(), list[str]()

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    def on_stop(_: int) -> None:
        readiness.drain()
        draining.set()

    server = _Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None), on_ready, on_stop, 60)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert ready.wait(10)
    server.handle_exit(signal.SIGTERM, None)
    assert draining.wait(10)
    with httpx2.Client(base_url=urls[0]) as client:
        assert client.get("/readyz").status_code == 503
        assert client.get("/version").status_code == 200
    server.handle_exit(signal.SIGINT, None)
    thread.join(10)
    assert not thread.is_alive(), "a second signal ends the wait"


async def test_too_little_free_space_refuses_what_would_be_stored(
    client: httpx2.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.engines.wait()
    _, key = services.keys.create("client", "admin")
    asked = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}

    async def chat(**more: object) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {key}"}
        return await client.post("/chat/completions", json=asked | more, headers=headers)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=(64 << 20) - 1))
        refused = await chat()
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "storage_unavailable")
        assert refused.headers["retry-after"] == "1"
        assert "ADAPTIVE_STORE__MIN_FREE_BYTES" in refused.json()["error"]["message"]
        assert (await chat(store=False)).status_code == 200
        status, _, (problem,) = await readyz(services, services.readiness)
        assert status == 503
        assert problem.startswith("store: The data volume has 63 MiB free")
    assert (await chat()).status_code == 200
    assert await readyz(services, services.readiness) == (200, "ok", [])
