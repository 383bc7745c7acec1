"""A real server with the real model, shared by the tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptive_engine.registry import ModelDirectory, import_model
from integration.server import MODEL, Server, place_model, start
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
