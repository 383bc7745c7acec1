"""Interactions: what a selection on the wire means in a project, labels that are changed, deletion."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any, cast
from uuid import UUID

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.services.metrics import find_scorable
from adaptive_engine.store import Connection, Database, interactions, references
from adaptive_engine.store.filters import (
    And,
    Between,
    Bound,
    Compared,
    Equals,
    Expression,
    Field,
    HasLabel,
    HasScore,
    HasText,
    HasWarnings,
    InteractionFilter,
    Not,
    Or,
)
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.store.scans import Position, positions
from adaptive_engine.types import Project, made_at, now_ms
from adaptive_engine.wire import filters as wire
from adaptive_engine.wire.chat import MAX_LABELS

# Rows of one transaction that deletes: few enough that answers which wait to be stored hardly notice.
DELETE_BATCH = 200


def select(connection: Connection, project: Project, wanted: wire.Selection) -> InteractionFilter:
    """The store's filter for a selection.

    Raises InvalidRequest with the path of what is too large or of a metric that takes no values, NotFound for a metric
    or an A/B test that the project does not have.
    """
    parts: list[Expression] = []
    if wanted.models:
        parts.append(_models(connection, tuple(wanted.models)))
    parts += _labels(wanted.labels or [])
    if wanted.timerange is not None:
        parts.append(Between(wanted.timerange.from_, wanted.timerange.to))
    if wanted.created_by is not None:
        parts.append(_created_by(connection, (wanted.created_by,)))
    single: dict[Field, Any] = {
        "session_id": wanted.session_id,
        "completion_id": wanted.completion_id,
        "prompt_hash": wanted.prompt_hash,
        "user": wanted.user,
    }
    parts += [Equals(field, (value,)) for field, value in single.items() if value is not None]
    if wanted.state is not None:
        parts.append(Equals("state", tuple(wanted.state)))
    if wanted.source is not None:
        parts.append(Equals("source", tuple(wanted.source)))
    if wanted.filter is not None:
        _require_small(wanted.filter)
        parts.append(_Reader(connection, project).expression(wanted.filter, "filter"))
    return InteractionFilter(project.id, And(tuple(parts)))


def find(
    connection: Connection, project_ids: Collection[UUID], completion_id: UUID, param: str = "completion_id"
) -> StoredInteraction:
    """Raises NotFound for an interaction that is not in these projects."""
    stored = interactions.get(connection, project_ids, completion_id)
    if stored is None:
        raise NotFound(f"Interaction '{completion_id}' does not exist.", code="interaction_not_found", param=param)
    return stored


def change_labels(
    connection: Connection,
    stored: StoredInteraction,
    *,
    replace: Mapping[str, str] | None,
    add: Mapping[str, str],
    remove: list[str],
) -> None:
    """`replace` takes the place of all labels; then `remove` and `add` change them.

    Raises InvalidRequest when there would be too many, and more than before: who has too many may have fewer.
    """
    before = stored.interaction.labels
    after = dict(before if replace is None else replace)
    for key in remove:
        after.pop(key, None)
    after.update(add)
    if len(after) > max(MAX_LABELS, len(before)):
        raise InvalidRequest(
            f"The interaction would have {len(after)} labels, and may have {MAX_LABELS}. Remove some.", param="add"
        )
    given = {key: value for key, value in after.items() if before.get(key) != value}
    interactions.change_labels(connection, stored.interaction, given, before.keys() - after.keys())


def delete(connection: Connection, stored: StoredInteraction) -> None:
    """Raises Conflict for an interaction whose answer is still being made."""
    if not interactions.delete(connection, [stored.interaction.id]):
        raise Conflict(
            f"Interaction '{stored.interaction.id}' is still running; delete it when it has ended.",
            code="interaction_pending",
            param="completion_id",
        )


def delete_all(database: Database, wanted: InteractionFilter) -> Iterator[int]:
    """Delete in batches, yielding the number of each; what has been yielded is gone for good.

    Pending interactions stay, and so does what is recorded after the call.
    """
    begun_at = now_ms()
    place: Position | None = None
    while True:
        begun = time.monotonic()
        with database.read() as connection:
            batch, place = positions(connection, wanted, limit=DELETE_BATCH, after=place)
        with database.write() as connection:
            deleted = interactions.delete(connection, [each.id for each in batch if made_at(each.id) <= begun_at])
        yield deleted
        if place is None:
            return
        # As long a pause as the batch took: the recorder, which waits for the same lock, gets half of the time.
        time.sleep(time.monotonic() - begun)


def _require_small(expression: wire.FilterExpression) -> None:
    """Raises InvalidRequest for a tree that is too deep or has too many nodes."""
    nodes = 0
    waiting = [(expression, "filter", 1)]
    while waiting:
        node, path, depth = waiting.pop()
        nodes += 1
        if depth > wire.MAX_DEPTH:
            raise InvalidRequest(f"{path}: a filter is nested at most {wire.MAX_DEPTH} deep.", param=path)
        if nodes > wire.MAX_NODES:
            raise InvalidRequest(f"{path}: a filter has at most {wire.MAX_NODES} parts.", param=path)
        for name, children in (("and", node.and_), ("or", node.or_)):
            waiting += [(child, f"{path}.{name}[{at}]", depth + 1) for at, child in enumerate(children or ())]
        if node.not_ is not None:
            waiting.append((node.not_, f"{path}.not", depth + 1))


class _Reader:
    """Turns one expression of the wire into one of the store's."""

    def __init__(self, connection: Connection, project: Project) -> None:
        self._connection = connection
        self._project = project

    def expression(self, node: wire.FilterExpression, path: str) -> Expression:
        """All conditions of a node, and-ed."""
        parts: list[Expression] = []
        for at, child in enumerate(node.and_ or ()):
            parts.append(self.expression(child, f"{path}.and[{at}]"))
        if node.or_ is not None:
            parts.append(Or(tuple(self.expression(each, f"{path}.or[{at}]") for at, each in enumerate(node.or_))))
        if node.not_ is not None:
            parts.append(Not(self.expression(node.not_, f"{path}.not")))
        parts += self._fields(node)
        parts += self._references(node, path)
        for where, text in (("completion", node.completion), ("prompt", node.prompt)):
            parts += _text(cast(Any, where), text) if text is not None else []
        if node.timerange is not None:
            parts.append(Between(node.timerange.from_, node.timerange.to))
        if node.label is not None:
            parts.append(_label(node.label))
        if node.has_warnings is not None:
            parts.append(HasWarnings() if node.has_warnings else Not(HasWarnings()))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _fields(self, node: wire.FilterExpression) -> Iterator[Expression]:
        matches: dict[Field, wire.Match | None] = {
            "prompt_hash": node.prompt_hash,
            "user": node.user,
            "finish_reason": node.finish_reason,
        }
        for field, match in matches.items():
            if match is not None:
                yield _matched(match, lambda values, field=field: Equals(field, values))
        exact: dict[Field, tuple[Any, ...]] = {
            "source": tuple(node.source or ()),
            "state": tuple(node.state or ()),
            "session_id": () if node.session_id is None else (node.session_id,),
            "completion_id": () if node.completion_id is None else (node.completion_id,),
        }
        for field, values in exact.items():
            if values:
                yield Equals(field, values)

    def _references(self, node: wire.FilterExpression, path: str) -> Iterator[Expression]:
        if node.model is not None:
            yield _matched(node.model, lambda names: _models(self._connection, names))
        if node.created_by is not None:
            yield _matched(node.created_by, lambda names: _created_by(self._connection, names))
        if node.ab_test is not None:
            yield _matched(node.ab_test, lambda names: self._ab_tests(names, f"{path}.ab_test"))
        if node.scores is not None:
            metric_id = self._metric(node.scores.metric, f"{path}.scores.metric")
            given = node.scores.value.model_dump(exclude_none=True) if node.scores.value else {}
            bounds = tuple((cast(Bound, name), value) for name, value in given.items())
            yield HasScore(metric_id, bounds, tuple(node.scores.reasons or ()))
        if node.comparisons is not None:
            yield Compared(self._metric(node.comparisons.metric, f"{path}.comparisons.metric"))

    def _metric(self, name: str, path: str) -> UUID:
        return find_scorable(self._connection, self._project.id, name, path).id

    def _ab_tests(self, names: tuple[str, ...], path: str) -> Expression:
        known = references.ab_tests(self._connection, self._project.id)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise NotFound(f"A/B test '{unknown[0]}' does not exist.", code="ab_test_not_found", param=path)
        return Equals("ab_test", tuple(known[name] for name in names))


