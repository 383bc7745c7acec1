"""A/B tests: made, ended by people or by their scores, and reported on. `referee.py` looks when they are decided."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.experiments import assign
from adaptive_engine.experiments.judge import (
    ArmReport,
    PairCounts,
    Report,
    ScoreSums,
    judge_comparisons,
    judge_scores,
)
from adaptive_engine.services import models
from adaptive_engine.services.metrics import find_scorable
from adaptive_engine.store import Connection, ab_tests, deployments, metrics
from adaptive_engine.store.ab_tests import Bucket, ComparisonRow
from adaptive_engine.types import AbTest, AbTestArm, Deployment, Metric, Project, ScoreType, now_ms, uuid7

DEFAULT_ALPHA = 0.05
DEFAULT_MIN_SCORES = 30
MIN_SCORES = 10
"""Means of fewer values than this are not normal enough for their intervals to hold."""

_MINUTE_MS = 60_000
_WIDTHS_MS = [minutes * _MINUTE_MS for minutes in (1, 5, 15, 60, 6 * 60, 24 * 60, 7 * 24 * 60)]
_MOST_BUCKETS = 60


@dataclass(frozen=True, slots=True)
class NewAbTest:
    """What is asked for; `models` and `metric` are ids or keys."""

    key: str
    metric: str
    models: Sequence[str]
    name: str | None = None
    traffic_split: float = 1.0
    score_type: ScoreType = "DIRECT"
    auto_deploy: bool = False
    alpha: float = DEFAULT_ALPHA
    min_scores: int = DEFAULT_MIN_SCORES


@dataclass(frozen=True, slots=True)
class AbTestOverview:
    """A test with what its scores say by now."""

    test: AbTest
    project: Project
    metric: Metric | None
    """None when it was deleted after the end."""
    report: Report
    requests: dict[UUID, int]
    """Completions by model."""
    warnings: tuple[str, ...] = ()

    @property
    def scores(self) -> int:
        """Scores, or comparisons, that the test is judged by. Each comparison is one of two arms'."""
        found = sum(arm.scores for arm in self.report.arms)
        return found // 2 if self.test.score_type == "COMPARISON" else found

    def model_key(self, model_id: UUID) -> str:
        return next((arm.model_key for arm in self.test.arms if arm.model_id == model_id), "")


@dataclass(frozen=True, slots=True)
class Series:
    """The scores of a test over time, in spans of `width_ms`."""

    width_ms: int
    buckets: list[Bucket]


def unit(given_session: UUID | None, user: str | None, session_id: UUID) -> str:
    """What stays with one arm of a test: the session, or where the client named none the user.

    With neither it is the session that the answer tells of, so that a client which goes on with that one stays.
    """
    return f"user:{user}" if given_session is None and user else f"session:{session_id}"


def unit_number(test: AbTest, given_session: UUID | None, user: str | None, session_id: UUID) -> int:
    """The unit of an interaction, as it is stored."""
    return assign.unit_number(assign.draw(test.id, unit(given_session, user, session_id)))


def create(connection: Connection, project: Project, wanted: NewAbTest) -> AbTest:
    """Raises InvalidRequest, NotFound for an unknown metric or model, Conflict for a key that is taken."""
    _require_sane(wanted)
    metric = find_scorable(connection, project.id, wanted.metric)
    chosen = [
        models.find_attached(connection, project.id, name, f"models[{at}]") for at, name in enumerate(wanted.models)
    ]
    keys = [deployment.model.key for deployment in chosen]
    for at, key in enumerate(keys):
        if key in keys[:at]:
            raise InvalidRequest(f"models[{at}]: model '{key}' is named twice.", param=f"models[{at}]")
    created_at = now_ms()
    test = AbTest(
        id=uuid7(),
        project_id=project.id,
        key=wanted.key,
        name=wanted.name or wanted.key,
        metric_id=metric.id,
        score_type=wanted.score_type,
        status="WARMUP",
        traffic_split=wanted.traffic_split,
        auto_deploy=wanted.auto_deploy,
        alpha=wanted.alpha,
        min_scores=wanted.min_scores,
        begun_at=created_at,
        created_at=created_at,
        arms=tuple(AbTestArm(d.model.id, d.model.key, position) for position, d in enumerate(chosen)),
    )
    ab_tests.create(connection, test)
    return test


