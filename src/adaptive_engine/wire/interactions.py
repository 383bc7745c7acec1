"""Interactions: log one by hand, read one, list many. Times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StringConstraints

from adaptive_engine.wire.chat import Labels, Message
from adaptive_engine.wire.chat import Usage as Usage

Text = Annotated[str, StringConstraints(max_length=10_000_000)]
# One line of visible text, as a key is typed into URLs and filters. A slash stands between two other characters only:
# paths are read without double and trailing slashes, and such a key could not be found again.
_VISIBLE = r"[^\s\x00-\x1f\x7f/]"
Key = Annotated[str, StringConstraints(max_length=128, pattern=rf"^{_VISIBLE}((/?[^\x00-\x1f\x7f/])*/?{_VISIBLE})?$")]
Comment = Annotated[str, StringConstraints(max_length=10_000)]


ScoreValue = StrictBool | StrictInt | StrictFloat


class FeedbackInput(BaseModel):
    """A score given together with the interaction it belongs to."""

    metric: Key
    value: ScoreValue
    reason: Comment | None = None
    details: Comment | None = None


class InteractionCreate(BaseModel):
    """POST /api/v1/interactions. `use_case` is the older name of `project`, `model` the SDK's of `model_service`."""

    model_config = ConfigDict(extra="allow", protected_namespaces=(), populate_by_name=True)

    project: Key = Field(validation_alias=AliasChoices("project", "use_case"))
    messages: Annotated[list[Message], Field(min_length=1)]
    completion: Text
    model_service: Key | None = Field(default=None, validation_alias=AliasChoices("model_service", "model"))
    feedbacks: list[FeedbackInput] | None = None
    user: Annotated[str, StringConstraints(max_length=256)] | None = None
    session_id: UUID | None = None
    created_at: datetime | None = None
    labels: Labels | None = None
    metadata: Labels | None = None
    ab_campaign: Key | None = None
    """Id or key of an A/B test that `feedbacks` and later scores shall count for; the model is one of its models."""


class InteractionCreated(BaseModel):
    completion_id: UUID
    session_id: UUID
    feedback_ids: list[UUID]


class InteractionScore(BaseModel):
    id: UUID
    metric: str
    value: float
    reason: str | None = None
    details: str | None = None
    source: str = "USER"
    """Who scored: USER, GRADER or SYSTEM."""
    created_at: datetime


class Interaction(BaseModel):
    """One stored prompt and completion."""

    model_config = ConfigDict(protected_namespaces=())

    id: UUID
    object: Literal["interaction"] = "interaction"
    completion_id: UUID
    project: str
    session_id: UUID
    messages: list[dict[str, Any]]
    completion: str
    model: str | None
    state: str
    source: str
    finish_reason: str | None
    error: dict[str, Any] | None
    user: str | None
    labels: dict[str, str]
    scores: list[InteractionScore]
    parameters: dict[str, Any]
    usage: Usage
    timings: dict[str, float]
    warnings: list[dict[str, Any]]
    prompt_hash: str | None
    request_id: str | None
    choice_index: int
    ab_test_id: UUID | None = None
    created_at: datetime
    completed_at: datetime | None


class InteractionList(BaseModel):
    """A page, newest first. Pass `next_cursor` as `after` to get the next one."""

    object: Literal["list"] = "list"
    data: list[Interaction]
    has_more: bool
    next_cursor: str | None = None
