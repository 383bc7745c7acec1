from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adaptive_engine.store import Database, models, projects
from adaptive_engine.types import Interaction, Model, Project, now_ms, uuid7


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database.open(path)
    yield database
    database.close()


@pytest.fixture
def impatient(database: Database, path: Path) -> Iterator[Database]:
    """The same store, opened to wait only 50 ms for a lock."""
    impatient = Database.open(path, busy_timeout_ms=50)
    yield impatient
    impatient.close()


@pytest.fixture
def foreign_lock(database: Database, path: Path) -> Iterator[sqlite3.Connection]:
    """Another program that holds the write lock; `rollback()` ends that."""
    with closing(sqlite3.connect(path, isolation_level=None)) as foreign:
        foreign.execute("BEGIN IMMEDIATE")
        yield foreign


@pytest.fixture
def project(database: Database) -> Project:
    project = Project(uuid7(), "support", "Support", "", now_ms())
    with database.write() as connection:
        projects.create(connection, project)
    return project


@pytest.fixture
def model(database: Database) -> Model:
    model = Model(uuid7(), "smollm2", "SmolLM2", "internal", ("Text",), 8192, now_ms())
    with database.write() as connection:
        models.create(connection, model)
    return model


@pytest.fixture
def make(project: Project) -> Callable[..., Interaction]:
    """Builds an interaction of `project`; keywords replace fields."""

    def build(**fields: Any) -> Interaction:
        defaults: dict[str, Any] = {
            "id": uuid7(),
            "project_id": project.id,
            "session_id": uuid7(),
            "messages": [{"role": "user", "content": "hi"}],
            "state": "pending",
            "source": "LIVE",
            "created_at": now_ms(),
        }
        return Interaction(**{**defaults, **fields})

    return build
