"""Interactions: log one by hand, read one, list many. Times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from adaptive_engine.wire.chat import MAX_MESSAGES, LabelKey, Labels, Message, Metadata
from adaptive_engine.wire.chat import Usage as Usage
from adaptive_engine.wire.filters import Selection

DEFAULT_PAGE = 50
MAX_PAGE = 1000

Text = Annotated[str, StringConstraints(max_length=10_000_000)]
# One line of visible text, as a key is typed into URLs and filters. A slash stands between two other characters only:
# paths are read without double and trailing slashes, and such a key could not be found again.
_VISIBLE = r"[^\s\x00-\x1f\x7f/]"
KEY_PATTERN = rf"^{_VISIBLE}((/?[^\x00-\x1f\x7f/])*/?{_VISIBLE})?$"
Key = Annotated[str, StringConstraints(max_length=128, pattern=KEY_PATTERN)]


def _addressable(key: str) -> str:
    if {".", ".."} & set(key.split("/")):
        raise ValueError(
            "a key, or a part of it between slashes, cannot be '.' or '..': clients leave these out of paths"
        )
    return key


NewKey = Annotated[Key, AfterValidator(_addressable)]
"""Of what is made now. Older ones may be anything that `Key` allows, and are still named by it."""
Comment = Annotated[str, StringConstraints(max_length=10_000)]


class InProject(BaseModel):
    """A body that names its project. `use_case` is the older name, which does not count beside the newer one."""

    @model_validator(mode="before")
    @classmethod
    def _project_counts(cls, body: Any) -> Any:
        if isinstance(body, dict) and "project" in body:
            return {name: value for name, value in body.items() if name != "use_case"}
        return body


ScoreValue = StrictBool | StrictInt | StrictFloat


class FeedbackInput(BaseModel):
    """A score given together with the interaction it belongs to. `created_at` is when it was given, by default now."""

    model_config = ConfigDict(extra="forbid")

    metric: Key
    value: ScoreValue
    reason: Comment | None = None
    details: Comment | None = None
    created_at: datetime | None = None


class InteractionCreate(InProject):
    """POST /api/v1/interactions. `use_case` is the older name of `project`, `model` the SDK's of `model_service`."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), populate_by_name=True)

    project: Key = Field(validation_alias=AliasChoices("project", "use_case"))
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    completion: Text
    model_service: Key | None = None
    model: Key | None = None
    feedbacks: list[FeedbackInput] | None = None
    user: Annotated[str, StringConstraints(max_length=256)] | None = None
    session_id: UUID | None = None
    created_at: datetime | None = None
    labels: Labels | None = None
    metadata: Metadata = None
    ab_campaign: Key | None = None
    """Id or key of an A/B test that `feedbacks` and later scores shall count for; the model is one of its models."""

    @field_validator("model")
    @classmethod
    def _one_model(cls, model: str | None, info: ValidationInfo) -> str | None:
        if model is not None and info.data.get("model_service") is not None:
            raise ValueError("send model_service or model, not both")
        return model

    @field_validator("metadata")
    @classmethod
    def _agrees_with_labels(cls, metadata: dict[str, str] | None, info: ValidationInfo) -> dict[str, str] | None:
        """The answer has no warnings that could say which of them won."""
        labels = info.data.get("labels") or {}
        for key, value in (metadata or {}).items():
            if labels.get(key, value) != value:
                raise ValueError(f"this and `labels` differ on '{key}'; send it once, or the same value in both")
        return metadata

    @property
    def named_model(self) -> tuple[str, str | None]:
        """The field that names the model, and its key."""
        return ("model_service", self.model_service) if self.model is None else ("model", self.model)


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
    provider: str | None = None
    """Of an external model, with what the provider calls it."""
    external_model: str | None = None
    attempts: list[dict[str, Any]] = Field(default_factory=list)
    """Requests to providers, and models that failed before a fallback answered: `{"model", "ms", "error"}`."""
    cost: float | None = None
    currency: str | None = None
    reasoning: str | None = None
    created_at: datetime
    completed_at: datetime | None
    created_by: UUID | None = None


