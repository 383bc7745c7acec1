"""Judgements: what graders have to do and have done, a row for each grader and interaction.

A queue in the database: it survives a crash, and several servers can take from it. `due_at` is when a row may be taken;
who takes it moves that on, so that another may take it again if nothing is heard of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from adaptive_engine.store.tables import graders, interactions, judgements, projects
from adaptive_engine.types import JudgementState, now_ms

JUDGED_STATES = ("complete", "length")
"""Interactions in other states have no answer to judge."""

_OPEN = judgements.c.finished_at.is_(None)
_NAMES = ("grader_id", "interaction_id", "state", "tries", "due_at", "created_at")


@dataclass(frozen=True, slots=True)
class Task:
    """A judgement that was taken to be made."""

    grader_id: UUID
    interaction_id: UUID
    tries: int
    """With this one."""


@dataclass(frozen=True, slots=True)
class Backfill:
    """Which earlier interactions a grader shall judge; what is None does not restrict."""

    created_from: int | None = None
    """Epoch ms, inclusive."""
    created_to: int | None = None
    """Epoch ms, exclusive."""
    models: tuple[str, ...] = ()
    limit: int | None = None
    """So many of the newest."""
    again: bool = False
    """Also those that it has judged, or failed to."""


@dataclass(frozen=True, slots=True)
class Progress:
    pending: int
    running: int
    done: int
    failed: int
    problem: str | None
    """What the newest judgement that was not made says."""


def add(connection: Connection, grader_id: UUID, interaction_ids: Iterable[UUID]) -> int:
    """Queue them, except those the grader has; how many there were. None when the grader is deleted in this moment."""
    try:
        # What else this transaction writes must not be lost with it.
        with connection.begin_nested():
            return sum(_add(connection, grader_id, interaction_id) for interaction_id in interaction_ids)
    except IntegrityError:
        return 0


def _add(connection: Connection, grader_id: UUID, interaction_id: UUID) -> int:
    known = sa.exists().where(*_row(grader_id, interaction_id))
    values = _queued(grader_id, sa.literal(interaction_id, sa.Uuid))
    return _insert(connection, sa.select(*values).where(~known))


def backfill(connection: Connection, grader_id: UUID, project_id: UUID, wanted: Backfill) -> int:
    """Queue earlier interactions, the newest first; how many there were. Those that wait already are left alone."""
    columns = interactions.c
    chosen = sa.select(columns.id).where(columns.project_id == project_id, columns.state.in_(JUDGED_STATES))
    if wanted.created_from is not None:
        chosen = chosen.where(columns.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        chosen = chosen.where(columns.created_at < wanted.created_to)
    if wanted.models:
        chosen = chosen.where(columns.model_key.in_(wanted.models))
    chosen = chosen.order_by(columns.created_at.desc(), columns.id.desc())
    if wanted.limit is not None:
        chosen = chosen.limit(wanted.limit)
    of_grader = judgements.c.grader_id == grader_id
    if wanted.again:
        connection.execute(judgements.delete().where(of_grader, ~_OPEN, judgements.c.interaction_id.in_(chosen)))
    picked = chosen.subquery()
    known = sa.exists().where(of_grader, judgements.c.interaction_id == picked.c.id)
    values = _queued(grader_id, picked.c.id)
    return _insert(connection, sa.select(*values).where(~known))


def cancel(connection: Connection, grader_id: UUID) -> int:
    """Drop what waits; how many there were."""
    waiting = (judgements.c.grader_id == grader_id, _OPEN, judgements.c.state == "pending")
    return connection.execute(judgements.delete().where(*waiting)).rowcount


def any_due(connection: Connection, paused: Collection[UUID] = ()) -> bool:
    """Whether `take` would find something."""
    return connection.execute(_due(now_ms(), paused).limit(1)).first() is not None


def count_open(connection: Connection, most: int = 10_000) -> int:
    """How many wait or are being made; those beyond `most` are not counted."""
    some = sa.select(judgements.c.grader_id).where(_OPEN).limit(most).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()


def take(connection: Connection, limit: int, lease_ms: int, paused: Collection[UUID] = ()) -> list[Task]:
    """Take up to `limit` that are due, but none of graders that are `paused`, disabled or of archived projects. Nobody
    else gets them for `lease_ms`.
    """
    moment = now_ms()
    query = _due(moment, paused)
    taken = []
    for grader_id, interaction_id, tries, due_at in connection.execute(
        query.order_by(judgements.c.due_at).limit(limit)
    ).all():
        # Whoever moves `due_at` on first has it.
        mine = connection.execute(
            judgements.update()
            .where(*_row(grader_id, interaction_id), judgements.c.due_at == due_at)
            .values(state="running", due_at=moment + lease_ms, tries=tries + 1)
        )
        if mine.rowcount:
            taken.append(Task(grader_id, interaction_id, tries + 1))
    return taken


def finish(
    connection: Connection, task: Task, state: JudgementState, *, verdict: str | None = None, error: str | None = None
) -> bool:
    """Whether it was still open: of two that made the same judgement, the first counts."""
    done = judgements.update().where(*_row(task.grader_id, task.interaction_id), _OPEN)
    values = {"state": state, "verdict": verdict, "error": error, "finished_at": now_ms()}
    return connection.execute(done.values(values)).rowcount == 1


def give_back(connection: Connection, task: Task, due_at: int, error: str | None, *, counts: bool) -> None:
    """It could not be made now. `counts` is whether this was one of its tries."""
    values = {
        "state": "pending",
        "due_at": due_at,
        "error": error,
        "tries": task.tries if counts else task.tries - 1,
    }
    connection.execute(judgements.update().where(*_row(task.grader_id, task.interaction_id), _OPEN).values(values))


def progress(connection: Connection, grader_ids: Sequence[UUID]) -> dict[UUID, Progress]:
    """Of each of these graders."""
    counts: dict[UUID, dict[str, int]] = {grader_id: {} for grader_id in grader_ids}
    query = sa.select(judgements.c.grader_id, judgements.c.state, sa.func.count())
    query = query.where(judgements.c.grader_id.in_(grader_ids)).group_by(judgements.c.grader_id, judgements.c.state)
    for grader_id, state, count in connection.execute(query):
        counts[grader_id][state] = count
    return {
        grader_id: Progress(
            pending=of.get("pending", 0),
            running=of.get("running", 0),
            done=of.get("done", 0),
            failed=of.get("failed", 0),
            problem=_problem(connection, grader_id) if of.get("failed") or of.get("pending") else None,
        )
        for grader_id, of in counts.items()
    }


def _due(moment: int, paused: Collection[UUID]) -> sa.Select[UUID, UUID, int, int]:
    of_project = graders.join(projects, projects.c.id == graders.c.project_id)
    resting = sa.select(graders.c.id).select_from(of_project)
    resting = resting.where(sa.or_(~graders.c.enabled, projects.c.archived_at.is_not(None)))
    # Not a join: from the graders a planner would find all that they ever judged, not what is due.
    return sa.select(
        judgements.c.grader_id, judgements.c.interaction_id, judgements.c.tries, judgements.c.due_at
    ).where(
        _OPEN,
        judgements.c.due_at <= moment,
        judgements.c.grader_id.not_in(paused),
        judgements.c.grader_id.not_in(resting),
    )


def _insert(connection: Connection, rows: sa.Select[Any]) -> int:
    # SQLAlchemy counts inserted rows only when asked to.
    insert = judgements.insert().from_select(_NAMES, rows).execution_options(preserve_rowcount=True)
    return connection.execute(insert).rowcount


def _queued(grader_id: UUID, interaction_id: sa.ColumnElement[UUID]) -> list[sa.ColumnElement[Any]]:
    """The values of `_NAMES` in a new row."""
    moment = now_ms()
    return [
        sa.literal(grader_id, sa.Uuid),
        interaction_id,
        sa.literal("pending", sa.Text),
        sa.literal(0, sa.Integer),
        sa.literal(moment, sa.BigInteger),
        sa.literal(moment, sa.BigInteger),
    ]


def _problem(connection: Connection, grader_id: UUID) -> str | None:
    newest = (
        sa.select(judgements.c.error)
        .where(judgements.c.grader_id == grader_id, judgements.c.error.is_not(None))
        .order_by(judgements.c.created_at.desc())
        .limit(1)
    )
    found: str | None = connection.scalar(newest)
    return found


def _row(grader_id: UUID, interaction_id: UUID) -> tuple[sa.ColumnElement[bool], ...]:
    return (judgements.c.grader_id == grader_id, judgements.c.interaction_id == interaction_id)
