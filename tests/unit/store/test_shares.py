from adaptive_engine.store import Database, roles, shares, team_members, teams, users
from adaptive_engine.store.shares import SharedProject
from adaptive_engine.types import AccessRole, Project, Share, Team, User, uuid7


def test_add_list_and_delete(database: Database, project: Project) -> None:
    role = AccessRole(uuid7(), "reader", "Reader", frozenset({"project:read"}), 3)
    owner, guest = Team(uuid7(), "owner", "", 3), Team(uuid7(), "guest", "", 3)
    user = User(uuid7(), "ada@example.com", "Ada", "HUMAN", 3)
    with database.write() as connection:
        roles.create(connection, role)
        users.create(connection, user)
        for team in (owner, guest):
            teams.create(connection, team)
        team_members.put(connection, user.id, guest.id, role.id)
        found = [Share(project.id, guest, role, is_owner=False), Share(project.id, owner, role, is_owner=True)]
        shares.add(connection, found)
        shares.add(connection, [])
        assert shares.list_for_project(connection, project.id) == found
        assert shares.list_for_team(connection, owner.id) == found[1:]
        assert shares.list_for_user(connection, user.id) == [SharedProject(project.id, guest.id, role.id, False)]
        assert roles.is_held(connection, role.id)
        shares.delete(connection, project.id)
        assert shares.list_for_project(connection, project.id) == []
