"""What keys and users may do."""

from __future__ import annotations

from uuid import UUID

import pytest

from adaptive_engine.errors import AuthenticationFailed, PermissionDenied
from adaptive_engine.permissions import ALL, ROLES
from adaptive_engine.services import access, shares, teams, users
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.services.shares import Sharing
from adaptive_engine.types import Principal
from unit.services.conftest import Installation

IN_PROJECTS = frozenset(p for p in ALL if not p.startswith("admin:") and p != "project:create")


def permitted(principal: Principal, project_id: UUID) -> set[str]:
    return set(access.permissions_in(principal, project_id))


def test_the_default_project_belongs_to_the_default_team(installation: Installation) -> None:
    user = installation.principal(user=installation.user("ada", ("default", "power_user")))
    (project_id,) = user.in_projects
    assert permitted(user, project_id) == IN_PROJECTS
    assert user.may("project:create")
    assert user.user_id is not None


def test_a_role_counts_only_in_the_projects_of_its_team(installation: Installation) -> None:
    installation.team("research")
    ours, theirs = installation.project("ours", owner="research"), installation.project("theirs")
    user = installation.principal(user=installation.user("ada", ("research", "annotator")))
    assert permitted(user, ours.id) == ROLES["annotator"]
    assert permitted(user, theirs.id) == set()


def test_a_share_lets_through_what_its_role_and_the_members_both_permit(installation: Installation) -> None:
    installation.team("partners")
    project = installation.project("ours", ("partners", "read-only"))
    for role, left in (
        ("admin", ROLES["read-only"]),
        ("annotator", {"project:read", "interaction:read"}),
        ("inference", {"project:read"}),
    ):
        user = installation.principal(user=installation.user(role, ("partners", role)))
        assert permitted(user, project.id) == left, role


def test_several_teams_add_up(installation: Installation) -> None:
    installation.team("partners")
    project = installation.project("ours", ("partners", "inference"))
    user = installation.principal(user=installation.user("ada", ("default", "read-only"), ("partners", "inference")))
    assert permitted(user, project.id) == ROLES["read-only"] | (ROLES["inference"] - {"project:create"})


def test_permissions_of_the_server_count_through_team_admin_only(installation: Installation) -> None:
    elsewhere = installation.principal(user=installation.user("ada", ("default", "admin")))
    assert not any(elsewhere.may(permission) for permission in ALL if permission.startswith("admin:"))
    project = installation.project("ours")
    root = installation.principal(user=installation.user("eve", ("admin", "admin")))
    assert root.everywhere == ALL
    assert permitted(root, project.id) == IN_PROJECTS
    platform = installation.principal(user=installation.user("bob", ("admin", "platform_admin")))
    assert platform.everywhere == ROLES["platform_admin"]
    assert permitted(platform, project.id) == set()


def test_a_key_of_one_project_has_nothing_of_the_server(installation: Installation) -> None:
    project = installation.project("ours")
    key = installation.principal(role="admin", project=project)
    assert key.everywhere == frozenset()
    assert key.in_projects == {project.id: IN_PROJECTS}
    assert installation.principal(role="platform-admin").everywhere == ROLES["platform_admin"]


def test_changes_count_at_once_in_this_process(installation: Installation) -> None:
    installation.team("partners")
    project = installation.project("ours", ("partners", "inference"))
    email = installation.user("ada", ("partners", "admin"))
    text, ring = installation.key(user=email), installation.ring
    assert permitted(ring.authenticate(text), project.id) == ROLES["inference"]
    with ring.changing() as connection:
        wanted = [Sharing("default", "admin", is_owner=True), Sharing("partners", "read-only")]
        shares.replace(connection, OPERATOR, project, wanted)
    assert ring.cached(text) is None
    assert permitted(ring.authenticate(text), project.id) == ROLES["read-only"]
    with ring.changing() as connection:
        users.set_team_member(connection, OPERATOR, email, "partners", "inference")
    assert permitted(ring.authenticate(text), project.id) == {"project:read"}
    with ring.changing() as connection:
        teams.delete(connection, OPERATOR, "partners")
    assert permitted(ring.authenticate(text), project.id) == set()
    with ring.changing() as connection:
        users.delete(connection, OPERATOR, email)
    with pytest.raises(AuthenticationFailed):
        ring.authenticate(text)


def test_the_refusal_names_a_role_that_would_do() -> None:
    assert "Role 'read-only' has it" in access.denied("interaction:read", "ours").message
    assert access.denied("interaction:read", "ours").message.endswith("NAME --role read-only --project ours`.")
    with pytest.raises(PermissionDenied, match="Role 'admin' has it"):
        access.require(Principal("key"), "admin:manage_models")
