"""Requests that carry an Idempotency-Key: who works on them, and what they were answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.functions import insert_unknown
from adaptive_engine.store.tables import idempotency_keys
from adaptive_engine.types import KeptAnswer

Place = tuple[str, str]
"""The id of an API key, and the Idempotency-Key that it sent."""

_table = idempotency_keys
_KNOWN = (_table.c.fingerprint, _table.c.claimed_at, _table.c.server_id, _table.c.content)
_OURS = (
    _table.c.owner == sa.bindparam("its_owner"),
    _table.c.key == sa.bindparam("its_key"),
    _table.c.claimed_at == sa.bindparam("its_claimed_at"),
    _table.c.server_id.is_not(None),
)
"""A claim as it was made, that has no answer."""
_KEEP = (
    _table.update()
    .where(*_OURS)
    .values(server_id=None, content=sa.bindparam("content"), interaction_id=sa.bindparam("interaction_id"))
)
_RELEASE = _table.delete().where(*_OURS)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A key that was sent before."""

    fingerprint: bytes
    claimed_at: int
    server_id: UUID | None
    """Who works on it; None: it is answered."""
    content: str | None


def claim(
    connection: Connection, fingerprints: Mapping[Place, bytes], server_id: UUID, now: int
) -> dict[Place, Claimed | None]:
    """Note that the server works on these, at a moment in which it has claimed nothing before.

    What is known of those that were known already; None where that was deleted in this moment.
    """
    # In one order everywhere: who adds the same ones on another server must not wait for us while we wait for them.
    rows = [
        {"owner": owner, "key": key, "fingerprint": fingerprint, "server_id": server_id, "claimed_at": now}
        for (owner, key), fingerprint in sorted(fingerprints.items())
    ]
    if not rows or connection.execute(insert_unknown(connection, _table), rows).rowcount == len(rows):
        return {}
    places = sa.tuple_(_table.c.owner, _table.c.key).in_(list(fingerprints))
    stored = connection.execute(sa.select(_table.c.owner, _table.c.key, *_KNOWN).where(places))
    found = {(owner, key): Claimed(*known) for owner, key, *known in stored}
    ours = {place for place, each in found.items() if (each.server_id, each.claimed_at) == (server_id, now)}
    return {place: found.get(place) for place in fingerprints.keys() - ours}


def get(connection: Connection, place: Place) -> Claimed | None:
    row = connection.execute(sa.select(*_KNOWN).where(*_is(place))).one_or_none()
    return None if row is None else Claimed(*row)


def keep(connection: Connection, answers: Sequence[KeptAnswer]) -> None:
    """Note what was answered, in the transaction of what was done."""
    if answers:
        connection.execute(
            _KEEP,
            [
                {
                    "its_owner": answer.owner,
                    "its_key": answer.key,
                    "its_claimed_at": answer.claimed_at,
                    "content": answer.content,
                    "interaction_id": answer.interaction_id,
                }
                for answer in answers
            ],
        )


def release(connection: Connection, claims: Sequence[tuple[Place, int]]) -> None:
    """Forget claims, by when they were made, unless they were answered."""
    if claims:
        rows = [{"its_owner": owner, "its_key": key, "its_claimed_at": at} for (owner, key), at in claims]
        connection.execute(_RELEASE, rows)


def forget(connection: Connection, place: Place) -> None:
    """Delete it, whatever became of it."""
    connection.execute(_table.delete().where(*_is(place)))


def forget_until(connection: Connection, moment: int) -> None:
    """Delete what was claimed before that moment (epoch ms)."""
    connection.execute(_table.delete().where(_table.c.claimed_at < moment))


def forget_all_but(connection: Connection, owner: str, newest: int) -> None:
    """Delete what an owner has beyond so many, the oldest first."""
    times = sa.select(_table.c.claimed_at).where(_table.c.owner == owner)
    last = connection.scalar(times.order_by(_table.c.claimed_at.desc()).offset(newest).limit(1))
    if last is not None:
        answered = _table.c.server_id.is_(None)
        connection.execute(_table.delete().where(_table.c.owner == owner, _table.c.claimed_at <= last, answered))


def _is(place: Place) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    owner, key = place
    return _table.c.owner == owner, _table.c.key == key
