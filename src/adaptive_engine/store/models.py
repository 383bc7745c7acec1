"""The model registry."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.errors import NotFound
from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import models
from adaptive_engine.types import ComputeConfig, Model

COLUMNS = (
    models.c.id,
    models.c.key,
    models.c.name,
    models.c.provider,
    models.c.capabilities,
    models.c.context_length,
    models.c.created_at,
    models.c.kv_cache_len,
    models.c.max_seq_len,
)


def create(connection: Connection, model: Model) -> None:
    """Raises Conflict when the key is taken."""
    with duplicates_refused(f"Model '{model.key}' exists already."):
        connection.execute(
            models.insert().values(
                id=model.id,
                key=model.key,
                name=model.name,
                provider=model.provider,
                capabilities=model.capabilities,
                context_length=model.context_length,
                created_at=model.created_at,
                kv_cache_len=model.compute_config.kv_cache_len,
                max_seq_len=model.compute_config.max_seq_len,
            )
        )


def get_by_key(connection: Connection, key: str) -> Model | None:
    row = connection.execute(sa.select(*COLUMNS).where(models.c.key == key)).one_or_none()
    return None if row is None else from_row(row)


def list_all(connection: Connection) -> list[Model]:
    """Sorted by key."""
    return [from_row(row) for row in connection.execute(sa.select(*COLUMNS).order_by(models.c.key))]


def set_compute_config(connection: Connection, key: str, config: ComputeConfig) -> None:
    """Raises NotFound."""
    values = {"kv_cache_len": config.kv_cache_len, "max_seq_len": config.max_seq_len}
    if connection.execute(models.update().where(models.c.key == key).values(values)).rowcount == 0:
        raise NotFound(f"model '{key}' is not registered", param="model")


def from_row(row: Any) -> Model:
    """A Model from a row of COLUMNS."""
    model_id, key, name, provider, capabilities, context_length, created_at, kv_cache_len, max_seq_len = row
    config = ComputeConfig(kv_cache_len, max_seq_len)
    return Model(model_id, key, name, provider, tuple(capabilities), context_length, created_at, config)
