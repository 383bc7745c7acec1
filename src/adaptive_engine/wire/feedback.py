"""Metrics and feedback: register what can be scored; score completions, compare two, report outcomes of sessions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from adaptive_engine.wire.chat import MAX_MESSAGES, Message
from adaptive_engine.wire.interactions import Comment, InProject, Key, NewKey, ScoreValue, Text


class MetricCreate(InProject):
    """POST /api/v1/metrics. A metric is a scalar of which more is better unless it says otherwise."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    project: Key = Field(validation_alias=AliasChoices("project", "use_case"))
    key: NewKey
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
    category: Literal["SYSTEM", "GRADER", "USER"] = "USER"
    """Who gives the values: the server itself, graders, or people and applications."""
    has_direct_scores: bool = False
    has_comparison_scores: bool = False
    created_at: datetime


class MetricList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Metric]


class MetricUpdate(BaseModel):
    """PATCH /api/v1/metrics/{key}. What is absent stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=10_000)] | None = None
    description: Comment | None = None
    unit: Comment | None = None


class MetricGroup(BaseModel):
    """`group` is a model's key, a label's value, or when an hour or a day begins; null where there is none."""

    group: str | datetime | None
    model: str | None = None
    """Its key, where groups are by model too."""
    count: int
    mean: float
    min: float
    max: float
    stddev: float | None
    sum: float


class MetricStatistics(BaseModel):
    object: Literal["metric_statistics"] = "metric_statistics"
    project: str
    metric: str
    unit: str | None
    group_by: str | None
    data: list[MetricGroup]
    searched_to: datetime | None = None
    """Counting took too long: only what was asked from then on is in these numbers. Null: everything is."""


class FeedbackCreate(BaseModel):
    """POST /api/v1/feedback: one score for one completion. A bool metric takes true, false, 0 and 1."""

    model_config = ConfigDict(extra="forbid")

    completion_id: UUID
    metric: Annotated[Key, Field(validation_alias=AliasChoices("metric", "feedback_key"))]
    value: ScoreValue
    user_id: Annotated[str, StringConstraints(max_length=256)] | None = None
    reason: Comment | None = None
    details: Comment | None = None
    source: Literal["USER", "GRADER"] | None = None
    """Who scores: people and applications, or a program that grades."""


class FeedbackCreated(BaseModel):
    feedback_id: UUID


class ComparedText(BaseModel):
    """A completion given by its text; `model` is the id or key of the model that wrote it."""

    model_config = ConfigDict(extra="forbid")

    text: Text
    model: Key


class ComparisonCreate(InProject):
    """POST /api/v1/comparison: which of two completions is better.

    Completions are given by id, or as text together with `messages` (or `prompt`). `project` may be left out with ids.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    metric: Annotated[Key, Field(validation_alias=AliasChoices("metric", "feedback_key"))]
    preferred_completion: UUID | ComparedText
    other_completion: UUID | ComparedText
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)] | None = None
    prompt: Annotated[str, StringConstraints(min_length=1, max_length=10_000_000)] | None = None
    tied: Literal["good", "bad"] | None = None
    project: Key | None = Field(default=None, validation_alias=AliasChoices("project", "use_case"))
    user_id: Annotated[str, StringConstraints(max_length=256)] | None = None

    @field_validator("prompt")
    @classmethod
    def _one_prompt(cls, prompt: str | None, info: ValidationInfo) -> str | None:
        if prompt is not None and info.data.get("messages") is not None:
            raise ValueError("send messages or prompt, not both")
        return prompt


class ComparisonCreated(BaseModel):
    comparison_id: UUID


class OutcomeCreate(BaseModel):
    """POST /api/v1/outcome: one value for a whole session."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    value: ScoreValue
    metric: Annotated[Key, Field(validation_alias=AliasChoices("metric", "feedback_key"))]
    session_id: UUID
    project_id: Key | None = Field(default=None, validation_alias=AliasChoices("project_id", "project", "use_case"))
    user_id: Annotated[str, StringConstraints(max_length=256)] | None = None


class OutcomeCreated(BaseModel):
    outcome_id: UUID


class Outcome(BaseModel):
    id: UUID
    object: Literal["outcome"] = "outcome"
    project: str
    session_id: UUID
    metric: str
    value: float
    user: str | None
    created_at: datetime


class OutcomeList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Outcome]
