from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adaptive_engine.registry import import_model
from adaptive_engine.store import Database
from adaptive_engine.types import ComputeConfig, Model, Project, now_ms, uuid7
from unit.registry.gguf_builder import tiny_model
from unit.services.platform import fill

MakeModel = Callable[..., Model]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database.open(tmp_path / "platform.db")
    yield database
    database.close()


@pytest.fixture
def project(database: Database) -> Project:
    """See `platform.fill`."""
    return fill(database)


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def make_model(models_dir: Path, tiny_gguf: Path) -> MakeModel:
    """Imports a real model of one layer, which loads in half a second; returns what the store would know of it."""

    def make(key: str, config: ComputeConfig | None = None) -> Model:
        directory = import_model(tiny_gguf, models_dir, key)
        capabilities, context_length = directory.capabilities, directory.context_length
        config = config or ComputeConfig()
        return Model(uuid7(), key, directory.name, "internal", capabilities, context_length, now_ms(), config)

    return make


def damage(models_dir: Path, key: str) -> None:
    """Cut the weights short. Written anew, because copies may share the file."""
    weights = models_dir / key / "openvino_model.bin"
    shutil.copy(weights, weights.with_suffix(".cut"))
    os.truncate(weights.with_suffix(".cut"), 1000)
    weights.with_suffix(".cut").replace(weights)
