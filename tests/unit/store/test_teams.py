import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, teams
from adaptive_engine.types import Team, uuid7


def test_create_find_and_delete(database: Database) -> None:
    team = Team(uuid7(), "research", "Research", 3)
    with database.write() as connection:
        teams.create(connection, team)
        assert teams.get(connection, team.id) == teams.get_by_key(connection, "research") == team
        assert teams.list_all(connection) == [team]
    with pytest.raises(Conflict, match="research"), database.write() as connection:
        teams.create(connection, Team(uuid7(), "research", "", 3))
    with database.write() as connection:
        teams.delete(connection, team.id)
        assert teams.get(connection, team.id) is None