def find(connection: Connection, project_ids: Collection[UUID], id_or_key: str) -> AbTest:
    """Raises NotFound, and Conflict for a key that several of these projects have."""
    found = ab_tests.find(connection, project_ids, id_or_key)
    if not found:
        raise NotFound(f"A/B test '{id_or_key}' does not exist.", code="ab_test_not_found", param="key")
    if len(found) > 1:
        raise Conflict(f"Several projects have an A/B test '{id_or_key}'. Name the project.", param="project")
    return found[0]


def cancel(connection: Connection, test: AbTest) -> AbTest:
    """End a test without a verdict. Raises Conflict when it has ended."""
    if not ab_tests.end(connection, test.id, "CANCELLED", now_ms()):
        ended = ab_tests.get(connection, test.id) or test
        raise Conflict(f"A/B test '{test.key}' has ended already ({ended.status}).", code="ab_test_ended", param="key")
    return ab_tests.get(connection, test.id) or test


def examine(connection: Connection, test: AbTest) -> Report:
    """What the scores say by now."""
    metric = metrics.get_by_id(connection, test.metric_id) if test.metric_id else None
    ids = [arm.model_id for arm in test.arms]
    if metric is None:
        return Report(tuple(ArmReport(model, 0, 0) for model in ids), False, None, None)
    if test.score_type == "COMPARISON":
        pairs = _pairs(ab_tests.count_comparisons(connection, test))
        return judge_comparisons(ids, pairs, alpha=test.alpha, min_scores=test.min_scores)
    centre = ab_tests.score_centre(connection, test)
    sums = {row.model_id: row for row in ab_tests.sum_scores(connection, test, centre)}
    arms = [
        ScoreSums(
            model,
            row.units,
            row.scores,
            row.total,
            row.scores_squared,
            row.total_squared,
            row.products,
            centre,
        )
        if (row := sums.get(model))
        else ScoreSums(model)
        for model in ids
    ]
    return judge_scores(
        arms,
        is_bool=metric.kind == "BOOL",
        lower_is_better=metric.scoring_type == "LOWER_IS_BETTER",
        alpha=test.alpha,
        min_scores=test.min_scores,
    )


def describe(
    connection: Connection, project: Project, test: AbTest, answers: Callable[[Deployment], bool]
) -> AbTestOverview:
    """`answers` tells whether a model can be asked now."""
    attached = {d.model.id: d for d in deployments.list_for_project(connection, project.id)}
    report = examine(connection, test)
    return AbTestOverview(
        test=test,
        project=project,
        metric=metrics.get_by_id(connection, test.metric_id) if test.metric_id else None,
        report=report,
        requests=ab_tests.count_requests(connection, test),
        warnings=tuple(_warnings(connection, project, test, attached, answers)) if test.active else (),
    )


def series(connection: Connection, test: AbTest) -> Series:
    """The mean of each arm over time, in spans as short as leave a picture readable."""
    times = ab_tests.score_times(connection, test)
    if times is None:
        return Series(_WIDTHS_MS[0], [])
    span = times[1] - times[0]
    width = next((width for width in _WIDTHS_MS if span / width <= _MOST_BUCKETS), _WIDTHS_MS[-1])
    read = ab_tests.score_series if test.score_type == "DIRECT" else ab_tests.comparison_series
    return Series(width, read(connection, test, width))


