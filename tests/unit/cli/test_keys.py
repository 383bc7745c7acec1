"""`adaptive keys`, as a person calls it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adaptive_engine.cli.keys import app
from adaptive_engine.errors import AuthenticationFailed, InvalidRequest, NotFound
from adaptive_engine.permissions import ROLES
from adaptive_engine.services import projects
from adaptive_engine.services.keys import KeyRing, load_pepper
from adaptive_engine.services.models import ensure_default_project
from adaptive_engine.store import Database
from adaptive_engine.types import Limits


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    database = Database.open(tmp_path / "adaptive.db")
    with database.write() as connection:
        ensure_default_project(connection)
    database.close()
    return tmp_path


def keys(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--data-dir", str(data_dir)])


def ring(data_dir: Path) -> KeyRing:
    return KeyRing(Database.open(data_dir / "adaptive.db"), load_pepper(data_dir))


def test_a_created_key_works_until_it_is_revoked(data_dir: Path) -> None:
    text = keys(data_dir, "create", "shop", "--project", "default").stdout.strip()
    principal = ring(data_dir).authenticate(text)
    assert list(principal.in_projects.values()) == [ROLES["inference"]]
    listed = keys(data_dir, "list").stdout
    assert principal.key_id in listed
    assert "shop" in listed
    assert text not in listed
    assert keys(data_dir, "revoke", principal.key_id).exit_code == 0
    with pytest.raises(AuthenticationFailed):
        ring(data_dir).authenticate(text)
    assert "revoked" in keys(data_dir, "list").stdout


def test_an_admin_key_that_expires(data_dir: Path) -> None:
    text = keys(data_dir, "create", "laptop", "--admin", "--days", "2").stdout.strip()
    assert ring(data_dir).authenticate(text).everywhere == ROLES["admin"]
    assert "valid until" in keys(data_dir, "list").stdout


def test_a_key_in_any_role(data_dir: Path) -> None:
    text = keys(data_dir, "create", "reports", "--role", "read-only").stdout.strip()
    assert ring(data_dir).authenticate(text).everywhere == ROLES["read-only"]


def test_mistakes_are_named(data_dir: Path) -> None:
    unknown = keys(data_dir, "create", "x", "--project", "nope").exception
    assert isinstance(unknown, NotFound)
    assert "Projects: default" in unknown.message
    assert isinstance(keys(data_dir, "revoke", "nope").exception, NotFound)
    unknown = keys(data_dir, "create", "x", "--role", "nope").exception
    assert isinstance(unknown, NotFound)
    assert "Roles: admin, annotator" in unknown.message
    for empty in ("", " "):
        unnamed = keys(data_dir, "create", empty).exception
        assert isinstance(unnamed, InvalidRequest)
        assert "what the key is for" in unnamed.message
    assert isinstance(keys(data_dir, "create", "x", "--admin", "--user", "ada@example.com").exception, InvalidRequest)


def test_a_key_that_would_outlive_the_calendar_is_not_made(data_dir: Path) -> None:
    assert isinstance(keys(data_dir, "create", "x", "--days", "4000000").exception, InvalidRequest)
    assert keys(data_dir, "list").exit_code == 0


def test_a_key_of_an_archived_project_is_listed_with_its_name(data_dir: Path) -> None:
    assert keys(data_dir, "create", "shop", "--project", "default").exit_code == 0
    with Database.open(data_dir / "adaptive.db").write() as connection:
        projects.archive(connection, ensure_default_project(connection).id)
    assert "default" in keys(data_dir, "list").stdout.splitlines()[1]


def test_limits_are_given_changed_shown_and_taken_away(data_dir: Path) -> None:
    text = keys(data_dir, "create", "trial", "--requests-per-minute", "20", "--tokens-per-minute", "900").stdout.strip()
    key_id = ring(data_dir).authenticate(text).key_id
    changed = keys(data_dir, "limit", key_id, "--tokens-per-minute", "none", "--concurrent-requests", "2").stdout
    assert "20 requests/min, 2 at once." in changed
    assert "20 requests/min, 2 at once" in keys(data_dir, "list").stdout
    assert ring(data_dir).authenticate(text).limits == Limits(20, None, 2)
    for wrong in (("--requests-per-minute", "many"), ("--requests-per-minute", "0"), ()):
        assert isinstance(keys(data_dir, "limit", key_id, *wrong).exception, InvalidRequest)
