"""Real servers: one with the real model for all tests of a session, and a gateway with an upstream for each module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from adaptive_engine.registry import ModelDirectory, import_model
from adaptive_engine.settings import ProviderSettings
from faultserver import FaultServer
from integration.gateway import Gateway, running_gateway
from integration.server import MODEL, Server, place_model, start
from integration.upstream import Models, running_upstream
from unit.registry.gguf_builder import tiny_model


@pytest.fixture(scope="session")
def server(default_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`adaptive serve` with its default settings."""
    data_dir = tmp_path_factory.mktemp("server")
    place_model(default_model_dir.path, data_dir)
    running = start(data_dir)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture
def fresh_data_dir(default_model_dir: ModelDirectory, tmp_path: Path) -> Path:
    """An empty data directory that already has the default model's files."""
    place_model(default_model_dir.path, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def small_model_dir(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """A model of one layer under the name of the default one, for tests of everything but answers: it starts at once
    and leaves the processors to the rest of the server.
    """
    directory = tmp_path_factory.mktemp("small")
    return import_model(tiny_model(directory / "tiny.gguf"), directory / "models", MODEL)


@pytest.fixture
def small_data_dir(small_model_dir: ModelDirectory, tmp_path: Path) -> Path:
    """An empty data directory that has the small model's files."""
    place_model(small_model_dir.path, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One with the default settings. A module that needs others has a fixture of this name."""
    with running_gateway(tmp_path_factory.mktemp("gateway"), ProviderSettings()) as running:
        yield running


@pytest.fixture(scope="module")
def http(gateway: Gateway) -> Iterator[httpx2.Client]:
    """A client of the gateway."""
    with httpx2.Client(base_url=gateway.api, headers=gateway.headers, timeout=20) as client:
        yield client


@pytest.fixture(scope="module")
def upstream() -> Iterator[FaultServer]:
    """What the gateway's external models ask."""
    with running_upstream() as running:
        yield running


@pytest.fixture(scope="module")
def models(http: httpx2.Client, upstream: FaultServer) -> Models:
    return Models(http, upstream)
