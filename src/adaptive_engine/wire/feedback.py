"""Metrics and scores: register what can be scored, then score completions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints

from adaptive_engine.wire.interactions import Comment, Key, ScoreValue


class MetricCreate(BaseModel):
    """POST /api/v1/metrics. A metric is a scalar of which more is better unless it says otherwise."""

    model_config = ConfigDict(populate_by_name=True)

    project: Key = Field(validation_alias=AliasChoices("project", "use_case"))
    key: Key
    name: Comment | None = None
    kind: Literal["SCALAR", "BOOL", "scalar", "bool"] | None = None
    scoring_type: Literal["HIGHER_IS_BETTER", "LOWER_IS_BETTER", "higher_is_better", "lower_is_better"] | None = None
    description: Comment | None = None
    unit: Comment | None = None


class Metric(BaseModel):
    id: UUID
    object: Literal["metric"] = "metric"
    project: str
    key: str
    name: str
    kind: Literal["SCALAR", "BOOL"]
    scoring_type: Literal["HIGHER_IS_BETTER", "LOWER_IS_BETTER"]
    description: str
    unit: str | None
    created_at: datetime


class MetricList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Metric]


class FeedbackCreate(BaseModel):
    """POST /api/v1/feedback: one score for one completion. A bool metric takes true, false, 0 and 1."""

    completion_id: UUID
    metric: Annotated[Key, Field(validation_alias=AliasChoices("metric", "feedback_key"))]
    value: ScoreValue
    user_id: Annotated[str, StringConstraints(max_length=256)] | None = None
    reason: Comment | None = None
    details: Comment | None = None


class FeedbackCreated(BaseModel):
    feedback_id: UUID
