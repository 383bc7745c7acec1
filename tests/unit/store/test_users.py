import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, users
from adaptive_engine.types import User, uuid7

ADA = User(uuid7(), "ada@example.com", "Ada", "HUMAN", 3)


def test_create_and_find(database: Database) -> None:
    with database.write() as connection:
        users.create(connection, ADA)
        assert users.get(connection, ADA.id) == users.get_by_email(connection, "ada@example.com") == ADA
        assert users.list_all(connection) == [ADA]
    with pytest.raises(Conflict, match=r"ada@example\.com"), database.write() as connection:
        users.create(connection, User(uuid7(), ADA.email, "Another", "SYSTEM", 3))


def test_the_address_of_a_deleted_user_is_free(database: Database) -> None:
    with database.write() as connection:
        users.create(connection, ADA)
        users.set_deleted(connection, ADA.id, 5)
        assert users.get(connection, ADA.id) is None
        assert users.list_all(connection) == []
        users.create(connection, User(uuid7(), ADA.email, "Another", "HUMAN", 7))
