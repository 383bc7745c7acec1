"""What is scored, and the scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

MetricCategory = Literal["SYSTEM", "GRADER", "USER"]
"""Who scores: the server by itself, a grader, or people and applications."""
MetricKind = Literal["SCALAR", "BOOL"]
ScoringType = Literal["HIGHER_IS_BETTER", "LOWER_IS_BETTER"]
Tie = Literal["good", "bad"]
"""Both completions are equally good, or equally bad."""


@dataclass(frozen=True, slots=True)
class Metric:
    id: UUID
    project_id: UUID
    key: str
    name: str
    kind: MetricKind
    scoring_type: ScoringType
    description: str
    unit: str | None
    created_at: int
    category: MetricCategory = "USER"


@dataclass(frozen=True, slots=True)
class Score:
    """The value that one metric has for one completion; booleans are 0 and 1."""

    id: UUID
    interaction_id: UUID
    metric_id: UUID
    metric_key: str
    value: float
    created_at: int
    reason: str | None = None
    details: str | None = None
    user: str | None = None
    source: MetricCategory = "USER"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Which of two completions is better on a metric, or that neither is."""

    id: UUID
    project_id: UUID
    metric_id: UUID
    preferred_id: UUID
    other_id: UUID
    created_at: int
    tied: Tie | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value that one metric has for a whole session."""

    id: UUID
    project_id: UUID
    metric_id: UUID
    session_id: UUID
    value: float
    created_at: int
    user: str | None = None
