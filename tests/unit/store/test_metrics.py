import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, metrics
from adaptive_engine.types import Metric, Project, uuid7


def test_create_and_find(database: Database, project: Project) -> None:
    metric = Metric(uuid7(), project.id, "csat", "Satisfaction", "SCALAR", "HIGHER_IS_BETTER", "1 to 5", None, 3)
    with database.write() as connection:
        metrics.create(connection, metric)
        assert metrics.get_by_key(connection, project.id, "csat") == metric
        assert metrics.get_by_key(connection, uuid7(), "csat") is None
        assert metrics.list_for_project(connection, project.id) == [metric]
    with pytest.raises(Conflict, match="csat"), database.write() as connection:
        metrics.create(connection, Metric(uuid7(), project.id, "csat", "", "BOOL", "LOWER_IS_BETTER", "", None, 3))
