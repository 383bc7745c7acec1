"""Servers of one store have one secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from adaptive_engine.errors import Conflict
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.services.secret import load_secret, require_same_secret
from adaptive_engine.settings import AppSettings, Settings
from adaptive_engine.store import Database

FIRST, SECOND = b"a" * 32, b"b" * 32


def require(database: Database, secret: bytes) -> None:
    with database.write() as connection:
        require_same_secret(connection, secret)


def test_another_secret_is_refused_while_keys_need_the_first(database: Database) -> None:
    require(database, FIRST)
    ring = KeyRing(database, FIRST)
    key, _ = ring.create("ci", "admin")
    require(database, FIRST)
    with pytest.raises(Conflict, match="ADAPTIVE_APP__SECRET"):
        require(database, SECOND)
    ring.revoke(key.id)
    require(database, SECOND)
    KeyRing(database, SECOND).create("new", "admin")
    with pytest.raises(Conflict):
        require(database, FIRST)


def test_a_store_from_before_takes_the_secret_that_it_is_used_with(database: Database) -> None:
    KeyRing(database, FIRST).create("ci", "admin")
    require(database, FIRST)
    with pytest.raises(Conflict):
        require(database, SECOND)


def test_the_setting_comes_before_the_file(tmp_path: Path) -> None:
    made = load_secret(Settings(data_dir=tmp_path))
    assert load_secret(Settings(data_dir=tmp_path)) == made
    app = AppSettings(secret=SecretStr("x" * 32))
    chosen = load_secret(Settings(data_dir=tmp_path, app=app))
    assert chosen != made
    assert load_secret(Settings(data_dir=tmp_path / "other", app=app)) == chosen
    assert not (tmp_path / "other").exists()


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValidationError, match="32 characters"):
        AppSettings(secret=SecretStr("short"))
