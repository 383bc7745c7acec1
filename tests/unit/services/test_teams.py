from __future__ import annotations

import pytest

from adaptive_engine.errors import Conflict, NotFound, PermissionDenied
from adaptive_engine.services import projects, teams
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.store import shares
from unit.services.conftest import Installation


def test_the_first_ones_are_made_once(installation: Installation) -> None:
    with installation.database.write() as connection:
        first = teams.visible(connection, OPERATOR)
        teams.ensure_first_ones(connection)
        assert teams.visible(connection, OPERATOR) == first
        assert [team.key for team in first] == ["admin", "default"]
        for key in ("admin", "default"):
            with pytest.raises(Conflict, match="stays"):
                teams.delete(connection, OPERATOR, key)


def test_a_key_is_one_teams(installation: Installation) -> None:
    installation.team("research")
    with installation.database.write() as connection:
        with pytest.raises(Conflict, match="exists already"):
            teams.create(connection, OPERATOR, "research", None)
        deleted = teams.delete(connection, OPERATOR, "research")
        with pytest.raises(NotFound):
            teams.find(connection, str(deleted.id))


def test_the_only_owner_of_a_project_stays(installation: Installation) -> None:
    installation.team("research")
    project = installation.project("ours", owner="research")
    with installation.database.write() as connection:
        with pytest.raises(Conflict, match="only owner of project 'ours'"):
            teams.delete(connection, OPERATOR, "research")
        projects.archive(connection, project.id)
        with pytest.raises(Conflict, match="only owner of project 'ours'"):
            teams.delete(connection, OPERATOR, "research")
        teams.give(connection, project.id, teams.find(connection, "default"))
        teams.delete(connection, OPERATOR, "research")
        assert [share.team.key for share in shares.list_for_project(connection, project.id)] == ["default"]


def test_members_see_their_own_and_those_who_share_see_all(installation: Installation) -> None:
    installation.team("research")
    annotator = installation.principal(user=installation.user("ada", ("research", "annotator")))
    sharer = installation.principal(user=installation.user("bob", ("default", "power_user")))
    with installation.database.read() as connection:
        assert [team.key for team in teams.visible(connection, annotator)] == ["research"]
        assert [team.key for team in teams.visible(connection, sharer)] == ["admin", "default", "research"]
        assert teams.visible(connection, installation.ring.authenticate(installation.key(role="inference"))) == []


def test_a_new_project_belongs_to_a_team_of_its_maker(installation: Installation) -> None:
    installation.team("research")
    member = installation.principal(user=installation.user("ada", ("research", "power_user"), ("default", "annotator")))
    with installation.database.write() as connection:
        assert teams.for_new_project(connection, member, "research").key == "research"
        assert teams.for_new_project(connection, OPERATOR, None).key == "default"
        with pytest.raises(PermissionDenied, match="Name one of yours: research"):
            teams.for_new_project(connection, member, None)
        with pytest.raises(NotFound):
            teams.for_new_project(connection, member, "nowhere")
    annotator = installation.principal(user=installation.user("eve", ("research", "annotator")))
    with installation.database.read() as connection, pytest.raises(PermissionDenied, match="project:create"):
        teams.for_new_project(connection, annotator, "research")
