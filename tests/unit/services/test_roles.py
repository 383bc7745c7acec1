from __future__ import annotations

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from adaptive_engine.permissions import ROLES
from adaptive_engine.services import roles, teams
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.store import roles as store
from unit.services.conftest import Installation


def test_those_of_every_installation_are_written_as_this_version_has_them(installation: Installation) -> None:
    with installation.database.write() as connection:
        annotator = roles.find(connection, "annotator")
        store.set_permissions(connection, annotator.id, ["project:read"])
        teams.ensure_first_ones(connection)
        assert {role.key: role.permissions for role in store.list_all(connection)} == ROLES
        assert roles.find(connection, "annotator").id == annotator.id


def test_both_spellings_of_platform_admin(installation: Installation) -> None:
    with installation.database.write() as connection:
        assert roles.find(connection, "platform-admin") == roles.find(connection, "platform_admin")
        with pytest.raises(Conflict, match="another spelling"):
            roles.create(connection, OPERATOR, "platform-admin", None, [])


def test_those_of_every_installation_stay(installation: Installation) -> None:
    with installation.database.write() as connection:
        with pytest.raises(Conflict, match="comes with the server"):
            roles.update(connection, OPERATOR, "read-only", [])
        with pytest.raises(Conflict, match="comes with the server"):
            roles.delete(connection, OPERATOR, "platform-admin")


def test_an_own_role(installation: Installation) -> None:
    installation.role("reviewer", "project:read", "interaction:read")
    key = installation.key(role="reviewer")
    assert installation.ring.authenticate(key).everywhere == {"project:read", "interaction:read"}
    with installation.ring.changing() as connection:
        changed = roles.update(connection, OPERATOR, "reviewer", ["project:read"])
        assert roles.find(connection, str(changed.id)) == changed
        with pytest.raises(Conflict, match="is in use"):
            roles.delete(connection, OPERATOR, "reviewer")
        with pytest.raises(Conflict, match="exists already"):
            roles.create(connection, OPERATOR, "reviewer", None, [])
        with pytest.raises(InvalidRequest, match="there is no 'project:fly'"):
            roles.create(connection, OPERATOR, "pilot", None, ["project:fly"])
    assert installation.ring.authenticate(key).everywhere == {"project:read"}
    installation.ring.revoke(installation.ring.list()[0].id)
    with installation.database.write() as connection:
        roles.delete(connection, OPERATOR, "reviewer")
        with pytest.raises(NotFound, match="Roles: admin, annotator"):
            roles.find(connection, "reviewer")


def test_a_role_in_a_team_or_a_share_is_in_use(installation: Installation) -> None:
    installation.role("reviewer", "project:read")
    installation.role("visitor", "project:read")
    installation.team("partners")
    installation.user("ada", ("default", "reviewer"))
    installation.project("ours", ("partners", "visitor"))
    for key in ("reviewer", "visitor"):
        with installation.database.write() as connection, pytest.raises(Conflict, match="is in use"):
            roles.delete(connection, OPERATOR, key)


def test_nobody_makes_a_role_of_permissions_that_they_lack(installation: Installation) -> None:
    places = ("admin", "platform_admin"), ("default", "annotator")
    manager = installation.principal(user=installation.user("ada", *places))
    with installation.database.write() as connection:
        roles.create(connection, manager, "scorer", None, ["score:create"])
        with pytest.raises(PermissionDenied, match="lacks interaction:delete"):
            roles.create(connection, manager, "eraser", None, ["interaction:delete"])
        # Others may have the role in teams where this one may do nothing.
        with pytest.raises(PermissionDenied, match="lacks interaction:read"):
            roles.update(connection, manager, "scorer", ["score:create", "interaction:read"])
        roles.update(connection, manager, "scorer", [])
        roles.create(connection, OPERATOR, "loader", None, ["admin:manage_models"])
        with pytest.raises(PermissionDenied, match="only who may import"):
            roles.update(connection, manager, "loader", [])
    stranger = installation.principal(role="power_user")
    with installation.database.write() as connection, pytest.raises(PermissionDenied, match="admin:manage_roles"):
        roles.create(connection, stranger, "mine", None, [])
