"""A/B tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

AbTestStatus = Literal["WARMUP", "IN_PROGRESS", "DONE", "CANCELLED"]
"""Some arm lacks scores; it can be decided; it was; somebody ended it."""
ScoreType = Literal["DIRECT", "COMPARISON"]
"""What an A/B test is judged by: values for single completions, or preferences between two."""


@dataclass(frozen=True, slots=True)
class AbTestArm:
    model_id: UUID
    model_key: str
    position: int


@dataclass(frozen=True, slots=True)
class AbTest:
    """Models of a project compared on one metric over a share of its traffic. Times are epoch milliseconds."""

    id: UUID
    project_id: UUID
    key: str
    name: str
    metric_id: UUID | None
    """None when the metric was deleted after the end."""
    score_type: ScoreType
    status: AbTestStatus
    traffic_split: float
    """Share of the requests that name no model, above 0 and up to 1."""
    auto_deploy: bool
    """The winner becomes the project's default."""
    alpha: float
    """The most probable that a wrong winner may be."""
    min_scores: int
    """Nothing is decided before every arm has scores from so many sessions."""
    begun_at: int
    created_at: int
    ended_at: int | None = None
    verdict: dict[str, Any] | None = None
    """How it ended: see `services.ab_tests`."""
    arms: tuple[AbTestArm, ...] = ()

    @property
    def active(self) -> bool:
        return self.status in ("WARMUP", "IN_PROGRESS")
