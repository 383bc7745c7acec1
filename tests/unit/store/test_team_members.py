from adaptive_engine.store import Database, roles, team_members, teams, users
from adaptive_engine.types import AccessRole, Membership, Team, User, uuid7

ADA = User(uuid7(), "ada@example.com", "Ada", "HUMAN", 3)
TEAMS = [Team(uuid7(), key, key, 3) for key in ("a", "b")]
READER, WRITER = (AccessRole(uuid7(), key, key, frozenset({f"project:{key}"}), 3) for key in ("read", "update"))


def test_each_user_has_one_role_in_a_team(database: Database) -> None:
    with database.write() as connection:
        users.create(connection, ADA)
        for team in TEAMS:
            teams.create(connection, team)
        for role in (READER, WRITER):
            roles.create(connection, role)
        for team, role in ((TEAMS[1], READER), (TEAMS[0], READER), (TEAMS[1], WRITER)):
            team_members.put(connection, ADA.id, team.id, role.id)
        found = [Membership(ADA.id, TEAMS[0], READER), Membership(ADA.id, TEAMS[1], WRITER)]
        assert team_members.list_for_user(connection, ADA.id) == team_members.list_all(connection) == found
        assert team_members.delete(connection, ADA.id, TEAMS[0].id)
        assert not team_members.delete(connection, ADA.id, TEAMS[0].id)
        teams.delete(connection, TEAMS[1].id)
        assert team_members.list_all(connection) == []
