from collections.abc import Callable

import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, interactions, metrics, scores
from adaptive_engine.types import Interaction, Metric, Project, Score, uuid7


def test_scores_come_with_their_interaction(
    database: Database, project: Project, make: Callable[..., Interaction]
) -> None:
    metric = Metric(uuid7(), project.id, "csat", "", "SCALAR", "HIGHER_IS_BETTER", "", None, 3)
    scored, plain = make(), make()
    later = Score(uuid7(), scored.id, metric.id, "csat", 4.5, 20, "good", "d", "ann")
    earlier = Score(uuid7(), scored.id, metric.id, "csat", 1.0, 10)
    with database.write() as connection:
        metrics.create(connection, metric)
        interactions.insert(connection, [scored, plain])
        scores.add(connection, [later, earlier])
        scores.add(connection, [])
        assert scores.list_for_interactions(connection, [scored.id, plain.id]) == {scored.id: (earlier, later)}
        stored = interactions.get(connection, None, scored.id)
        assert stored == interactions.StoredInteraction(scored, (earlier, later))


def test_an_unknown_completion_cannot_be_scored(database: Database) -> None:
    with pytest.raises(Conflict), database.write() as connection:
        scores.add(connection, [Score(uuid7(), uuid7(), uuid7(), "csat", 1.0, 0)])
