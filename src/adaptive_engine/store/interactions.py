"""Interactions: the log of prompts and completions.

The primary key is the completion id. A row is written `pending` when a request is admitted and becomes terminal once;
whatever is finished again stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store import bulk, images
from adaptive_engine.store import scores as score_queries
from adaptive_engine.store.database import duplicates_refused
from adaptive_engine.store.tables import interactions, labels
from adaptive_engine.types import Interaction, Score, Usage, now_ms

# Spelled out in the statement: only then a partial index can serve it.
_PENDING = interactions.c.state == sa.literal("pending", literal_execute=True)
# `aborted` is what others thought of a server that they did not hear of; the outcome knows better.
_UNDECIDED = sa.or_(interactions.c.state == "pending", interactions.c.state == "aborted")
_SELECT = sa.select(*(column for column in interactions.c if column is not interactions.c.server_id))


def _update(*names: str) -> sa.Update:
    """These columns of the interaction `finished_id`, as long as it has no outcome."""
    chosen = interactions.update().where(interactions.c.id == sa.bindparam("finished_id"), _UNDECIDED)
    return chosen.values({name: sa.bindparam(name) for name in names})


# What the generation decides; the rest of a row is what was asked and never changes.
_FINISH = _update(
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
    "attempts",
    "cost",
    "currency",
    "reasoning",
)
# Another model than the one that was asked has answered, so that more is decided than usual.
_MOVE = _update("model_id", "model_key", "provider", "external_model", "parameters", "ab_test_id", "ab_test_unit")


@dataclass(frozen=True, slots=True)
class StoredInteraction:
    """An interaction with the scores it has got, oldest first."""

    interaction: Interaction
    scores: tuple[Score, ...] = ()


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
    moved = [row for row in rows if row.attempts and row.attempts[0]["model"] != row.model_key]
    if moved:
        connection.execute(_MOVE, [{"finished_id": row.id, **_answered_by(row)} for row in moved])
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


def load(connection: Connection, ids: Sequence[UUID]) -> list[StoredInteraction]:
    """The interactions with these ids that exist, in this order."""
    if not ids:
        return []
    found = {item.interaction.id: item for item in _load(connection, _SELECT.where(interactions.c.id.in_(ids)))}
    return [found[id_] for id_ in ids if id_ in found]


def lengths(connection: Connection, ids: Sequence[UUID]) -> list[int]:
    """Characters of what is long in each of these interactions, in this order; 0 for one that does not exist."""
    columns = (interactions.c.messages, interactions.c.parameters, interactions.c.completion, interactions.c.reasoning)
    each = [sa.func.length(sa.func.coalesce(sa.type_coerce(column, sa.Text), "")) for column in columns]
    query = sa.select(interactions.c.id, *each).where(interactions.c.id.in_(ids))
    found = {id_: sum(counts) for id_, *counts in connection.execute(query)}
    return [found.get(id_, 0) for id_ in ids]


def change_labels(
    connection: Connection, interaction: Interaction, given: Mapping[str, str], removed: Collection[str]
) -> None:
    """Give it these labels, each in place of another value of its key, and take those with a removed key away."""
    gone = [*removed, *given]
    connection.execute(labels.delete().where(labels.c.interaction_id == interaction.id, labels.c.key.in_(gone)))
    if given:
        connection.execute(labels.insert(), _tags(interaction, given))


def delete(connection: Connection, ids: Collection[UUID]) -> int:
    """Delete these, with their labels, scores, comparisons and the images that no other has, unless they are pending;
    the number of them.

    A pending one would be written again when its request ends.
    """
    theirs = images.used_by(connection, ids)
    chosen = interactions.delete().where(interactions.c.id.in_(ids), interactions.c.state != "pending")
    deleted = connection.execute(chosen).rowcount
    images.delete_unused(connection, theirs)
    return deleted


def _insert(connection: Connection, rows: Sequence[Interaction], server_id: UUID | None = None) -> None:
    if not rows:
        return
    bulk.insert(connection, interactions, [{**_values(row), "server_id": server_id} for row in rows])
    tags = [tag for row in rows for tag in _tags(row, row.labels)]
    if tags:
        connection.execute(labels.insert(), tags)
    images.insert(connection, rows)


def _tags(row: Interaction, given: Mapping[str, str]) -> list[dict[str, Any]]:
    own = {"interaction_id": row.id, "project_id": row.project_id, "created_at": row.created_at}
    return [{**own, "key": key, "value": value} for key, value in given.items()]


def _values(row: Interaction) -> dict[str, Any]:
    return {
        "id": row.id,
        "project_id": row.project_id,
        "session_id": row.session_id,
        "source": row.source,
        "created_at": row.created_at,
        "request_id": row.request_id,
        "choice_index": row.choice_index,
        "user": row.user,
        "prompt_hash": row.prompt_hash,
        "messages": row.messages,
        "created_by": row.created_by,
        **_answered_by(row),
        **_outcome(row),
    }


def _answered_by(row: Interaction) -> dict[str, Any]:
    return {
        "model_id": row.model_id,
        "model_key": row.model_key,
        "provider": row.provider,
        "external_model": row.external_model,
        "parameters": row.parameters,
        "ab_test_id": row.ab_test_id,
        "ab_test_unit": row.ab_test_unit,
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
        "attempts": row.attempts or None,
        "cost": row.cost,
        "currency": row.currency,
        "reasoning": row.reasoning,
    }


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
    values["attempts"] = values["attempts"] or []
    return Interaction(**values, usage=usage, labels=tags)
