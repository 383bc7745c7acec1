"""Which interactions are meant: simple fields, and an expression of conditions joined by `and`, `or` and `not`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from adaptive_engine.wire.chat import LabelKey, LabelValue

MAX_VALUES = 100
MAX_DEPTH = 8
MAX_NODES = 64

Name = Annotated[str, StringConstraints(min_length=1, max_length=512)]
Needle = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
State = Literal["pending", "complete", "length", "cancelled", "error", "aborted"]
Source = Literal["LIVE", "OFFLINE", "AUTOMATION", "DATASET", "EVALUATION"]


_DATETIME = TypeAdapter(datetime)
# Of the years 2001 to 2603; as milliseconds, a time of 1970.
_SECONDS = range(10**9, 2 * 10**10)


def epoch_ms(value: Any) -> int:
    """Epoch milliseconds of a datetime, RFC 3339 text, or milliseconds; a time without a zone is UTC.

    Raises ValueError outside of the years 1 to 9999, for what must be seconds, and for text that may be a year.
    """
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        if 1 < len(value) <= 8:
            raise ValueError("send a time like 2026-01-31 or 2026-01-31T12:00:00Z, or epoch milliseconds")
        value = int(value)
    if type(value) is int and value in _SECONDS:
        raise ValueError(f"{value} would be in 1970: send epoch milliseconds, not seconds")
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            datetime.fromtimestamp(value / 1000, UTC)
            return value
        moment = _DATETIME.validate_python(value, strict=isinstance(value, bool | float))
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).timestamp() * 1000)
    except (ValidationError, OverflowError, OSError, ValueError) as exc:
        raise ValueError("send an RFC 3339 time of the years 1 to 9999, or epoch milliseconds") from exc


Moment = Annotated[int, BeforeValidator(epoch_ms), WithJsonSchema({"type": ["string", "integer"]})]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[Name], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_VALUES)]
LabelValues = Annotated[list[LabelValue], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_VALUES)]
States = Annotated[list[State], BeforeValidator(_listed), Field(min_length=1)]
Sources = Annotated[list[Source], BeforeValidator(_listed), Field(min_length=1)]


class _Strict(BaseModel):
    # A misspelled condition that is not seen would let everything pass.
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class _Condition(_Strict):
    @model_validator(mode="after")
    def _says_something(self) -> _Condition:
        # Null says nothing: a program's variable that was never set must not select everything.
        if all(getattr(self, name) is None for name in type(self).model_fields):
            names = [field.alias or name for name, field in type(self).model_fields.items()]
            raise ValueError(f"give at least one of {', '.join(names)}")
        return self


class TimeRange(_Condition):
    """From `from` on and before `to`: RFC 3339 or epoch milliseconds; a time without a zone is UTC."""

    from_: Moment | None = Field(default=None, alias="from")
    to: Moment | None = None


class Match(_Condition):
    """Is `eq`, is one of `in`, is not `neq`: all that are given. What has no value is not equal to anything."""

    eq: Name | None = None
    in_: Annotated[list[Name], Field(min_length=1, max_length=MAX_VALUES)] | None = Field(default=None, alias="in")
    neq: Name | None = None


class LabelMatch(_Condition):
    """As `Match`, for a label's value, which may be empty."""

    eq: LabelValue | None = None
    in_: Annotated[list[LabelValue], Field(min_length=1, max_length=MAX_VALUES)] | None = Field(
        default=None, alias="in"
    )
    neq: LabelValue | None = None


class LabelCondition(_Strict):
    """Has the label `key`, with such a value where one is asked for."""

    key: LabelKey
    value: LabelMatch | None = None


class NumberMatch(_Condition):
    gt: FiniteFloat | None = None
    gte: FiniteFloat | None = None
    eq: FiniteFloat | None = None
    neq: FiniteFloat | None = None
    lt: FiniteFloat | None = None
    lte: FiniteFloat | None = None


class ScoreCondition(_Strict):
    """Has a score of the metric (id or key) with such a value and, where given, one of these reasons."""

    metric: Name
    value: NumberMatch | None = None
    reasons: Annotated[list[Name], Field(min_length=1, max_length=MAX_VALUES)] | None = None


class ComparisonCondition(_Strict):
    """Was compared with another completion by the metric (id or key)."""

    metric: Name


class TextCondition(_Condition):
    """Is `eq`, contains `contains` in any case of its letters: both, when both are given."""

    eq: Annotated[str, StringConstraints(max_length=100_000)] | None = None
    contains: Needle | None = None


class FilterExpression(_Strict):
    """All conditions that are given hold; none: everything matches. Models, metrics and A/B tests are ids or keys,
    `created_by` is a user's id or e-mail address. `prompt` is about the text of one message.
    """

    and_: list[FilterExpression] | None = Field(default=None, alias="and")
    or_: Annotated[list[FilterExpression], Field(min_length=1)] | None = Field(default=None, alias="or")
    not_: FilterExpression | None = Field(default=None, alias="not")
    model: Match | None = None
    timerange: TimeRange | None = None
    label: LabelCondition | None = None
    scores: ScoreCondition | None = None
    comparisons: ComparisonCondition | None = None
    source: Sources | None = None
    state: States | None = None
    prompt_hash: Match | None = None
    session_id: UUID | None = None
    user: Match | None = None
    created_by: Match | None = None
    completion_id: UUID | None = None
    completion: TextCondition | None = None
    prompt: TextCondition | None = None
    ab_test: Match | None = None
    finish_reason: Match | None = None
    has_warnings: bool | None = None


class LabelFilter(_Strict):
    """Has the label `key`; with one of these values, where given. One key given twice adds its values."""

    key: LabelKey
    value: LabelValues | None = None


class Selection(_Strict):
    """Interactions of a project: all that is given must hold."""

    project: Name
    models: Names | None = None
    labels: Annotated[list[LabelFilter], Field(max_length=MAX_VALUES)] | None = None
    timerange: TimeRange | None = None
    session_id: UUID | None = None
    completion_id: UUID | None = None
    state: States | None = None
    source: Sources | None = None
    prompt_hash: Name | None = None
    user: Name | None = None
    created_by: Name | None = None
    filter: FilterExpression | None = None
