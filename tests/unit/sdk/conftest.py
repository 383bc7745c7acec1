from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from adaptive_engine.sdk import Adaptive, AsyncAdaptive, retry
from unit.sdk.both import result
from unit.sdk.scripted import ScriptedServer

MakeClient = Callable[..., Any]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ADAPTIVE_URL", "ADAPTIVE_BASE_URL", "ADAPTIVE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(retry, "FIRST_DELAY_SECS", 0.001)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


@pytest.fixture(params=["sync", "async"])
async def make_client(request: pytest.FixtureRequest, server: ScriptedServer) -> AsyncIterator[MakeClient]:
    """Makes clients of the scripted server; each test runs with both kinds."""
    clients: list[Any] = []

    def make(**options: Any) -> Any:
        kind = Adaptive if request.param == "sync" else AsyncAdaptive
        clients.append(kind(**{"base_url": server.url, "api_key": "key", "default_project": "proj", **options}))
        return clients[-1]

    yield make
    for client in clients:
        await result(client.close())


@pytest.fixture
def client(make_client: MakeClient) -> Any:
    return make_client()
