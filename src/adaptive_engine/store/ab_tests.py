"""A/B tests, their arms, and the sums that they are judged by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.functions import span_start
from adaptive_engine.store.tables import ab_test_arms, ab_tests, comparisons, interactions, models, projects, scores
from adaptive_engine.types import AbTest, AbTestArm, AbTestStatus, uuid_or_none

_ACTIVE = ab_tests.c.status.in_(("WARMUP", "IN_PROGRESS"))
_PREFERRED, _OTHER = interactions.alias("preferred"), interactions.alias("other")
_SELECT = (
    sa.select(*ab_tests.c)
    .join(projects, projects.c.id == ab_tests.c.project_id)
    .where(projects.c.archived_at.is_(None))
    .order_by(ab_tests.c.created_at, ab_tests.c.id)
)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """Sums over the units of one arm; see `experiments.judge.ScoreSums`."""

    model_id: UUID
    units: int
    scores: int
    total: float
    scores_squared: float
    total_squared: float
    products: float


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """How often completions of one model were preferred to those of another, or tied with them."""

    preferred_model_id: UUID
    other_model_id: UUID
    tied: str | None
    count: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Scores of one arm in one span of time. `mean` of comparisons is the share of wins where there was a winner."""

    begins_at: int
    model_id: UUID
    scores: int
    mean: float | None


def create(connection: Connection, test: AbTest) -> None:
    """Raises Conflict when the project has a test of that key."""
    with duplicates_refused(f"A/B test '{test.key}' exists already in this project. Choose another key.", "key"):
        connection.execute(
            ab_tests.insert().values(
                id=test.id,
                project_id=test.project_id,
                key=test.key,
                name=test.name,
                metric_id=test.metric_id,
                score_type=test.score_type,
                status=test.status,
                traffic_split=test.traffic_split,
                auto_deploy=test.auto_deploy,
                alpha=test.alpha,
                min_scores=test.min_scores,
                begun_at=test.begun_at,
                created_at=test.created_at,
            )
        )
    arms = [{"ab_test_id": test.id, "model_id": arm.model_id, "position": arm.position} for arm in test.arms]
    connection.execute(ab_test_arms.insert(), arms)


def get(connection: Connection, test_id: UUID) -> AbTest | None:
    found = _load(connection, _SELECT.where(ab_tests.c.id == test_id))
    return found[0] if found else None


def find(connection: Connection, project_ids: Collection[UUID], id_or_key: str) -> list[AbTest]:
    """Those of these projects that are called so: an id names one at most, a key one in each project."""
    named = ab_tests.c.key == id_or_key
    if test_id := uuid_or_none(id_or_key):
        named |= ab_tests.c.id == test_id
    return _load(connection, _SELECT.where(ab_tests.c.project_id.in_(project_ids), named))


def list_for_projects(
    connection: Connection,
    project_ids: Collection[UUID] | None = None,
    *,
    active: bool | None = None,
    status: AbTestStatus | None = None,
) -> list[AbTest]:
    """Oldest first; of all projects when none are given."""
    query = _SELECT
    if project_ids is not None:
        query = query.where(ab_tests.c.project_id.in_(project_ids))
    if active is not None:
        query = query.where(_ACTIVE if active else ~_ACTIVE)
    if status is not None:
        query = query.where(ab_tests.c.status == status)
    return _load(connection, query)


def list_active_for_metric(connection: Connection, metric_id: UUID) -> list[AbTest]:
    return _load(connection, _SELECT.where(ab_tests.c.metric_id == metric_id, _ACTIVE))


def begin(connection: Connection, test_id: UUID) -> None:
    """Every arm has enough scores: from now on the test can be decided."""
    warming = (ab_tests.c.id == test_id, ab_tests.c.status == "WARMUP")
    connection.execute(ab_tests.update().where(*warming).values(status="IN_PROGRESS"))


def end(connection: Connection, test_id: UUID, status: AbTestStatus, ended_at: int, verdict: Any = None) -> bool:
    """Whether it was this call that ended the test: of several at once, one does."""
    ending = ab_tests.update().where(ab_tests.c.id == test_id, _ACTIVE)
    return connection.execute(ending.values(status=status, ended_at=ended_at, verdict=verdict)).rowcount == 1


def score_centre(connection: Connection, test: AbTest) -> float:
    """The mean of all its scores; 0 where there is none."""
    query = _scored(sa.select(sa.func.avg(scores.c.value)), test)
    return float(connection.execute(query).scalar() or 0.0)


def sum_scores(connection: Connection, test: AbTest, centre: float) -> list[ScoreRow]:
    """The scores of the test's completions on its metric, for each arm that has any."""
    value = scores.c.value - centre
    units = _scored(
        sa.select(
            interactions.c.model_id.label("model_id"),
            sa.func.count().label("m"),
            sa.func.sum(value).label("s"),
        ),
        test,
    ).group_by(interactions.c.model_id, interactions.c.ab_test_unit)
    unit = units.subquery()
    # Doubles: squares of counts may pass the integers of a database, which fail where floats lose a digit.
    m, s = sa.cast(unit.c.m, sa.Double), unit.c.s
    query = sa.select(
        unit.c.model_id,
        sa.func.count(),
        sa.func.sum(m),
        sa.func.sum(s),
        sa.func.sum(m * m),
        sa.func.sum(s * s),
        sa.func.sum(m * s),
    ).group_by(unit.c.model_id)
    return [
        ScoreRow(model_id, units, int(count), total, squares, total_squares, products)
        for model_id, units, count, total, squares, total_squares, products in connection.execute(query)
    ]


