"""A second model for pages that compare models, beside a running server."""

from __future__ import annotations

from contextlib import closing

from adaptive_engine.registry import import_model
from adaptive_engine.registry.vllm import VllmModel
from adaptive_engine.services import models
from adaptive_engine.store import Database
from integration.server import Server
from unit.registry.gguf_builder import tiny_model


def register_tiny_model(server: Server, key: str) -> None:
    """What `adaptive models import` does; loads nothing."""
    directory = import_model(tiny_model(server.data_dir / f"{key}.gguf"), server.data_dir / "models", key)
    with closing(Database.open(server.data_dir / "adaptive.db")) as database, database.write() as connection:
        models.register(connection, directory)


def register_vllm_model(server: Server, key: str) -> None:
    """What `adaptive models import --engine vllm` does; starts nothing."""
    model = VllmModel(1, key, "Qwen3 8B", "Qwen/Qwen3-8B", (), ("TextGeneration",), 40960, 0)
    with closing(Database.open(server.data_dir / "adaptive.db")) as database, database.write() as connection:
        models.register_vllm(connection, model)
