"""A/B tests: models of a project compared on one metric."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from adaptive_engine.wire.interactions import InProject, Key, NewKey

AbTestStatus = Literal["WARMUP", "IN_PROGRESS", "DONE", "CANCELLED"]
"""Some model lacks scores; it can be decided any time; it was; somebody ended it."""


class AbTestCreate(InProject):
    """POST /api/v1/ab_tests. `metric` and `models` are ids or keys; unset fields have the server's defaults."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    project: Key = Field(validation_alias=AliasChoices("project", "use_case"))
    key: NewKey
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    metric: Key
    models: Annotated[list[Key], Field(max_length=64)]
    traffic_split: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    score_type: Literal["DIRECT", "COMPARISON"] | None = None
    auto_deploy: StrictBool | None = None
    alpha: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    min_scores: Annotated[int, Field(strict=True, le=10**9)] | None = None


class AbTestModel(BaseModel):
    id: UUID
    key: str


class Interval(BaseModel):
    start: float
    middle: float
    end: float


class AbTestComparison(BaseModel):
    """How one model fared against another. `scores` counts ties too."""

    model: AbTestModel
    scores: int
    wins: int
    losses: int
    ties_good: int
    ties_bad: int


class AbTestVariant(BaseModel):
    """One model. `mean` is of its scores; in a comparison test, its share of wins where there was a winner."""

    model: AbTestModel
    requests: int
    scores: int
    units: int
    """Sessions or users that the scores come from: what is counted as independent."""
    mean: float | None
    interval: Interval | None
    comparisons: list[AbTestComparison] | None


class AbTestReport(BaseModel):
    """`p_value` is valid at any time, however often one looks; null while nothing can be said."""

    p_value: float | None
    variants: list[AbTestVariant]


class AbTestVerdictVariant(BaseModel):
    model: str
    mean: float | None
    interval: list[float] | None
    scores: int


class AbTestVerdict(BaseModel):
    """How a test was decided: `winner` is a model's key, the numbers are those of that moment."""

    winner: str
    p_value: float
    text: str
    arms: list[AbTestVerdictVariant]


class AbTest(BaseModel):
    id: UUID
    object: Literal["ab_test"] = "ab_test"
    project: str
    key: str
    name: str
    metric: str | None
    """Null when the metric was deleted after the end."""
    models: list[AbTestModel]
    score_type: Literal["DIRECT", "COMPARISON"]
    status: AbTestStatus
    traffic_split: float
    auto_deploy: bool
    alpha: float
    min_scores: int
    scores: int
    has_enough_scores: bool
    report: AbTestReport
    verdict: AbTestVerdict | None
    warnings: list[str]
    begun_at: datetime
    ended_at: datetime | None
    created_at: datetime


class AbTestList(BaseModel):
    object: Literal["list"] = "list"
    data: list[AbTest]


class AbTestBucket(BaseModel):
    begins_at: datetime
    model: str
    scores: int
    mean: float | None


class AbTestSeries(BaseModel):
    """Scores by the time they were given, in spans of `width_seconds`."""

    object: Literal["ab_test_series"] = "ab_test_series"
    width_seconds: int
    data: list[AbTestBucket]
