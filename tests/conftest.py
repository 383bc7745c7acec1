from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from adaptive_engine.registry import ModelDirectory, ensure_default_model, import_by_name, import_model
from adaptive_engine.registry.catalog import DEFAULT_MODEL, fetch
from adaptive_engine.store import Database
from integration.server import place_model
from postgres import TEMPLATE, PostgresServer
from shallow import write_shallow
from unit.registry.gguf_builder import tiny_model

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


# `make test-vllm`: it needs an environment of 3 GB, and minutes.
collect_ignore = [] if os.environ.get("ADAPTIVE_TEST_VLLM") == "1" else ["vllm"]


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are imported to, a folder for each, once for all processes of the run: an import waits for another
    of the same file.
    """
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "imported"


@pytest.fixture
def fresh_data_dir(default_model_dir: ModelDirectory, tmp_path: Path) -> Path:
    """An empty data directory that already has the default model's files."""
    place_model(default_model_dir.path, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def small_data_dir(small_model_dir: ModelDirectory, tmp_path: Path) -> Path:
    """An empty data directory that has the small model's files."""
    place_model(small_model_dir.path, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def shallow_data_dir(shallow_model_dir: ModelDirectory, tmp_path: Path) -> Path:
    """An empty data directory that has the shallow model's files."""
    place_model(shallow_model_dir.path, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="session")
def default_model_dir(imported: Path) -> ModelDirectory:
    """The default model. The download cache keeps its file, so only a new machine needs the network."""
    return ensure_default_model(imported / "default")


@pytest.fixture(scope="session")
def shallow_model_dir(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """Four layers of the default model, under its key: for tests that need its tokens and computations, and not what it
    says. It loads and runs in a fifth of the time.
    """
    file = write_shallow(
        fetch(DEFAULT_MODEL), tmp_path_factory.mktemp("shallow") / "shallow.gguf", layers=(0, 10, 20, 29)
    )
    return import_model(file, imported / "shallow", DEFAULT_MODEL.key, sampling=DEFAULT_MODEL.sampling)


@pytest.fixture(scope="session")
def openvino_model_dir(imported: Path) -> ModelDirectory:
    """The default model, for OpenVINO."""
    return import_by_name(DEFAULT_MODEL.key, imported / "openvino", engine="openvino")


@pytest.fixture(scope="session")
def shallow_openvino_dir(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """The shallow one, for OpenVINO."""
    file = write_shallow(
        fetch(DEFAULT_MODEL), tmp_path_factory.mktemp("shallow") / "shallow.gguf", layers=(0, 10, 20, 29)
    )
    return import_model(file, imported / "shallow-openvino", DEFAULT_MODEL.key, engine="openvino")


@pytest.fixture(scope="session")
def small_model_dir(imported: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelDirectory:
    """A model of one tiny layer under the key of the default one, for tests of everything but answers: it starts at
    once and leaves the processors to the rest of the server.
    """
    file = tiny_model(tmp_path_factory.mktemp("small") / "tiny.gguf")
    return import_model(file, imported / "small", DEFAULT_MODEL.key)


@pytest.fixture(scope="session")
def vision_model_dir(imported: Path) -> ModelDirectory:
    """The tiny model that sees. `pictures.py` draws what it knows."""
    return import_model(Path(__file__).parent / "fixtures/vision_model", imported / "vision", "vision")


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
