from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from adaptive_engine.registry import ModelDirectory, ensure_default_model, import_model
from adaptive_engine.store import Database
from postgres import TEMPLATE, PostgresServer

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


# `make test-vllm`: it needs an environment of 3 GB, and minutes.
collect_ignore = [] if os.environ.get("ADAPTIVE_TEST_VLLM") == "1" else ["vllm"]


@pytest.fixture(scope="session")
def default_model_dir(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """The default model, imported once. The download cache keeps its file, so only a new machine needs the network."""
    return ensure_default_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def vision_model_dir(tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """The tiny model that sees, imported once. `pictures.py` draws what it knows."""
    return import_model(Path(__file__).parent / "fixtures/vision_model", tmp_path_factory.mktemp("models"), "vision")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with an empty store to copy."""
    server = PostgresServer()
    try:
        server.create()
        server.run("CREATE DATABASE {} TEMPLATE template0", TEMPLATE)
        Database.open(server.url(TEMPLATE)).close()
        yield server
    finally:
        server.destroy()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """An empty store that no other test uses at the same time."""
    with postgres.store() as url:
        yield url
