from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.server.app import create_app
from adaptive_engine.server.assembly import assembled
from adaptive_engine.server.lifespan import Services
from adaptive_engine.services.engines import Engines
from adaptive_engine.settings import Settings
from integration.server import place_model


@pytest.fixture(scope="module")
def services(small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """The parts of a server, with a model of one layer."""
    data_dir = tmp_path_factory.mktemp("data")
    settings = Settings(data_dir=data_dir)
    model = place_model(small_model_dir.path, data_dir, "tiny")
    engines = Engines(settings.models_dir, settings.engine)
    with assembled(settings, model, engines) as (services, _):
        yield services


@pytest.fixture(scope="module")
def app(services: Services) -> Any:
    return create_app(services)


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """Speaks to the application without a network."""
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://server/api/v1") as client:
        yield client
