"""Which interactions are meant: an expression, and the SQL condition that says the same.

Every condition is true or false and never NULL, so that `Not` is the exact complement. Columns are wrapped so that no
index serves a condition: `scans.py` chooses the one index that a query walks, and the databases, which know nothing of
how values are spread, would choose others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, assert_never
from uuid import UUID

import sqlalchemy as sa

from adaptive_engine.store.functions import message_texts
from adaptive_engine.store.tables import comparisons, interactions, labels, scores

Field = Literal[
    "model",
    "source",
    "state",
    "prompt_hash",
    "session_id",
    "user",
    "created_by",
    "completion_id",
    "ab_test",
    "finish_reason",
]
Bound = Literal["gt", "gte", "eq", "neq", "lt", "lte"]

COLUMNS: dict[Field, sa.Column[Any]] = {
    "model": interactions.c.model_key,
    "source": interactions.c.source,
    "state": interactions.c.state,
    "prompt_hash": interactions.c.prompt_hash,
    "session_id": interactions.c.session_id,
    "user": interactions.c.user,
    "created_by": interactions.c.created_by,
    "completion_id": interactions.c.id,
    "ab_test": interactions.c.ab_test_id,
    "finish_reason": interactions.c.finish_reason,
}
# Text that every JSON encoder writes as it is.
_PLAIN = re.compile(r"[A-Za-z0-9 .,;:!?'()_-]+")
# How parts are stored: a text behind another part, where the message's text may go on.
_FURTHER_TEXT = '},{"type":"text"'


@dataclass(frozen=True, slots=True)
class Equals:
    """The field has one of these values."""

    field: Field
    values: tuple[str | UUID, ...]


@dataclass(frozen=True, slots=True)
class Missing:
    """The field has no value."""

    field: Field


@dataclass(frozen=True, slots=True)
class Between:
    """Created in this time: epoch ms, from `start` on and before `end`; None: without a limit."""

    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class HasLabel:
    """Has the label; with one of these values, unless they are None."""

    key: str
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class HasScore:
    """One score of the metric is within all bounds and, where reasons are given, has one of them."""

    metric_id: UUID
    bounds: tuple[tuple[Bound, float], ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """One side of a comparison by this metric."""

    metric_id: UUID


@dataclass(frozen=True, slots=True)
class HasText:
    """The completion, or one message of the prompt, is `text` or, unless `whole`, contains it in any case."""

    where: Literal["completion", "prompt"]
    text: str
    whole: bool


@dataclass(frozen=True, slots=True)
class HasWarnings:
    pass


@dataclass(frozen=True, slots=True)
class And:
    """All of them; of none, everything."""

    parts: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them; of none, nothing."""

    parts: tuple[Expression, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    part: Expression


Expression = Equals | Missing | Between | HasLabel | HasScore | Compared | HasText | HasWarnings | And | Or | Not

EVERYTHING = And()


@dataclass(frozen=True, slots=True)
class InteractionFilter:
    """Interactions of one project."""

    project_id: UUID
    where: Expression = EVERYTHING


def conjuncts(expression: Expression) -> list[Expression]:
    """What must all hold."""
    if isinstance(expression, And):
        return [each for part in expression.parts for each in conjuncts(part)]
    return [expression]


def holds(expression: Expression) -> bool | None:
    """Whether the expression holds for every row, or for none, by its form alone. None: that depends on the row."""
    match expression:
        case Not(part):
            inner = holds(part)
            return None if inner is None else not inner
        case And(parts) | Or(parts):
            # What decides for all of them: one that never holds, or one that always does.
            decides = isinstance(expression, Or)
            known = {holds(part) for part in parts}
            if decides in known:
                return decides
            return None if None in known else not decides
        case Between(None, None):
            return True
    return None


def condition(expression: Expression) -> sa.ColumnElement[bool]:
    """The expression about a row of `interactions`."""
    match expression:
        case Equals(field, values):
            return is_one_of(COLUMNS[field], values)
        case Missing(field):
            return unindexed(COLUMNS[field]).is_(None)
        case Between(start, end):
            created = unindexed(interactions.c.created_at)
            after = sa.true() if start is None else created >= start
            return sa.and_(after, sa.true() if end is None else created < end)
        case HasLabel():
            return _exists(has_label(expression).where(labels.c.interaction_id == interactions.c.id))
        case HasScore():
            own = scores.c.interaction_id == interactions.c.id
            return _exists(_scored(expression, unindexed(scores.c.metric_id), unindexed(scores.c.value)).where(own))
        case Compared(metric_id):
            sides = (comparisons.c.preferred_id == interactions.c.id, comparisons.c.other_id == interactions.c.id)
            by_metric = sa.select(comparisons.c.id).where(unindexed(comparisons.c.metric_id) == metric_id)
            return sa.or_(*[_exists(by_metric.where(side)) for side in sides])
        case HasText():
            return _has_text(expression)
        case HasWarnings():
            return sa.type_coerce(interactions.c.warnings, sa.Text) != "[]"
        case And(parts):
            return sa.and_(sa.true(), *map(condition, parts))
        case Or(parts):
            return sa.or_(sa.false(), *map(condition, parts))
        case Not(part):
            return sa.not_(condition(part))
    assert_never(expression)


def has_label(wanted: HasLabel) -> sa.Select[Any]:
    """The ids of interactions with that label, in all projects."""
    query = sa.select(labels.c.interaction_id).where(labels.c.key == wanted.key)
    return query if wanted.values is None else query.where(labels.c.value.in_(wanted.values))


def has_score(wanted: HasScore) -> sa.Select[Any]:
    """The ids of interactions with such a score."""
    return _scored(wanted, scores.c.metric_id, scores.c.value)


def _scored(wanted: HasScore, metric_id: Any, value: Any) -> sa.Select[Any]:
    query = sa.select(scores.c.interaction_id).where(metric_id == wanted.metric_id)
    for bound, limit in wanted.bounds:
        query = query.where(_bounded(value, bound, limit))
    return query.where(scores.c.reason.in_(wanted.reasons)) if wanted.reasons else query


def is_one_of(column: sa.Column[Any], values: tuple[str | UUID, ...]) -> sa.ColumnElement[bool]:
    """False where the column is NULL."""
    return sa.func.coalesce(unindexed(column).in_(values), sa.false())


def unindexed(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """The column's value, from the row."""
    return sa.func.coalesce(column, sa.null())


def _exists(query: sa.Select[Any]) -> sa.ColumnElement[bool]:
    """Whether the query, which names the row, finds something. It reads its own table even where the outer one does."""
    return query.correlate(interactions).exists()


def _bounded(column: Any, bound: Bound, value: float) -> Any:
    match bound:
        case "gt":
            return column > value
        case "gte":
            return column >= value
        case "eq":
            return column == value
        case "neq":
            return column != value
        case "lt":
            return column < value
        case "lte":
            return column <= value
    assert_never(bound)


def _has_text(wanted: HasText) -> sa.ColumnElement[bool]:
    if wanted.where == "completion":
        column = interactions.c.completion
        return column == wanted.text if wanted.whole else _contains(column, wanted.text)
    texts = message_texts(interactions.c.messages)
    one = texts.c.text == wanted.text if wanted.whole else _contains(texts.c.text, wanted.text)
    found = sa.select(sa.literal(1)).select_from(texts).where(one).exists()
    if not _PLAIN.fullmatch(wanted.text):
        return found
    # Most rows are ruled out without reading their JSON.
    messages = sa.type_coerce(interactions.c.messages, sa.Text)
    return sa.and_(sa.or_(_contains(messages, wanted.text), messages.like(f"%{_FURTHER_TEXT}%")), found)


def _contains(column: Any, text: str) -> sa.ColumnElement[bool]:
    # SQLite knows the case of ASCII letters only; others are found as typed, in small, in capitals, or as names are.
    spellings = dict.fromkeys((text, text.lower(), text.upper(), text.title()))
    if text.isascii():
        spellings = dict.fromkeys([text])
    return sa.or_(*[column.ilike(f"%{_escaped(each)}%", escape="/") for each in spellings])


def _escaped(text: str) -> str:
    return re.sub("([%_/])", r"/\1", text)
