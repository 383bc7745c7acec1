from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adaptive_engine.errors import AuthenticationFailed, Conflict, InvalidRequest, NotFound, PermissionDenied
from adaptive_engine.services import teams, users
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.services.users import NewUser
from adaptive_engine.store import Database
from adaptive_engine.types import Principal
from unit.services.conftest import Installation


@pytest.fixture
def platform_admin(installation: Installation) -> Principal:
    """Who manages people, and is a power user of team `default`."""
    places = ("admin", "platform_admin"), ("default", "power_user")
    return installation.principal(user=installation.user("platform", *places))


def test_people_and_service_accounts(installation: Installation) -> None:
    with installation.database.write() as connection:
        created = users.create(
            connection, OPERATOR, NewUser("Ada", "Ada@Example.com", teams=[("default", "annotator")])
        )
        bot = users.create(connection, OPERATOR, NewUser("ci-bot", user_type="SYSTEM"))
        assert users.find(connection, "ADA@example.com") == users.find(connection, str(created.user.id)) == created.user
        assert [(member.team.key, member.role.key) for member in created.memberships] == [("default", "annotator")]
        assert (bot.user.email, bot.memberships) == ("ci-bot@system.adaptive.local", [])
        assert users.list_all(connection, OPERATOR) == [created, bot]


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        (NewUser("CI bot", user_type="SYSTEM"), "name"),
        (NewUser("x" * 65, user_type="SYSTEM"), "name"),
        (NewUser("Ada"), "email"),
    ],
)
def test_users_that_cannot_be(installation: Installation, wanted: NewUser, param: str) -> None:
    with installation.database.write() as connection, pytest.raises(InvalidRequest) as caught:
        users.create(connection, OPERATOR, wanted)
    assert caught.value.param == param


def test_an_address_is_one_users_until_they_are_deleted(installation: Installation) -> None:
    email = installation.user("ada")
    with installation.database.write() as connection:
        with pytest.raises(Conflict, match="exists already"):
            users.create(connection, OPERATOR, NewUser("Ada", email))
        first = users.delete(connection, OPERATOR, email).user
        with pytest.raises(NotFound):
            users.find(connection, email)
        with pytest.raises(NotFound):
            users.find(connection, str(first.id))
        again = users.create(connection, OPERATOR, NewUser("Ada", email)).user
    assert again.id != first.id


def test_unknown_teams_and_roles_are_named(installation: Installation) -> None:
    email = installation.user("ada")
    with installation.database.write() as connection:
        for team, role, param in (("nowhere", "annotator", "team"), ("default", "nothing", "role")):
            with pytest.raises(NotFound) as caught:
                users.set_team_member(connection, OPERATOR, email, team, role)
            assert caught.value.param == param
        with pytest.raises(NotFound, match="not in team"):
            users.remove_team_member(connection, OPERATOR, email, "default")


def test_nobody_hands_out_a_role_that_permits_more_than_theirs(
    installation: Installation, platform_admin: Principal
) -> None:
    email = installation.user("ada")
    installation.team("research")
    with installation.database.write() as connection:
        for team, role in (("default", "power_user"), ("default", "annotator"), ("admin", "platform_admin")):
            users.set_team_member(connection, platform_admin, email, team, role)
        # Without its permissions for the server, which count in team `admin` only, `admin` is `power_user`.
        users.set_team_member(connection, platform_admin, email, "default", "admin")
        for team, role in (("research", "annotator"), ("admin", "admin"), ("admin", "read-only")):
            with pytest.raises(PermissionDenied, match="nobody can give what they do not have"):
                users.set_team_member(connection, platform_admin, email, team, role)
        with pytest.raises(PermissionDenied):
            users.create(connection, platform_admin, NewUser("Eve", "eve@example.com", teams=[("admin", "admin")]))


def test_nobody_raises_themselves(installation: Installation, platform_admin: Principal) -> None:
    with installation.database.write() as connection, pytest.raises(PermissionDenied):
        users.set_team_member(connection, platform_admin, "platform@example.com", "admin", "admin")


def test_who_may_do_more_with_the_server_is_out_of_reach(installation: Installation, platform_admin: Principal) -> None:
    installation.key(role="admin")
    root, peer = installation.user("root", ("admin", "admin")), installation.user("peer", ("admin", "platform_admin"))
    with installation.database.write() as connection:
        with pytest.raises(PermissionDenied, match="import, configure and terminate"):
            users.delete(connection, platform_admin, root)
        with pytest.raises(PermissionDenied):
            users.set_team_member(connection, platform_admin, root, "admin", "platform_admin")
        with pytest.raises(PermissionDenied):
            users.remove_team_member(connection, platform_admin, root, "admin")
        users.delete(connection, platform_admin, peer)


def test_an_admin_remains(installation: Installation) -> None:
    root, second = installation.user("root", ("admin", "admin")), installation.user("second", ("admin", "admin"))
    admin = installation.principal(user=root)
    with installation.database.write() as connection:
        # The second has no key: nobody could come in.
        for forbidden in (
            lambda: users.delete(connection, admin, root),
            lambda: users.remove_team_member(connection, admin, root, "admin"),
            lambda: users.set_team_member(connection, admin, root, "admin", "platform_admin"),
        ):
            savepoint = connection.begin_nested()
            with pytest.raises(Conflict, match="Nobody could administer") as caught:
                forbidden()
            assert caught.value.code == "last_admin"
            savepoint.rollback()
    installation.key(user=second)
    with installation.database.write() as connection:
        users.delete(connection, admin, root)


def test_management_needs_its_permission(installation: Installation) -> None:
    member = installation.principal(user=installation.user("ada", ("default", "admin")))
    with installation.database.read() as connection:
        own = users.own(connection, member)
        assert own is not None
        assert own.user.email == "ada@example.com"
        assert users.own(connection, OPERATOR) is None
        with pytest.raises(PermissionDenied, match="admin:manage_users"):
            users.list_all(connection, member)


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """As `installation`, on each database."""
    address = request.getfixturevalue("postgres_url") if request.param == "postgresql" else str(tmp_path / "store.db")
    database = Database.open(address)
    with database.write() as connection:
        teams.ensure_first_ones(connection)
    yield Installation(database, KeyRing(database, b"p" * 32))
    database.close()


def test_of_two_admins_who_delete_each_other_one_stays(either: Installation) -> None:
    """A third keeps the rule of the last admin out of it."""
    either.key(role="admin")
    emails = [either.user(name, ("admin", "admin")) for name in ("ada", "bob")]
    # Each asks a server of its own, which has looked at the key a moment ago.
    rings = [KeyRing(either.database, b"p" * 32) for _ in emails]
    callers = [ring.authenticate(either.key(user=email)) for ring, email in zip(rings, emails, strict=True)]
    together = threading.Barrier(2)

    def delete(ring: KeyRing, caller: Principal, other: str) -> bool:
        together.wait()
        try:
            with ring.changing_as(caller) as (connection, now):
                users.delete(connection, now, other)
        except AuthenticationFailed:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(delete, rings, callers, reversed(emails))) == [False, True]
    with either.database.read() as connection:
        assert len(users.list_all(connection, OPERATOR)) == 1


def test_who_lost_a_right_meanwhile_changes_nothing(installation: Installation, platform_admin: Principal) -> None:
    email = installation.user("ada")
    with installation.database.write() as connection:
        users.set_team_member(connection, OPERATOR, "platform@example.com", "admin", "annotator")
    with pytest.raises(PermissionDenied), installation.ring.changing_as(platform_admin) as (connection, now):
        users.delete(connection, now, email)
