"""Graders: made, changed, deleted, and set to work on what is stored already."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.services.judging import check_template, require_schemas
from adaptive_engine.services.metrics import check_key
from adaptive_engine.store import Connection, deployments, graders, judgements, metrics
from adaptive_engine.store.graders import SamplingGrader
from adaptive_engine.store.judgements import JUDGED_STATES, Backfill, Progress
from adaptive_engine.types import Grader, Interaction, Judge, Metric, MetricKind, now_ms, uuid7

_JUDGED_SOURCES = ("LIVE", "OFFLINE")


@dataclass(frozen=True, slots=True)
class GraderOverview:
    grader: Grader
    metric: Metric
    progress: Progress


def create(
    connection: Connection,
    project_id: UUID,
    key: str,
    judge: Judge,
    *,
    name: str | None = None,
    metric: str | None = None,
    sampling_rate: float = 1.0,
    enabled: bool = True,
) -> GraderOverview:
    """A grader that judges new interactions from now on, and its metric (key `metric`, by default the grader's).

    Raises Conflict for a key that is taken and for a metric that is not one of graders or of another kind, NotFound
    when the model is not attached to the project, InvalidRequest for a model that takes no schemas, a metric of the
    server's own, or a template or examples that make no sense.
    """
    _check(connection, project_id, judge)
    metric_key = metric or key
    check_key(metric_key, "metric" if metric else "key")
    scored = _metric(connection, project_id, metric_key, judge)
    grader = Grader(
        id=uuid7(),
        project_id=project_id,
        key=key,
        name=name or key,
        metric_id=scored.id,
        judge=judge,
        sampling_rate=sampling_rate,
        enabled=enabled,
        created_at=now_ms(),
    )
    graders.create(connection, grader)
    return _overview(connection, grader)


def update(connection: Connection, project_id: UUID, key: str, changes: dict[str, Any]) -> GraderOverview:
    """Change `name`, `sampling_rate`, `enabled` and fields of the judge. What is judged already stays.

    Raises NotFound, InvalidRequest.
    """
    grader = find(connection, project_id, key)
    of_judge = {field.name for field in dataclasses.fields(Judge)}
    judge = dataclasses.replace(grader.judge, **{name: changes[name] for name in changes.keys() & of_judge})
    if judge != grader.judge:
        _check(connection, project_id, judge)
    others = {name: changes[name] for name in changes.keys() - of_judge}
    grader = dataclasses.replace(grader, judge=judge, **others)
    graders.update(connection, grader)
    return _overview(connection, grader)


def delete(connection: Connection, project_id: UUID, key: str) -> None:
    """Its metric and the scores it gave stay. Raises NotFound."""
    graders.delete(connection, find(connection, project_id, key).id)


def get(connection: Connection, project_id: UUID, key: str) -> GraderOverview:
    """Raises NotFound."""
    return _overview(connection, find(connection, project_id, key))


def list_for_project(connection: Connection, project_id: UUID) -> list[GraderOverview]:
    """Sorted by key."""
    return _overviews(connection, graders.list_for_project(connection, project_id))


def run(connection: Connection, project_id: UUID, key: str, wanted: Backfill) -> tuple[GraderOverview, int]:
    """Let it judge earlier interactions too; how many were queued. Raises NotFound."""
    grader = find(connection, project_id, key)
    queued = judgements.backfill(connection, grader.id, project_id, wanted)
    return _overview(connection, grader), queued


def cancel(connection: Connection, project_id: UUID, key: str) -> tuple[GraderOverview, int]:
    """Drop what waits to be judged; how many there were. Raises NotFound."""
    grader = find(connection, project_id, key)
    dropped = judgements.cancel(connection, grader.id)
    return _overview(connection, grader), dropped


def enqueue(connection: Connection, rows: Seq[Interaction]) -> int:
    """Queue what is to be judged of interactions that are written in this transaction; how many judgements that is."""
    finished = [row for row in rows if row.state in JUDGED_STATES and row.source in _JUDGED_SOURCES]
    if not finished:
        return 0
    queued = 0
    for grader in graders.list_sampling(connection, {row.project_id for row in finished}):
        chosen = [row.id for row in finished if row.project_id == grader.project_id and _is_sampled(grader, row.id)]
        if chosen:
            queued += judgements.add(connection, grader.id, chosen)
    return queued


def find(connection: Connection, project_id: UUID, key: str) -> Grader:
    """Raises NotFound."""
    grader = graders.get_by_key(connection, project_id, key)
    if grader is None:
        raise NotFound(f"Grader '{key}' does not exist in this project.", code="grader_not_found", param="key")
    return grader


def _is_sampled(grader: SamplingGrader, interaction_id: UUID) -> bool:
    """The same answer whenever it is asked, and independent from one grader to the next."""
    digest = hashlib.blake2b(grader.id.bytes + interaction_id.bytes, digest_size=8).digest()
    return int.from_bytes(digest, "big") < grader.sampling_rate * 2**64


def _overview(connection: Connection, grader: Grader) -> GraderOverview:
    return _overviews(connection, [grader])[0]


def _overviews(connection: Connection, found: Seq[Grader]) -> list[GraderOverview]:
    """Of graders of one project."""
    by_id = {metric.id: metric for metric in metrics.list_for_project(connection, found[0].project_id)} if found else {}
    progress = judgements.progress(connection, [grader.id for grader in found])
    return [GraderOverview(grader, by_id[grader.metric_id], progress[grader.id]) for grader in found]


def _check(connection: Connection, project_id: UUID, judge: Judge) -> None:
    deployment = deployments.get(connection, project_id, judge.model)
    if deployment is None:
        raise NotFound(
            f"Model '{judge.model}' is not attached here. Attach it, or name one that is.",
            code="model_not_found",
            param="model",
        )
    require_schemas(deployment.model)
    if judge.template is not None:
        check_template(judge.template)
    for at, example in enumerate(judge.examples):
        if judge.scale is None and example.score not in ("PASS", "FAIL", "NA"):
            raise InvalidRequest("An example's score is PASS, FAIL or NA.", param=f"examples[{at}].score")
        if judge.scale is not None and not (
            isinstance(example.score, int) and judge.scale[0] <= example.score <= judge.scale[1]
        ):
            raise InvalidRequest(
                f"An example's score is a whole number from {judge.scale[0]} to {judge.scale[1]}.",
                param=f"examples[{at}].score",
            )


def _metric(connection: Connection, project_id: UUID, key: str, judge: Judge) -> Metric:
    kind: MetricKind = "BOOL" if judge.scale is None else "SCALAR"
    known = metrics.get_by_key(connection, project_id, key)
    if known is None:
        known = Metric(
            id=uuid7(),
            project_id=project_id,
            key=key,
            name=key,
            kind=kind,
            scoring_type="HIGHER_IS_BETTER",
            description=judge.criteria,
            unit=None,
            created_at=now_ms(),
            category="GRADER",
        )
        metrics.create(connection, known)
    elif (known.category, known.kind) != ("GRADER", kind):
        raise Conflict(
            f"Metric '{key}' exists already and is not a {kind} metric of graders. Name another as `metric`.",
            code="metric_exists",
            param="metric",
        )
    return known
