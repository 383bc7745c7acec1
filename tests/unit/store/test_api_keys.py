import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, api_keys
from adaptive_engine.types import ApiKey, Project, uuid7


def test_create_revoke_delete(database: Database, project: Project) -> None:
    key = ApiKey("abc", "ci", "inference", project.id, b"\0digest", 5, expires_at=9)
    with database.write() as connection:
        api_keys.create(connection, key)
        assert api_keys.get(connection, "abc") == key
        assert api_keys.revoke(connection, "abc", 7)
        assert api_keys.revoke(connection, "abc", 8)
        assert not api_keys.revoke(connection, "nobody", 8)
        assert [k.revoked_at for k in api_keys.list_all(connection)] == [7]
        api_keys.delete(connection, ["abc"])
        assert api_keys.get(connection, "abc") is None


def test_a_key_of_an_unknown_project_is_refused(database: Database) -> None:
    with pytest.raises(Conflict), database.write() as connection:
        api_keys.create(connection, ApiKey("abc", "ci", "inference", uuid7(), b"", 0))