class InteractionList(BaseModel):
    """A page. Pass `next_cursor` as `after` to get the next one, `previous_cursor` as `before` for the one before."""

    object: Literal["list"] = "list"
    data: list[Interaction]
    has_more: bool
    next_cursor: str | None = None
    has_previous: bool = False
    previous_cursor: str | None = None
    searched_to: datetime | None = None
    """Set when time ran out before the page was full: interactions beyond this time were not looked at yet, and the
    next page goes on there."""
    total_count: int | None = None
    """How many match, when it was asked for."""
    total_count_is_exact: bool | None = None
    """False: there are at least so many."""


class SortOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")

    field: Literal["created_at", "completed_at", "prompt_tokens", "completion_tokens"]
    order: Literal["ASC", "DESC"] = "ASC"


class InteractionSearch(Selection):
    """POST /api/v1/interactions/search. `last` counts from the end of what lies between the cursors."""

    order: Annotated[list[SortOrder], Field(min_length=1, max_length=4)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] | None = None
    last: Annotated[int, Field(ge=1, le=MAX_PAGE)] | None = None
    after: str | None = None
    before: str | None = None
    count: bool = False
    """Whether to say `total_count`."""


class GroupSearch(Selection):
    """POST /api/v1/interactions/groups."""

    group_by: Literal["model", "prompt"]
    order: Literal["group", "count"] = "group"
    descending: bool = False
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    interactions: Annotated[int, Field(ge=0, le=100)] = 0
    """How many of each group's newest interactions to send along."""


class ScoreStatistics(BaseModel):
    """The scores of one metric. `stddev` is that of these values, not an estimate for more of them."""

    metric: str
    metric_id: UUID
    count: int
    mean: float
    min: float
    max: float
    stddev: float
    sum: float


class Group(BaseModel):
    key: str | None
    """The model's key or the prompt's hash; null for interactions that have none."""
    count: int
    scores: list[ScoreStatistics]
    interactions: InteractionList


class GroupList(BaseModel):
    object: Literal["list"] = "list"
    group_by: Literal["model", "prompt"]
    data: list[Group]
    total_count: int
    """Groups on all pages."""
    has_more: bool
    searched_to: datetime | None = None
    """Set when time ran out: only interactions from this time on are counted. Narrow the filter."""


class InteractionUpdate(BaseModel):
    """PATCH /api/v1/interactions/{id}: `set` replaces all labels, `add` and `remove` change some."""

    model_config = ConfigDict(extra="forbid")

    set_labels: Labels | None = Field(default=None, alias="set")
    add: Labels | None = None
    remove: Annotated[list[LabelKey], Field(max_length=1000)] | None = None


class InteractionsDelete(Selection):
    """POST /api/v1/interactions/delete: as much as it selects, which must be something or `all`."""

    all: bool = False
    """Delete every interaction of the project, where nothing else is given."""


class InteractionsDeleted(BaseModel):
    deleted: int


ExportFormat = Literal["jsonl", "csv", "parquet"]
ExportKind = Literal["interactions", "messages", "sft", "preferences"]


ExportImages = Literal["url", "data"]
"""Images as the URLs that interactions have, or within the file, as data URIs."""


class InteractionExport(Selection):
    """POST /api/v1/interactions/export."""

    format: ExportFormat = "jsonl"
    kind: ExportKind = "interactions"
    images: ExportImages = "url"
    metric: Key | None = None
    """Preferences of this metric only (id or key)."""
    after: Annotated[str, StringConstraints(max_length=100)] | None = None
    """The `id` of the last record that an earlier export of the same sent: go on behind it."""


class LabelValueUsage(BaseModel):
    value: str
    count: int
    count_is_exact: bool
    """False: at least so many."""
    last_used: datetime


class LabelUsage(BaseModel):
    key: str
    count: int
    count_is_exact: bool
    last_used: datetime | None
    """When the newest interaction with it was created; null when not all values are listed."""
    values: list[LabelValueUsage]
    has_more_values: bool


class LabelUsageList(BaseModel):
    object: Literal["list"] = "list"
    data: list[LabelUsage]
    has_more: bool
