import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, api_keys, roles, team_members, teams, users
from adaptive_engine.types import AccessRole, ApiKey, Project, Team, User, uuid7


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


def test_a_users_keys_end_together(database: Database) -> None:
    user = User(uuid7(), "ada@example.com", "Ada", "HUMAN", 3)
    with database.write() as connection:
        users.create(connection, user)
        for name, expires_at in (("ever", None), ("long", 100), ("short", 20), ("expired", 5)):
            api_keys.create(connection, ApiKey(name, name, "", None, b"", 0, expires_at, user_id=user.id))
        api_keys.create(connection, ApiKey("other", "other", "admin", None, b"", 0))
        api_keys.end_all_of_user(connection, user.id, now=10, expires_at=50)
        ends = {key.id: (key.expires_at, key.revoked_at) for key in api_keys.list_all(connection)}
        assert ends == {
            "ever": (50, None),
            "long": (50, None),
            "short": (20, None),
            "expired": (5, None),
            "other": (None, None),
        }
        api_keys.end_all_of_user(connection, user.id, now=10)
        ended = {key.id for key in api_keys.list_all(connection) if key.revoked_at == 10}
        assert ended == {"ever", "long", "short"}


def test_who_has_a_role_on_the_server(database: Database, project: Project) -> None:
    user = User(uuid7(), "ada@example.com", "Ada", "HUMAN", 3)
    team, role = Team(uuid7(), "admin", "", 3), AccessRole(uuid7(), "admin", "", frozenset(), 3)
    with database.write() as connection:
        users.create(connection, user)
        teams.create(connection, team)
        roles.create(connection, role)
        api_keys.create(connection, ApiKey("limited", "", "admin", project.id, b"", 0))
        api_keys.create(connection, ApiKey("expired", "", "admin", None, b"", 0, expires_at=5))
        api_keys.create(connection, ApiKey("theirs", "", "", None, b"", 0, user_id=user.id))
        assert api_keys.any_with_role(connection, "admin", now=10)
        assert not api_keys.any_on_server(connection, "admin", "admin", now=10)
        assert api_keys.any_on_server(connection, "admin", "admin", now=4)
        team_members.put(connection, user.id, team.id, role.id)
        assert api_keys.any_on_server(connection, "admin", "admin", now=10)
        api_keys.revoke(connection, "theirs", 10)
        assert not api_keys.any_on_server(connection, "admin", "admin", now=10)
        api_keys.revoke(connection, "limited", 10)
        assert not api_keys.any_with_role(connection, "admin", now=10)
