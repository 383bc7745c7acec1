import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, roles, team_members, teams, users
from adaptive_engine.types import AccessRole, Team, User, uuid7


def test_create_change_and_delete(database: Database) -> None:
    role = AccessRole(uuid7(), "reviewer", "Reviewer", frozenset({"project:read", "interaction:read"}), 3)
    with database.write() as connection:
        roles.create(connection, role)
        assert roles.get(connection, role.id) == roles.get_by_key(connection, "reviewer") == role
        roles.set_permissions(connection, role.id, {"project:read"})
        assert [found.permissions for found in roles.list_all(connection)] == [{"project:read"}]
    with pytest.raises(Conflict, match="reviewer"), database.write() as connection:
        roles.create(connection, AccessRole(uuid7(), "reviewer", "", frozenset(), 3))
    with database.write() as connection:
        roles.delete(connection, role.id)
        assert roles.get(connection, role.id) is None


def test_a_role_that_is_held_stays(database: Database) -> None:
    role = AccessRole(uuid7(), "reviewer", "", frozenset(), 3)
    team, user = Team(uuid7(), "research", "", 3), User(uuid7(), "ada@example.com", "Ada", "HUMAN", 3)
    with database.write() as connection:
        roles.create(connection, role)
        teams.create(connection, team)
        users.create(connection, user)
        assert not roles.is_held(connection, role.id)
        team_members.put(connection, user.id, team.id, role.id)
        assert roles.is_held(connection, role.id)
    with pytest.raises(Conflict), database.write() as connection:
        roles.delete(connection, role.id)
