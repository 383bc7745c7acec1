"""A store with a project in it, for rules that need one; and what requests leave in it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from adaptive_engine.services import ab_tests, feedback, metrics, models
from adaptive_engine.services.feedback import Answer, Comparing, Scoring
from adaptive_engine.store import Database, interactions, projects
from adaptive_engine.store import models as model_store
from adaptive_engine.types import AbTest, Interaction, Metric, Model, Project, now_ms, uuid7


def fill(database: Database, key: str = "support") -> Project:
    """A project with the models a, b and c, of which a is its default, and the metrics helpful (bool) and cost (scalar,
    lower is better).
    """
    project = Project(uuid7(), key, key, "", now_ms())
    with database.write() as connection:
        projects.create(connection, project)
        for name in "abc":
            if model_store.get_by_key(connection, name) is None:
                model_store.create(connection, Model(uuid7(), name, name, "internal", ("Text",), 8192, now_ms()))
            models.attach(connection, project.key, name)
        for name, kind, scoring in (("helpful", "BOOL", "HIGHER_IS_BETTER"), ("cost", "SCALAR", "LOWER_IS_BETTER")):
            metrics.register(connection, Metric(uuid7(), project.id, name, name, kind, scoring, "", None, now_ms()))
    return project


def store_answer(database: Database, project: Project, model: str | None = None, **fields: Any) -> Interaction:
    """A finished answer, of a session of its own."""
    with database.read() as connection:
        found = model_store.get_by_key(connection, model) if model else None
    defaults: dict[str, Any] = {
        "id": uuid7(),
        "project_id": project.id,
        "session_id": uuid7(),
        "messages": [{"role": "user", "content": "hi"}],
        "state": "complete",
        "source": "LIVE",
        "created_at": now_ms(),
        "model_id": found.id if found else None,
        "model_key": model,
    }
    row = Interaction(**{**defaults, **fields})
    with database.write() as connection:
        interactions.insert(connection, [row])
    return row


def answer(database: Database, test: AbTest, arm: int, **fields: Any) -> Interaction:
    """One that a test sent to its arm at that position."""
    session = uuid7()
    chosen = {"ab_test_id": test.id, "ab_test_unit": ab_tests.unit_number(test, session, None, session)}
    with database.read() as connection:
        project = next(p for p in projects.list_all(connection) if p.id == test.project_id)
    return store_answer(database, project, test.arms[arm].model_key, **{"session_id": session, **chosen, **fields})


def score(database: Database, row: Interaction, *values: float, metric: str = "helpful") -> None:
    with database.write() as connection:
        feedback.score(connection, row, [Scoring(metric, value) for value in values])


def compare(database: Database, project: Project, preferred: UUID, other: UUID, **fields: Any) -> UUID | None:
    """The test that the comparison counts for."""
    with database.write() as connection:
        given = Comparing("helpful", Answer(preferred), Answer(other), **fields)
        return feedback.compare(connection, project.id, given)[1]
