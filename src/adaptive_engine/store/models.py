"""The model registry."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.errors import NotFound
from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import models
from adaptive_engine.types import ComputeConfig, ExternalModel, Model, Prices

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
    models.c.external,
    models.c.sealed_key,
)


def create(connection: Connection, model: Model) -> None:
    """Raises Conflict when the key is taken."""
    with duplicates_refused(f"Model '{model.key}' exists already. Choose another key.", "key"):
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
                **_external_values(model.external),
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


def set_abilities(connection: Connection, key: str, capabilities: tuple[str, ...], context_length: int) -> None:
    values = {"capabilities": capabilities, "context_length": context_length}
    connection.execute(models.update().where(models.c.key == key).values(values))


def set_external(connection: Connection, model: Model) -> None:
    """Write what there is to change of an external model."""
    values = {
        "name": model.name,
        "capabilities": model.capabilities,
        "context_length": model.context_length,
        **_external_values(model.external),
    }
    connection.execute(models.update().where(models.c.id == model.id).values(values))


def from_row(row: Any) -> Model:
    """A Model from a row of COLUMNS."""
    model_id, key, name, provider, capabilities, context_length, created_at, kv_cache_len, max_seq_len, *where = row
    config, external = ComputeConfig(kv_cache_len, max_seq_len), _external(*where)
    return Model(model_id, key, name, provider, tuple(capabilities), context_length, created_at, config, external)


def _external_values(external: ExternalModel | None) -> dict[str, Any]:
    if external is None:
        return {"external": None, "sealed_key": None}
    # The key has a column of its own: whatever shows the other one shows no secret.
    shown = {field.name: getattr(external, field.name) for field in dataclasses.fields(external)}
    shown.pop("sealed_key")
    prices = None if external.prices is None else dataclasses.asdict(external.prices)
    return {"external": {**shown, "prices": prices}, "sealed_key": external.sealed_key}


def _external(stored: dict[str, Any] | None, sealed_key: bytes | None) -> ExternalModel | None:
    if stored is None:
        return None
    prices = stored.pop("prices")
    return ExternalModel(**stored, prices=Prices(**prices) if prices else None, sealed_key=sealed_key)
