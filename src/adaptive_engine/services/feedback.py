"""Feedback: scores of completions, comparisons of two, outcomes of sessions."""

from __future__ import annotations

import math
from collections.abc import Collection
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.services import interactions as service
from adaptive_engine.services import models
from adaptive_engine.services.graders import enqueue
from adaptive_engine.services.metrics import find_scorable
from adaptive_engine.store import Connection, comparisons, interactions, outcomes, scores
from adaptive_engine.types import (
    Comparison,
    Interaction,
    Metric,
    MetricCategory,
    Outcome,
    Score,
    StoredImage,
    Tie,
    now_ms,
    prompt_hash,
    uuid7,
)

MAX_SCORE = 1e100
"""With larger ones, sums of squares could leave the range of floats, and the metric would have no mean any more."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """One value to be logged."""

    metric: str
    value: bool | float
    reason: str | None = None
    details: str | None = None
    user: str | None = None
    source: MetricCategory = "USER"
    created_at: int | None = None
    """Epoch ms; None is now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion in a comparison, by its id, or by its text and the id or key of its model."""

    completion_id: UUID | None = None
    text: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Comparing:
    """One comparison to be logged; `messages`, as they are stored, are the prompt of answers that are given by text."""

    metric: str
    preferred: Answer
    other: Answer
    messages: list[dict[str, Any]] | None = None
    tied: Tie | None = None
    user: str | None = None
    created_by: UUID | None = None
    """The user whose key logs it."""
    images: tuple[StoredImage, ...] = ()
    """Of the messages."""


def score(
    connection: Connection, interaction: Interaction, given: Seq[Scoring], field: str | None = None
) -> list[Score]:
    """Attach values to an interaction; all of them or, when one is wrong, none. `field` is that of a list of them.

    Raises NotFound for a metric the project does not have, InvalidRequest for a value that its kind does not take.
    """
    paths = [f"{field}[{at}]." if field else "" for at in range(len(given))]
    rows = [_checked(connection, interaction, one, path) for one, path in zip(given, paths, strict=True)]
    scores.add(connection, rows)
    return rows


def project_of_comparison(connection: Connection, project_ids: Collection[UUID], given: Comparing) -> UUID:
    """Where a comparison belongs that names no project. Raises NotFound, or InvalidRequest for answers without ids."""
    for param, answer in _sides(given):
        if answer.completion_id is not None:
            return service.find(connection, project_ids, answer.completion_id, param).interaction.project_id
    raise InvalidRequest("project: name the project of completions that are given by text.", param="project")


def compare(connection: Connection, project_id: UUID, given: Comparing) -> tuple[Comparison, UUID | None]:
    """Log which of two completions is better. Those given by text are found, or stored as OFFLINE interactions.

    Also returns the A/B test that both belong to, if there is one. Raises NotFound or InvalidRequest.
    """
    metric = find_scorable(connection, project_id, given.metric)
    preferred, other = (_answer(connection, project_id, given, param, answer) for param, answer in _sides(given))
    if preferred.id == other.id:
        raise InvalidRequest("A completion cannot be compared with itself.", param="other_completion")
    row = Comparison(
        id=uuid7(),
        project_id=project_id,
        metric_id=metric.id,
        preferred_id=preferred.id,
        other_id=other.id,
        created_at=now_ms(),
        tied=given.tied,
        user=given.user,
    )
    comparisons.create(connection, row)
    return row, preferred.ab_test_id if preferred.ab_test_id == other.ab_test_id else None


def report_outcome(
    connection: Connection,
    project_ids: Collection[UUID],
    metric: str,
    session_id: UUID,
    value: bool | float,
    user: str | None = None,
) -> Outcome:
    """Log a value for a whole session of one of these projects. Raises NotFound or InvalidRequest."""
    found = outcomes.projects_of_session(connection, project_ids, session_id)
    if not found:
        raise NotFound(
            f"Session '{session_id}' has no interactions here.", code="session_not_found", param="session_id"
        )
    if len(found) > 1:
        raise InvalidRequest("project_id: several projects have this session; name one.", param="project_id")
    scorable = find_scorable(connection, found[0], metric)
    row = Outcome(uuid7(), found[0], scorable.id, session_id, _value(scorable, value), now_ms(), user)
    outcomes.create(connection, row)
    return row


def _sides(given: Comparing) -> tuple[tuple[str, Answer], tuple[str, Answer]]:
    return ("preferred_completion", given.preferred), ("other_completion", given.other)


def _answer(connection: Connection, project_id: UUID, given: Comparing, param: str, answer: Answer) -> Interaction:
    if answer.completion_id is not None:
        return service.find(connection, [project_id], answer.completion_id, param).interaction
    if not given.messages:
        raise InvalidRequest("messages: send the prompt of completions that are given by text.", param="messages")
    model = models.find_attached(connection, project_id, answer.model or "", f"{param}.model").model
    text, digest = answer.text or "", prompt_hash(given.messages)
    known = comparisons.find_completion(connection, project_id, model.id, digest, text)
    if known is not None:
        return service.find(connection, [project_id], known, param).interaction
    now = now_ms()
    row = Interaction(
        id=uuid7(),
        project_id=project_id,
        session_id=uuid7(),
        messages=given.messages,
        images=given.images,
        state="complete",
        source="OFFLINE",
        created_at=now,
        completion=text,
        model_id=model.id,
        model_key=model.key,
        user=given.user,
        prompt_hash=digest,
        completed_at=now,
        created_by=given.created_by,
    )
    interactions.insert(connection, [row])
    enqueue(connection, [row])
    return row


def _checked(connection: Connection, interaction: Interaction, given: Scoring, path: str) -> Score:
    metric = find_scorable(connection, interaction.project_id, given.metric, f"{path}metric")
    return Score(
        id=uuid7(),
        interaction_id=interaction.id,
        metric_id=metric.id,
        metric_key=metric.key,
        value=_value(metric, given.value, f"{path}value"),
        created_at=now_ms() if given.created_at is None else given.created_at,
        reason=given.reason,
        details=given.details,
        user=given.user,
        source=given.source,
    )


def _value(metric: Metric, value: bool | float, param: str = "value") -> float:
    if metric.kind == "BOOL" and value not in (0, 1):
        raise InvalidRequest(f"Metric '{metric.key}' is a bool: send true, false, 1 or 0.", param=param)
    if metric.kind == "SCALAR" and isinstance(value, bool):
        raise InvalidRequest(f"Metric '{metric.key}' is a scalar: send a number.", param=param)
    try:
        number = float(value)
    except OverflowError:  # of an integer with more than 308 digits
        number = math.inf
    if not abs(number) <= MAX_SCORE:
        raise InvalidRequest(f"A score must be a number from {-MAX_SCORE:g} to {MAX_SCORE:g}.", param=param)
    return number
