from __future__ import annotations

from typing import Any

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest
from adaptive_engine.services import graders, metrics
from adaptive_engine.store import Database
from adaptive_engine.types import Judge, Project

JUDGE = Judge(model="a", criteria="The answer is polite.")


@pytest.mark.parametrize(
    ("key", "options", "param"),
    [("latency", {}, "key"), ("polite/statistics", {}, "key"), ("polite", {"metric": "latency"}, "metric")],
)
def test_a_grader_does_not_take_the_servers_metrics(
    database: Database, project: Project, key: str, options: dict[str, Any], param: str
) -> None:
    with database.write() as connection, pytest.raises(InvalidRequest) as refusal:
        graders.create(connection, project.id, key, JUDGE, **options)
    assert refusal.value.param == param


def test_a_metric_can_be_deleted_after_its_graders(database: Database, project: Project) -> None:
    with database.write() as connection:
        graders.create(connection, project.id, "polite", JUDGE)
        graders.create(connection, project.id, "kind", JUDGE, metric="polite")
        with pytest.raises(Conflict, match="'kind', 'polite'"):
            metrics.delete(connection, project, "polite")
        graders.delete(connection, project.id, "kind")
        graders.delete(connection, project.id, "polite")
        metrics.delete(connection, project, "polite")
        assert "polite" not in [use.metric.key for use in metrics.list_for_project(connection, project)]
