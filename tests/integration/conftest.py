"""A real server with the real model, shared by the tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptive_engine.registry import ModelDirectory
from integration.server import Server, place_model, start


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