def verdict(test: AbTest, metric: Metric, report: Report, promotion: str) -> dict[str, Any]:
    """What is stored of a decided test: numbers of that moment, and `text`, which says them in words.

    `promotion` is a sentence about the project's default model; empty where nothing was asked of it.
    """
    arms = {arm.model_id: arm.model_key for arm in test.arms}
    winner = next(arm for arm in report.arms if arm.model_id == report.winner)
    others = [arm for arm in report.arms if arm.model_id != report.winner]
    if test.score_type == "DIRECT":
        better = "lower" if metric.scoring_type == "LOWER_IS_BETTER" else "higher"
        said = ", ".join(f"'{arms[arm.model_id]}' {_spelled(arm)}" for arm in others)
        text = f"'{arms[winner.model_id]}' has the {better} mean of '{metric.key}': {_spelled(winner)}, against {said}."
    else:
        said = ", ".join(_against(pair, arms) for pair in winner.comparisons or ())
        text = f"'{arms[winner.model_id]}' is preferred on '{metric.key}': {said}."
    text += f" p = {report.p_value:.2g}, where at most {test.alpha:g} was asked for. {promotion}"
    return {
        "winner": arms[winner.model_id],
        "p_value": report.p_value,
        "text": text.strip(),
        "arms": [
            {
                "model": arms[arm.model_id],
                "mean": arm.mean,
                "interval": list(arm.interval) if arm.interval else None,
                "scores": arm.scores,
            }
            for arm in report.arms
        ],
    }


def _require_sane(wanted: NewAbTest) -> None:
    for ending in ("/cancel", "/series"):
        if wanted.key.endswith(ending):
            raise InvalidRequest(f"A key cannot end in '{ending}', which is an address of its own.", param="key")
    if not 0 < wanted.traffic_split <= 1:
        raise InvalidRequest(
            "traffic_split: the share of requests must be above 0 and at most 1.", param="traffic_split"
        )
    if not 0 < wanted.alpha <= 0.5:
        raise InvalidRequest("alpha: the risk of a wrong winner must be above 0 and at most 0.5.", param="alpha")
    if not MIN_SCORES <= wanted.min_scores <= 10**9:
        raise InvalidRequest(f"min_scores: at least {MIN_SCORES} scores per model.", param="min_scores")
    if not 2 <= len(wanted.models) <= assign.MAX_ARMS:
        raise InvalidRequest(f"models: name 2 to {assign.MAX_ARMS} models of the project.", param="models")


def _pairs(rows: Sequence[ComparisonRow]) -> list[PairCounts]:
    """Each pair once."""
    counts: dict[tuple[UUID, UUID], list[int]] = {}
    for row in rows:
        preferred, other = row.preferred_model_id, row.other_model_id
        turned = preferred > other
        cell = counts.setdefault((other, preferred) if turned else (preferred, other), [0, 0, 0, 0])
        kind = {"good": 2, "bad": 3}.get(row.tied or "", int(turned))
        cell[kind] += row.count
    return [PairCounts(one, other, *cell) for (one, other), cell in counts.items()]


def _warnings(
    connection: Connection,
    project: Project,
    test: AbTest,
    attached: dict[UUID, Deployment],
    answers: Callable[[Deployment], bool],
) -> list[str]:
    found = []
    for arm in test.arms:
        deployment = attached.get(arm.model_id)
        if deployment is None:
            found.append(f"Model '{arm.model_key}' is not attached to the project any more and gets no requests.")
        elif not answers(deployment):
            found.append(f"Model '{arm.model_key}' is offline and gets no requests.")
    online = [d for arm in test.arms if (d := attached.get(arm.model_id)) and answers(d)]
    if len(online) < 2:
        found.append("Fewer than two of its models are online: requests go to the project's default model.")
    for older in ab_tests.list_for_projects(connection, [project.id], active=True):
        if older.id == test.id:
            break
        found.append(
            f"The older test '{older.key}' is asked first and takes {older.traffic_split:.0%} of the requests; "
            "this one takes its share of the others, and those that name it with ab_campaign."
        )
    return found


def _spelled(arm: ArmReport) -> str:
    if arm.mean is None or arm.interval is None:
        return "without scores"
    start, middle, end = arm.interval
    return f"{middle:.4g} ({start:.4g} to {end:.4g}, {arm.scores} scores)"


def _against(pair: PairCounts, names: dict[UUID, str]) -> str:
    ties = pair.ties_good + pair.ties_bad
    return f"{pair.wins} wins to {pair.losses}, {ties} tied, against '{names[pair.other_id]}'"
