"""Graders: judges that score interactions in the background. Times are RFC 3339 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from adaptive_engine.wire.interactions import Comment, InProject, Key, NewKey

Criteria = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
Template = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]


class Scale(BaseModel):
    """Scores are whole numbers from `min` to `max`."""

    model_config = ConfigDict(extra="forbid")

    min: StrictInt = Field(ge=-1000, le=1000)
    max: StrictInt = Field(ge=-1000, le=1000)

    @model_validator(mode="after")
    def _ascends(self) -> Scale:
        if self.min >= self.max:
            raise ValueError("`min` must be less than `max`")
        return self


class JudgeExample(BaseModel):
    """A judgement that people made: `score` is PASS, FAIL or NA, or a number of the grader's scale."""

    model_config = ConfigDict(extra="forbid")

    input: Comment
    output: Comment
    score: Literal["PASS", "FAIL", "NA"] | StrictInt
    reasoning: Comment | None = None


Examples = Annotated[list[JudgeExample], Field(max_length=20)]


class GraderCreate(InProject):
    """POST /api/v1/graders. Without a `scale` the judge says PASS, FAIL or NA."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    project: Key = Field(validation_alias=AliasChoices("project", "use_case"))
    key: NewKey
    name: Comment | None = None
    model: Key = Field(validation_alias=AliasChoices("model", "judge_model"))
    criteria: Criteria
    scale: Scale | None = None
    template: Template | None = None
    examples: Examples = Field(default_factory=list)
    metric: NewKey | None = None
    sampling_rate: Rate = 1.0
    enabled: StrictBool = True


class GraderUpdate(BaseModel):
    """PATCH /api/v1/graders/{key}. What is absent stays; a null `template` is the usual one."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: Comment | None = None
    model: Key | None = Field(None, validation_alias=AliasChoices("model", "judge_model"))
    criteria: Criteria | None = None
    template: Template | None = None
    examples: Examples | None = None
    sampling_rate: Rate | None = None
    enabled: StrictBool | None = None

    @field_validator("name", "model", "criteria", "examples", "sampling_rate", "enabled", mode="before")
    @classmethod
    def _only_the_template_may_be_null(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("this cannot be null; leave it out to keep it")
        return value


class GraderProgress(BaseModel):
    """How many interactions wait, are being judged, are judged, or could not be."""

    pending: int
    running: int
    done: int
    failed: int
    problem: str | None
    """Why the newest that was not judged was not."""


class Grader(BaseModel):
    id: UUID
    object: Literal["grader"] = "grader"
    project: str
    key: str
    name: str
    metric: str
    model: str
    criteria: str
    scale: Scale | None
    template: str | None
    examples: list[JudgeExample]
    sampling_rate: float
    enabled: bool
    created_at: datetime
    progress: GraderProgress


class GraderList(BaseModel):
    object: Literal["list"] = "list"
    data: list[Grader]


class GraderRun(BaseModel):
    """POST /api/v1/graders/{key}/run: judge what is stored already, whatever the sampling rate.

    `again` also judges what the grader has judged; the earlier scores stay.
    """

    model_config = ConfigDict(extra="forbid")

    created_from: datetime | None = None
    created_to: datetime | None = None
    models: Annotated[list[Key], Field(max_length=100)] = Field(default_factory=list)
    limit: Annotated[StrictInt, Field(ge=1, le=10**9)] | None = None
    again: StrictBool = False


class GraderRunStarted(BaseModel):
    queued: int
    grader: Grader


class GraderRunCancelled(BaseModel):
    dropped: int
    grader: Grader


class GraderTry(BaseModel):
    """POST /api/v1/graders/{key}/try: judge one stored interaction now and store nothing."""

    model_config = ConfigDict(extra="forbid")

    completion_id: UUID


class Judgement(BaseModel):
    verdict: str
    score: float | None
    reasoning: str
