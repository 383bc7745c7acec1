import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, models
from adaptive_engine.types import Model, uuid7


def test_create_and_find(database: Database, model: Model) -> None:
    with database.read() as connection:
        assert models.get_by_key(connection, "smollm2") == model
        assert models.get_by_key(connection, "other") is None


def test_a_key_is_taken_once(database: Database, model: Model) -> None:
    with pytest.raises(Conflict, match="smollm2"), database.write() as connection:
        models.create(connection, Model(uuid7(), "smollm2", "Again", "internal", (), 1, 0))
