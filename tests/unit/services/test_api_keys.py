from __future__ import annotations

import pytest

from adaptive_engine.errors import AuthenticationFailed, Conflict, InvalidRequest, NotFound, PermissionDenied
from adaptive_engine.services import api_keys
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.services.api_keys import NewKey
from adaptive_engine.types import Principal, Project, now_ms
from unit.services.conftest import Installation

SOON = 10_000


def made(installation: Installation, principal: Principal, **wanted: object) -> str:
    with installation.ring.changing() as connection:
        return api_keys.create(connection, installation.ring, principal, NewKey("test", **wanted))[1]  # type: ignore[arg-type]


@pytest.fixture
def project(installation: Installation) -> Project:
    return installation.project("ours")


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({}, "role"),
        ({"role": "admin", "user": "ada@example.com"}, "role"),
        ({"role": "admin", "expires_at": 1}, "expires_at"),
        ({"role": "admin", "expires_at": 253402300800000}, "expires_at"),
        ({"user": "ada@example.com", "expiration_for_previous_keys": 1}, "expiration_for_previous_keys"),
        ({"role": "admin", "expiration_for_previous_keys": 2**50}, "expiration_for_previous_keys"),
    ],
)
def test_keys_that_cannot_be(installation: Installation, wanted: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        made(installation, OPERATOR, **wanted)
    assert caught.value.param == param


def test_a_project_limits_roles_not_users(installation: Installation, project: Project) -> None:
    with pytest.raises(InvalidRequest, match="Leave it out"):
        made(installation, OPERATOR, user=installation.user("ada"), project=project)
    with pytest.raises(InvalidRequest, match="permits nothing in a project"):
        made(installation, OPERATOR, role="platform_admin", project=project)
    with pytest.raises(NotFound, match="Roles: admin"):
        made(installation, OPERATOR, role="nothing")
    with pytest.raises(NotFound, match="User"):
        made(installation, OPERATOR, user="nobody@example.com")


def test_a_users_new_key_ends_the_earlier_ones(installation: Installation) -> None:
    email = installation.user("ada", ("default", "annotator"))
    ring = installation.ring
    first = made(installation, OPERATOR, user=email)
    second = made(installation, ring.authenticate(first), user=email, expiration_for_previous_keys=now_ms() + SOON)
    assert ring.authenticate(first).user_id == ring.authenticate(second).user_id
    limited = next(key for key in ring.list() if key.id == ring.authenticate(first).key_id)
    assert now_ms() < (limited.expires_at or 0) <= now_ms() + SOON
    third = made(installation, ring.authenticate(second), user=email)
    for ended in (first, second):
        with pytest.raises(AuthenticationFailed):
            ring.authenticate(ended)
    ring.authenticate(third)


def test_a_key_ends_with_its_time(installation: Installation) -> None:
    text = made(installation, OPERATOR, role="inference", expires_at=now_ms() + SOON)
    assert installation.ring.list()[-1].expires_at is not None
    assert installation.ring.authenticate(text).may("completion:create")


def test_who_shares_a_project_makes_keys_for_it(installation: Installation, project: Project) -> None:
    elsewhere = installation.project("elsewhere")
    installation.role("host", "project:read", "project:share", "interaction:read")
    host = installation.principal(role="host", project=project)
    made(installation, host, role="read-only", project=project)
    with pytest.raises(PermissionDenied, match="lacks completion:create"):
        made(installation, host, role="inference", project=project)
    with pytest.raises(PermissionDenied, match="project:share"):
        made(installation, host, role="read-only", project=elsewhere)
    with pytest.raises(PermissionDenied, match="admin:manage_users"):
        made(installation, host, role="read-only")
    with pytest.raises(PermissionDenied, match="admin:manage_users"):
        made(installation, host, user=installation.user("ada"))


def test_who_manages_users_takes_nobodys_place(installation: Installation) -> None:
    installation.key(role="admin")
    platform = installation.principal(user=installation.user("platform", ("admin", "platform_admin")))
    made(installation, platform, user=installation.user("powerless"))
    made(installation, platform, role="platform_admin")
    for more in (installation.user("root", ("admin", "admin")), installation.user("ada", ("default", "read-only"))):
        with pytest.raises(PermissionDenied, match="nobody can give what they do not have"):
            made(installation, platform, user=more)
    with pytest.raises(PermissionDenied, match="lacks"):
        made(installation, platform, role="read-only")


def test_what_counts_in_a_team_is_not_given_for_the_whole_server(installation: Installation) -> None:
    installation.team("research")
    places = ("admin", "platform_admin"), ("research", "power_user")
    platform = installation.principal(user=installation.user("platform", *places))
    installation.role("founder", "project:create")
    assert platform.may("project:create")
    made(installation, platform, user=installation.user("ada", ("research", "founder")))
    with pytest.raises(PermissionDenied, match="lacks project:create"):
        made(installation, platform, user=installation.user("eve", ("default", "founder")))
    with pytest.raises(PermissionDenied, match="lacks project:create"):
        made(installation, platform, role="founder")


def test_a_key_makes_none_that_outlives_it(installation: Installation, project: Project) -> None:
    limit = now_ms() + SOON
    lent = installation.principal(role="power_user", project=project, expires_at=limit)
    made(installation, lent, role="read-only", project=project, expires_at=limit)
    for later in (None, limit + 1):
        with pytest.raises(PermissionDenied, match="outlives it"):
            made(installation, lent, role="read-only", project=project, expires_at=later)
    made(installation, installation.principal(role="admin", expires_at=limit), role="read-only")


def test_each_sees_and_ends_their_own(installation: Installation, project: Project) -> None:
    ring = installation.ring
    email = installation.user("ada", ("default", "annotator"))
    own = installation.principal(user=email)
    app = installation.principal(role="inference", project=project)
    root = installation.principal(role="admin")
    sharer = installation.principal(user=installation.user("bob", ("default", "power_user")))

    def visible(principal: Principal) -> set[str]:
        with installation.database.read() as connection:
            return {key.id for key in api_keys.visible(connection, principal)}

    assert visible(own) == {own.key_id}
    assert visible(app) == {app.key_id}
    assert visible(sharer) == {sharer.key_id, app.key_id}
    assert visible(root) == {key.id for key in ring.list()}
    with installation.database.write() as connection:
        for foreign in (root.key_id, "nobody"):
            with pytest.raises(NotFound) as caught:
                api_keys.revoke(connection, own, foreign)
            assert caught.value.message == f"EntityNotFound: API key '{foreign}' does not exist."
    with ring.changing() as connection:
        assert api_keys.revoke(connection, own, own.key_id).revoked_at is not None


def test_the_last_admin_key_stays(installation: Installation) -> None:
    root = installation.principal(role="admin")
    installation.key(role="admin", project=installation.project("ours"))
    with installation.database.write() as connection, pytest.raises(Conflict, match="Make another admin key first"):
        api_keys.revoke(connection, root, root.key_id)
    platform = installation.principal(role="platform_admin")
    second = installation.principal(role="admin")
    with installation.ring.changing() as connection:
        with pytest.raises(PermissionDenied, match="only who may"):
            api_keys.revoke(connection, platform, second.key_id)
        api_keys.revoke(connection, root, root.key_id)