def _models(connection: Connection, names: tuple[str, ...]) -> Expression:
    """Rows keep the key of their model. An id names a model that is still there."""
    keys = references.model_keys(connection)
    return Equals("model", tuple(dict.fromkeys(keys.get(name, name) for name in names)))


def _created_by(connection: Connection, names: tuple[str, ...]) -> Expression:
    """An unknown user has created nothing."""
    return Equals("created_by", tuple(user_id for name in names for user_id in references.users(connection, name)))


def _matched(match: wire.Match, one_of: Any) -> Expression:
    parts: list[Expression] = []
    if match.eq is not None:
        parts.append(one_of((match.eq,)))
    if match.in_ is not None:
        parts.append(one_of(tuple(match.in_)))
    if match.neq is not None:
        parts.append(Not(one_of((match.neq,))))
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _label(wanted: wire.LabelCondition) -> Expression:
    """`neq`, too, is about a label that is there."""
    value = wanted.value
    if value is None:
        return HasLabel(wanted.key)
    parts: list[Expression] = []
    if value.eq is not None:
        parts.append(HasLabel(wanted.key, (value.eq,)))
    if value.in_ is not None:
        parts.append(HasLabel(wanted.key, tuple(value.in_)))
    if value.neq is not None:
        parts += [HasLabel(wanted.key), Not(HasLabel(wanted.key, (value.neq,)))]
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _labels(wanted: list[wire.LabelFilter]) -> Iterator[Expression]:
    values: dict[str, list[str] | None] = {}
    for label in wanted:
        known = values.setdefault(label.key, [])
        # A key without values asks for any value, and so does that key with values added.
        values[label.key] = None if known is None or label.value is None else [*known, *label.value]
    for key, some in values.items():
        yield HasLabel(key, None if some is None else tuple(dict.fromkeys(some)))


def _text(where: Any, wanted: wire.TextCondition) -> Iterator[Expression]:
    if wanted.eq is not None:
        yield HasText(where, wanted.eq, whole=True)
    if wanted.contains is not None:
        yield HasText(where, wanted.contains, whole=False)
