from __future__ import annotations

import pytest

from adaptive_engine.errors import InvalidRequest, NotFound, PermissionDenied
from adaptive_engine.services import shares
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.services.shares import Sharing
from adaptive_engine.store import shares as store
from adaptive_engine.types import Principal, Project
from unit.services.conftest import Installation

OWNER = Sharing("default", "admin", is_owner=True)


@pytest.fixture
def project(installation: Installation) -> Project:
    """Of team `default`, shared with team `partners` in a role that may share and annotate."""
    installation.team("partners")
    installation.team("public")
    installation.role("host", "project:read", "project:share", "interaction:read")
    return installation.project("ours", ("partners", "host"))


@pytest.fixture
def guest(installation: Installation, project: Project) -> Principal:
    return installation.principal(user=installation.user("guest", ("partners", "admin")))


def shared(installation: Installation, project: Project) -> list[tuple[str, str, bool]]:
    with installation.database.read() as connection:
        found = store.list_for_project(connection, project.id)
    return [(share.team.key, share.role.key, share.is_owner) for share in found]


def test_the_list_is_replaced_as_a_whole(installation: Installation, project: Project) -> None:
    with installation.database.write() as connection:
        shares.replace(connection, OPERATOR, project, [Sharing("public", "platform-admin"), OWNER])
    assert shared(installation, project) == [("default", "admin", True), ("public", "platform_admin", False)]


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ([], "shares"),
        ([Sharing("default", "admin")], "shares"),
        ([OWNER, OWNER], "shares"),
    ],
)
def test_lists_that_cannot_be(installation: Installation, project: Project, wanted: list[Sharing], param: str) -> None:
    with installation.database.write() as connection, pytest.raises(InvalidRequest) as caught:
        shares.replace(connection, OPERATOR, project, wanted)
    assert caught.value.param == param


def test_unknown_teams_and_roles_are_named(installation: Installation, project: Project) -> None:
    for wrong, param in ((Sharing("x", "admin"), "shares[1].team"), (Sharing("public", "x"), "shares[1].role")):
        with installation.database.write() as connection, pytest.raises(NotFound) as caught:
            shares.replace(connection, OPERATOR, project, [OWNER, wrong])
        assert caught.value.param == param


def test_a_guest_shares_what_guests_have(installation: Installation, project: Project, guest: Principal) -> None:
    host = Sharing("partners", "host")
    with installation.database.write() as connection:
        shares.replace(connection, guest, project, [OWNER, host, Sharing("public", "read-only")])
        # Taking away needs no more than the permission to share.
        shares.replace(connection, guest, project, [OWNER, host])
        for more in (
            [OWNER, host, Sharing("public", "inference")],
            [OWNER, Sharing("partners", "admin")],
            [OWNER, Sharing("partners", "host", is_owner=True)],
            [OWNER, Sharing("public", "read-only", is_owner=True)],
            [Sharing("default", "read-only", is_owner=True), host],
            [Sharing("default", "admin"), Sharing("partners", "host", is_owner=True)],
            [Sharing("public", "read-only", is_owner=True)],
        ):
            with pytest.raises(PermissionDenied, match="nobody can give what they do not have"):
                shares.replace(connection, guest, project, more)
    assert shared(installation, project) == [("default", "admin", True), ("partners", "host", False)]


def test_owners_hand_it_over(installation: Installation, project: Project) -> None:
    owner = installation.principal(user=installation.user("owner", ("default", "power_user")))
    with installation.database.write() as connection:
        shares.replace(connection, owner, project, [Sharing("public", "power_user", is_owner=True)])
    assert shared(installation, project) == [("public", "power_user", True)]


def test_sharing_needs_its_permission(installation: Installation, project: Project) -> None:
    reader = installation.principal(user=installation.user("reader", ("default", "read-only")))
    with installation.database.write() as connection, pytest.raises(PermissionDenied, match="project:share"):
        shares.replace(connection, reader, project, [OWNER])
