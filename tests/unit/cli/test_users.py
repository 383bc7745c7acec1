"""`adaptive users`, `teams` and `roles`, as a person calls them on a new machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from adaptive_engine.cli import keys, roles, teams, users
from adaptive_engine.errors import AuthenticationFailed, Conflict, InvalidRequest, NotFound
from adaptive_engine.permissions import ROLES
from adaptive_engine.services.keys import KeyRing, load_pepper
from adaptive_engine.store import Database


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing(Database.open(tmp_path / "adaptive.db"), load_pepper(tmp_path))


def run(app: typer.Typer, data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir)])


def test_a_team_a_person_and_a_service_account(tmp_path: Path, ring: KeyRing) -> None:
    assert run(teams.app, tmp_path, "create", "research", "--name", "R & D").exit_code == 0
    assert "research  R & D" in run(teams.app, tmp_path, "list").stdout
    key = run(users.app, tmp_path, "create", "ada@example.com", "--team", "default=power_user").stdout.strip()
    assert ring.authenticate(key).may("project:create")
    bot = run(users.app, tmp_path, "create", "ci-bot", "--service", "--team", "default=inference").stdout.strip()
    assert list(ring.authenticate(bot).in_projects.values()) == [ROLES["inference"]]
    moved = run(users.app, tmp_path, "add-to-team", "ada@example.com", "research", "annotator").stdout
    assert "default=power_user, research=annotator" in moved
    assert (
        "'ada@example.com': research"
        in run(users.app, tmp_path, "remove-from-team", "ada@example.com", "default").stdout
    )
    listed = run(users.app, tmp_path, "list").stdout
    assert "ada@example.com" in listed
    assert "ci-bot@system.adaptive.local" in listed
    assert "SYSTEM" in listed
    again = run(keys.app, tmp_path, "create", "laptop", "--user", "ada@example.com").stdout.strip()
    assert ring.authenticate(again).user_id is not None
    with pytest.raises(AuthenticationFailed):
        KeyRing(Database.open(tmp_path / "adaptive.db"), load_pepper(tmp_path)).authenticate(key)
    assert "ada@example.com" in run(keys.app, tmp_path, "list").stdout
    assert run(users.app, tmp_path, "delete", "ada@example.com").exit_code == 0
    assert run(teams.app, tmp_path, "delete", "research").exit_code == 0


def test_an_own_role(tmp_path: Path, ring: KeyRing) -> None:
    created = run(roles.app, tmp_path, "create", "reviewer", "project:read", "interaction:read")
    assert "Role 'reviewer' is there: interaction:read, project:read" in created.stdout
    assert "annotator" in run(roles.app, tmp_path, "list").stdout
    key = run(keys.app, tmp_path, "create", "review", "--role", "reviewer").stdout.strip()
    assert ring.authenticate(key).everywhere == {"project:read", "interaction:read"}
    assert isinstance(run(roles.app, tmp_path, "delete", "reviewer").exception, Conflict)


@pytest.mark.parametrize(
    ("app", "arguments", "failure", "way_out"),
    [
        (users.app, ["create", "ada"], InvalidRequest, "add --service"),
        (users.app, ["create", "ada@example.com", "--team", "default"], InvalidRequest, "default=power_user"),
        (users.app, ["create", "ada@example.com", "--team", "x=admin"], NotFound, "Team 'x'"),
        (users.app, ["delete", "ada@example.com"], NotFound, "does not exist"),
        (teams.app, ["create", "R & D"], InvalidRequest, "letters, digits, "),
        (teams.app, ["delete", "default"], Conflict, "stays"),
        (roles.app, ["create", "x", "fly"], InvalidRequest, "there is no 'fly'"),
        (roles.app, ["delete", "admin"], Conflict, "cannot be changed"),
    ],
)
def test_mistakes_are_named(
    tmp_path: Path, app: typer.Typer, arguments: list[str], failure: type[Exception], way_out: str
) -> None:
    found = run(app, tmp_path, *arguments).exception
    assert isinstance(found, failure)
    assert way_out in str(found)
