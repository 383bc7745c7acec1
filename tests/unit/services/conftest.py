from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.services import api_keys, roles, shares, teams, users
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.services.api_keys import NewKey
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.services.shares import Sharing
from adaptive_engine.store import Database, projects
from adaptive_engine.types import ComputeConfig, Model, Principal, Project, now_ms, uuid7
from integration.server import place_model
from stores import open_store
from unit.services.platform import fill

MakeModel = Callable[..., Model]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_store(tmp_path / "platform.db")
    yield database
    database.close()


@pytest.fixture
def project(database: Database) -> Project:
    """See `platform.fill`."""
    return fill(database)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def make_model(models_dir: Path, small_model_dir: ModelDirectory) -> MakeModel:
    """Places a real model of one layer, which loads in half a second; returns what the store would know of it."""

    def make(key: str, config: ComputeConfig | None = None) -> Model:
        directory = place_model(small_model_dir.path, models_dir.parent, key)
        capabilities, context_length = directory.capabilities, directory.context_length
        config = config or ComputeConfig()
        return Model(uuid7(), key, directory.name, "internal", capabilities, context_length, now_ms(), config)

    return make


def damage(models_dir: Path, key: str) -> None:
    """Cut the weights short. Written anew, because copies may share the file."""
    weights = models_dir / key / "openvino_model.bin"
    shutil.copy(weights, weights.with_suffix(".cut"))
    os.truncate(weights.with_suffix(".cut"), 1000)
    weights.with_suffix(".cut").replace(weights)


@dataclass(frozen=True)
class Installation:
    """A store with all that every installation has, and short ways to fill it."""

    database: Database
    ring: KeyRing

    def project(self, key: str, *shared: tuple[str, str], owner: str = "default") -> Project:
        """`shared` are further teams, each with a role."""
        project = Project(uuid7(), key, key, "", now_ms())
        with self.database.write() as connection:
            projects.create(connection, project)
            teams.give(connection, project.id, teams.find(connection, owner))
            if shared:
                wanted = [Sharing(owner, "admin", is_owner=True), *(Sharing(team, role) for team, role in shared)]
                shares.replace(connection, OPERATOR, project, wanted)
        return project

    def team(self, key: str) -> str:
        with self.database.write() as connection:
            return teams.create(connection, OPERATOR, key, None).key

    def role(self, key: str, *permissions: str) -> str:
        with self.database.write() as connection:
            return roles.create(connection, OPERATOR, key, None, permissions).key

    def user(self, name: str, *places: tuple[str, str]) -> str:
        """The e-mail address of a new user."""
        with self.database.write() as connection:
            wanted = users.NewUser(name, f"{name}@example.com", teams=places)
            return users.create(connection, OPERATOR, wanted).user.email

    def key(self, **wanted: Any) -> str:
        """The text of a new key, made by the operator."""
        with self.ring.changing() as connection:
            return api_keys.create(connection, self.ring, OPERATOR, NewKey("test", **wanted))[1]

    def principal(self, **wanted: Any) -> Principal:
        """Who comes with such a key."""
        return self.ring.authenticate(self.key(**wanted))


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    database = open_store(tmp_path / "store.db")
    with database.write() as connection:
        teams.ensure_first_ones(connection)
    yield Installation(database, KeyRing(database, b"p" * 32))
    database.close()
