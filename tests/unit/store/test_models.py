from dataclasses import replace

import pytest

from adaptive_engine.errors import Conflict, NotFound
from adaptive_engine.store import Database, models
from adaptive_engine.types import ComputeConfig, ExternalModel, Model, Prices, uuid7


def test_create_and_find(database: Database, model: Model) -> None:
    with database.read() as connection:
        assert models.get_by_key(connection, "smollm2") == model
        assert models.get_by_key(connection, "other") is None


def test_a_key_is_taken_once(database: Database, model: Model) -> None:
    with pytest.raises(Conflict, match="smollm2"), database.write() as connection:
        models.create(connection, Model(uuid7(), "smollm2", "Again", "internal", (), 1, 0))


def test_how_a_model_is_run(database: Database, model: Model) -> None:
    with database.write() as connection:
        models.set_compute_config(connection, "smollm2", ComputeConfig(512, 256))
        models.create(connection, Model(uuid7(), "a", "A", "internal", (), 1, 0, ComputeConfig(max_seq_len=16)))
        found = [(found.key, found.compute_config) for found in models.list_all(connection)]
        assert found == [("a", ComputeConfig(None, 16)), ("smollm2", ComputeConfig(512, 256))]
        with pytest.raises(NotFound):
            models.set_compute_config(connection, "other", ComputeConfig())


def test_external_models(database: Database) -> None:
    external = ExternalModel(
        "gpt-4o", "http://x/v1", {"top_k": 5}, Prices(1.0, 2.0, 0.5, "EUR"), {"stop": 4}, b"\x01sealed\x00"
    )
    model = Model(uuid7(), "ext", "Ext", "openai", ("TextGeneration",), 0, 5, external=external)
    with database.write() as connection:
        models.create(connection, model)
        assert models.get_by_key(connection, "ext") == model
        changed = replace(model, name="New", context_length=9, external=ExternalModel("gpt-5"))
        models.set_external(connection, changed)
        assert models.get_by_key(connection, "ext") == changed
    assert "sealed" not in repr(model)
