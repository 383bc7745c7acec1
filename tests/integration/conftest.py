"""Real servers: one with the real model for all tests of a session, and a gateway with an upstream for each module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.settings import ProviderSettings
from faultserver import FaultServer
from integration.commands import CommandLine, quick_adaptive
from integration.gateway import Gateway, running_gateway
from integration.server import Server, place_model, start
from integration.upstream import Models, running_upstream


@pytest.fixture(scope="session")
def server(default_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`adaptive serve` with its default settings."""
    yield from serving(default_model_dir, tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def shallow_server(shallow_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same for modules that make it generate much and do not read it."""
    yield from serving(shallow_model_dir, tmp_path_factory.mktemp("shallow-server"))


def serving(model: ModelDirectory, data_dir: Path) -> Iterator[Server]:
    place_model(model.path, data_dir)
    running = start(data_dir)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def adaptive(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    return CommandLine(quick_adaptive(tmp_path_factory.mktemp("adaptive")))


@pytest.fixture(scope="module")
def gateway(small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One with the default settings. A module that needs others has a fixture of this name."""
    with running_gateway(tmp_path_factory.mktemp("gateway"), small_model_dir, ProviderSettings()) as running:
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
