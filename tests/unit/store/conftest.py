from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
import sqlalchemy as sa

from adaptive_engine.store import Connection, Database, models, projects
from adaptive_engine.types import Interaction, Model, Project, now_ms, uuid7


class ForeignLock(Protocol):
    """Another program that lets nobody write until `rollback`."""

    def rollback(self) -> None: ...


def conninfo(url: str) -> str:
    """`url` as psycopg itself reads it."""
    return url.replace("postgresql+psycopg", "postgresql")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where there is no store yet."""
    if request.param == "sqlite":
        yield str(tmp_path / "empty" / "store.db")
        return
    with request.getfixturevalue("postgres").database() as url:
        yield url


@pytest.fixture
def impatient(database: Database, address: str) -> Iterator[Database]:
    """The same store, opened to wait only 50 ms for a lock."""
    impatient = Database.open(address, busy_timeout_ms=50)
    yield impatient
    impatient.close()


@pytest.fixture
def foreign_lock(database: Database, address: str) -> Iterator[ForeignLock]:
    if "://" not in address:
        with closing(sqlite3.connect(address, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            yield foreign
        return
    with closing(psycopg.connect(conninfo(address))) as connection:
        connection.execute(_LOCK_TABLES)
        yield connection


@contextmanager
def writing_stopped(database: Database) -> Iterator[Connection]:
    """A transaction that keeps the recorder waiting, as its own commit would."""
    with database.write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(_LOCK_TABLES))
        yield connection


_LOCK_TABLES = "LOCK TABLE interactions, alembic_version IN EXCLUSIVE MODE"


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