def count_comparisons(connection: Connection, test: AbTest) -> list[ComparisonRow]:
    """Comparisons on the test's metric between completions that it sent to different models."""
    query = _compared(
        sa.select(_PREFERRED.c.model_id, _OTHER.c.model_id, comparisons.c.tied, sa.func.count()), test
    ).group_by(_PREFERRED.c.model_id, _OTHER.c.model_id, comparisons.c.tied)
    return [ComparisonRow(*row) for row in connection.execute(query)]


def count_requests(connection: Connection, test: AbTest) -> dict[UUID, int]:
    """Completions that the test sent to each model."""
    query = (
        sa.select(interactions.c.model_id, sa.func.count())
        .where(interactions.c.ab_test_id == test.id)
        .group_by(interactions.c.model_id)
    )
    return {model_id: count for model_id, count in connection.execute(query) if model_id is not None}


def score_times(connection: Connection, test: AbTest) -> tuple[int, int] | None:
    """When the first and the last score of the test were given."""
    ends = sa.func.min(scores.c.created_at), sa.func.max(scores.c.created_at)
    query = _scored(sa.select(*ends), test)
    if test.score_type == "COMPARISON":
        ends = sa.func.min(comparisons.c.created_at), sa.func.max(comparisons.c.created_at)
        query = _compared(sa.select(*ends), test)
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)


def score_series(connection: Connection, test: AbTest, width_ms: int) -> list[Bucket]:
    """Scores by the time they were given, in spans of `width_ms` from the epoch on."""
    begins = span_start(scores.c.created_at, width_ms)
    query = _scored(
        sa.select(begins, interactions.c.model_id, sa.func.count(), sa.func.avg(scores.c.value)), test
    ).group_by(begins, interactions.c.model_id)
    return sorted((Bucket(*row) for row in connection.execute(query)), key=_in_time)


def comparison_series(connection: Connection, test: AbTest, width_ms: int) -> list[Bucket]:
    begins = span_start(comparisons.c.created_at, width_ms)
    query = _compared(
        sa.select(begins, _PREFERRED.c.model_id, _OTHER.c.model_id, comparisons.c.tied, sa.func.count()), test
    ).group_by(begins, _PREFERRED.c.model_id, _OTHER.c.model_id, comparisons.c.tied)
    counts: defaultdict[tuple[int, UUID], list[int]] = defaultdict(lambda: [0, 0, 0])
    for begin_ms, winner, loser, tied, count in connection.execute(query):
        for model, won in ((winner, 1), (loser, 0)):
            cell = counts[begin_ms, model]
            cell[0] += count
            if tied is None:
                cell[1] += won * count
                cell[2] += count
    found = [Bucket(at, model, n, w / decided if decided else None) for (at, model), (n, w, decided) in counts.items()]
    return sorted(found, key=_in_time)


def _in_time(bucket: Bucket) -> tuple[int, bytes]:
    return bucket.begins_at, bucket.model_id.bytes


def _scored(query: sa.Select[Any], test: AbTest) -> sa.Select[Any]:
    """Of the scores that count for a test judged by them."""
    return (
        query.select_from(interactions)
        .join(scores, scores.c.interaction_id == interactions.c.id)
        .where(
            interactions.c.ab_test_id == test.id,
            interactions.c.model_id.in_([arm.model_id for arm in test.arms]),
            scores.c.metric_id == test.metric_id,
        )
    )


def _compared(query: sa.Select[Any], test: AbTest) -> sa.Select[Any]:
    """Of the comparisons that count for a test judged by them."""
    arms = [arm.model_id for arm in test.arms]
    return (
        query.select_from(comparisons)
        .join(_PREFERRED, _PREFERRED.c.id == comparisons.c.preferred_id)
        .join(_OTHER, _OTHER.c.id == comparisons.c.other_id)
        .where(
            comparisons.c.metric_id == test.metric_id,
            _PREFERRED.c.ab_test_id == test.id,
            _OTHER.c.ab_test_id == test.id,
            _PREFERRED.c.model_id.in_(arms),
            _OTHER.c.model_id.in_(arms),
            _PREFERRED.c.model_id != _OTHER.c.model_id,
        )
    )


def _load(connection: Connection, query: sa.Select[Any]) -> list[AbTest]:
    rows = connection.execute(query).all()
    arms = _arms(connection, [row.id for row in rows])
    return [AbTest(**row._mapping, arms=tuple(arms[row.id])) for row in rows]


def _arms(connection: Connection, test_ids: Sequence[UUID]) -> defaultdict[UUID, list[AbTestArm]]:
    found: defaultdict[UUID, list[AbTestArm]] = defaultdict(list)
    if test_ids:
        query = (
            sa.select(ab_test_arms.c.ab_test_id, models.c.id, models.c.key, ab_test_arms.c.position)
            .join(models, models.c.id == ab_test_arms.c.model_id)
            .where(ab_test_arms.c.ab_test_id.in_(test_ids))
            .order_by(ab_test_arms.c.position)
        )
        for test_id, model_id, key, position in connection.execute(query):
            found[test_id].append(AbTestArm(model_id, key, position))
    return found
