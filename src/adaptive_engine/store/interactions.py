"""Interactions: the log of prompts and completions.

The primary key is the completion id. A row is written `pending` when a request is admitted and becomes terminal once;
whatever is finished again stays as it is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.store import scores as score_queries
from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import interactions, labels
from adaptive_engine.types import Interaction, InteractionSource, InteractionState, Score, Usage, now_ms

# With up to this many bearers a label is looked up first; one that more rows have is checked row by row, newest first,
# and a page soon fills. Among 300 000 interactions either takes the wrong kind of label 300 ms, the right one below 1.
_RARE = 256

# Spelled out in the statement: only then a partial index can serve it.
_PENDING = interactions.c.state == sa.literal("pending", literal_execute=True)
# `aborted` is what others thought of a server that they did not hear of; the outcome knows better.
_UNDECIDED = sa.or_(interactions.c.state == "pending", interactions.c.state == "aborted")
_SELECT = sa.select(*(column for column in interactions.c if column is not interactions.c.server_id))
# What the generation decides; the rest of a row is what was asked and never changes.
_FINISH = (
    interactions.update()
    .where(interactions.c.id == sa.bindparam("finished_id"), _UNDECIDED)
    .values(
        {
            name: sa.bindparam(name)
            for name in (
                "state",
                "completed_at",
                "completion",
                "finish_reason",
                "error",
                "prompt_tokens",
                "completion_tokens",
                "cached_tokens",
                "timings",
                "warnings",
            )
        }
    )
)


@dataclass(frozen=True, slots=True)
class InteractionFilter:
    """Which interactions of one project to list; what is empty or None does not restrict."""

    project_id: UUID
    models: tuple[str, ...] = ()
    """Any of these model keys."""
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """All of these keys, each with any of its values; no values: the key is enough. A key given twice adds values."""
    session_id: UUID | None = None
    created_from: int | None = None
    """Epoch ms, inclusive."""
    created_to: int | None = None
    """Epoch ms, exclusive."""
    source: InteractionSource | None = None
    state: InteractionState | None = None
    prompt_hash: str | None = None
    completion_id: UUID | None = None
    user: str | None = None


@dataclass(frozen=True, slots=True)
class StoredInteraction:
    """An interaction with the scores it has got, oldest first."""

    interaction: Interaction
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True)
class InteractionPage:
    items: tuple[StoredInteraction, ...]
    next_cursor: str | None
    """Where the next page starts; None on the last page."""


def insert(connection: Connection, rows: Sequence[Interaction], server_id: UUID | None = None) -> None:
    """Write new rows in the state they are in, with their labels; `server_id` is the server that runs them.

    Raises Conflict when an id is taken.
    """
    with duplicates_refused("The interaction exists already, or its project does not."):
        _insert(connection, rows, server_id)


def finish(connection: Connection, rows: Sequence[Interaction]) -> None:
    """Write the outcomes of `rows`: into the pending and aborted ones what the generation decided, the missing ones in
    full.

    So each row must be whole: as it was begun, plus its outcome. One that has an outcome already is left alone.
    """
    if not rows:
        return
    outcomes = [{"finished_id": row.id, **_outcome(row)} for row in rows]
    if connection.execute(_FINISH, outcomes).rowcount != len(rows):
        _insert(connection, unknown(connection, rows))


def unknown(connection: Connection, rows: Sequence[Interaction]) -> list[Interaction]:
    """Those of `rows` that are not stored yet, the first of each id."""
    by_id = {row.id: row for row in reversed(rows)}
    stored = set(connection.scalars(sa.select(interactions.c.id).where(interactions.c.id.in_(by_id))))
    return [row for row in rows if row.id not in stored and by_id[row.id] is row]


def servers_with_pending(connection: Connection) -> set[UUID | None]:
    """The servers that pending rows name. None: from before servers had ids."""
    return set(connection.scalars(sa.select(interactions.c.server_id).where(_PENDING).distinct()))


def abort_pending(connection: Connection, server_ids: Collection[UUID | None]) -> int:
    """Mark what these servers left pending as aborted; the number of such rows. Only for servers that are gone."""
    server_id = interactions.c.server_id
    theirs = sa.or_(server_id.in_(set(server_ids) - {None}), server_id.is_(None) if None in server_ids else sa.false())
    aborted = interactions.update().where(_PENDING, theirs).values(state="aborted", completed_at=now_ms())
    return connection.execute(aborted).rowcount


def get(connection: Connection, project_ids: Collection[UUID] | None, interaction_id: UUID) -> StoredInteraction | None:
    """One interaction if it belongs to one of these projects (None: to any)."""
    query = _SELECT.where(interactions.c.id == interaction_id)
    if project_ids is not None:
        query = query.where(interactions.c.project_id.in_(project_ids))
    found = _load(connection, query)
    return found[0] if found else None


def list_page(
    connection: Connection, wanted: InteractionFilter, limit: int, after_cursor: str | None = None
) -> InteractionPage:
    """At most `limit` (1 or more) interactions, newest first, that follow the cursor of an earlier page.

    Rows that are added meanwhile neither repeat nor hide others. Raises InvalidRequest for a cursor that is not ours.
    """
    position = sa.tuple_(interactions.c.created_at, interactions.c.id)
    query = _SELECT.where(*_conditions(connection, wanted))
    if after_cursor is not None:
        query = query.where(position < sa.tuple_(*_read_cursor(after_cursor)))
    query = query.order_by(interactions.c.created_at.desc(), interactions.c.id.desc())
    # One row more than asked tells whether another page follows.
    found = _load(connection, query.limit(limit + 1))
    more = len(found) > limit
    items = tuple(found[:limit])
    return InteractionPage(items, _cursor(items[-1].interaction) if more else None)


def _insert(connection: Connection, rows: Sequence[Interaction], server_id: UUID | None = None) -> None:
    if not rows:
        return
    connection.execute(interactions.insert(), [{**_values(row), "server_id": server_id} for row in rows])
    tags = [{"interaction_id": row.id, "key": key, "value": value} for row in rows for key, value in row.labels.items()]
    if tags:
        connection.execute(labels.insert(), tags)


def _values(row: Interaction) -> dict[str, Any]:
    return {
        "id": row.id,
        "project_id": row.project_id,
        "session_id": row.session_id,
        "source": row.source,
        "created_at": row.created_at,
        "model_id": row.model_id,
        "model_key": row.model_key,
        "request_id": row.request_id,
        "choice_index": row.choice_index,
        "user": row.user,
        "prompt_hash": row.prompt_hash,
        "messages": row.messages,
        "parameters": row.parameters,
        "ab_test_id": row.ab_test_id,
        "ab_test_unit": row.ab_test_unit,
        "created_by": row.created_by,
        **_outcome(row),
    }


def _outcome(row: Interaction) -> dict[str, Any]:
    return {
        "state": row.state,
        "completed_at": row.completed_at,
        "completion": row.completion,
        "finish_reason": row.finish_reason,
        "error": row.error,
        "prompt_tokens": row.usage.prompt_tokens,
        "completion_tokens": row.usage.completion_tokens,
        "cached_tokens": row.usage.cached_tokens,
        "timings": row.timings,
        "warnings": row.warnings,
    }


def _conditions(connection: Connection, wanted: InteractionFilter) -> Iterable[sa.ColumnElement[bool]]:
    columns = interactions.c
    yield columns.project_id == wanted.project_id
    if wanted.models:
        yield columns.model_key.in_(wanted.models)
    if wanted.created_from is not None:
        yield columns.created_at >= wanted.created_from
    if wanted.created_to is not None:
        yield columns.created_at < wanted.created_to
    equal = {
        columns.session_id: wanted.session_id,
        columns.source: wanted.source,
        columns.state: wanted.state,
        columns.prompt_hash: wanted.prompt_hash,
        columns.id: wanted.completion_id,
        columns.user: wanted.user,
    }
    for column, value in equal.items():
        if value is not None:
            yield column == value
    yield from _label_conditions(connection, wanted.labels)


def _label_conditions(
    connection: Connection, wanted: tuple[tuple[str, tuple[str, ...]], ...]
) -> Iterable[sa.ColumnElement[bool]]:
    values: dict[str, set[str] | None] = {}
    for key, some in wanted:
        known = values.setdefault(key, set())
        # A key without values asks for any value, and so does that key with values added.
        values[key] = None if known is None or not some else known | set(some)
    for key, allowed in values.items():
        tag = sa.select(labels.c.interaction_id).where(labels.c.key == key)
        if allowed is not None:
            tag = tag.where(labels.c.value.in_(sorted(allowed)))
        some_ids = connection.scalars(tag.limit(_RARE + 1)).all()
        if len(some_ids) <= _RARE:
            yield interactions.c.id.in_(some_ids)
        else:
            yield tag.where(labels.c.interaction_id == interactions.c.id).exists()


def _load(connection: Connection, query: sa.Select[Any]) -> list[StoredInteraction]:
    """The rows of `query` with labels and scores: three statements, however many rows."""
    rows = connection.execute(query).all()
    if not rows:
        return []
    ids = [row.id for row in rows]
    tags: dict[UUID, dict[str, str]] = {}
    for interaction_id, key, value in connection.execute(
        sa.select(labels.c.interaction_id, labels.c.key, labels.c.value).where(labels.c.interaction_id.in_(ids))
    ):
        tags.setdefault(interaction_id, {})[key] = value
    scores = score_queries.list_for_interactions(connection, ids)
    return [StoredInteraction(_from_row(row, tags.get(row.id, {})), scores.get(row.id, ())) for row in rows]


def _from_row(row: Any, tags: dict[str, str]) -> Interaction:
    values = dict(row._mapping)
    usage = Usage(values.pop("prompt_tokens"), values.pop("completion_tokens"), values.pop("cached_tokens"))
    return Interaction(**values, usage=usage, labels=tags)


def _cursor(row: Interaction) -> str:
    return base64.urlsafe_b64encode(row.created_at.to_bytes(8, "big", signed=True) + row.id.bytes).decode()


def _read_cursor(cursor: str) -> tuple[int, UUID]:
    try:
        raw = base64.b64decode(cursor, altchars=b"-_", validate=True)
        return int.from_bytes(raw[:8], "big", signed=True), UUID(bytes=raw[8:])
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("Not a cursor; pass the `next_cursor` of an earlier page.", param="after") from error
