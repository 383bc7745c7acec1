"""Labels: which ones a project's interactions have. A label itself is written with its interaction."""

from __future__ import annotations

import time
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from adaptive_engine.store.functions import labels_are_by_value
from adaptive_engine.store.tables import labels

# What is counted of each label and of each value, entry by entry of the index.
MOST_COUNTED = 10_000
# What is read of a label where no index has its values.
MOST_READ = 20_000
USAGE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ValueUsage:
    value: str
    count: int
    exact: bool
    """Whether there are no more than were counted."""
    last_used: int
    """When the newest interaction with it was created, in epoch ms."""


@dataclass(frozen=True, slots=True)
class LabelUsage:
    """One key. `values` are the first ones in their order, with `more_values` when there are others."""

    key: str
    count: int
    exact: bool
    last_used: int | None
    """None when not all values were looked at."""
    values: tuple[ValueUsage, ...]
    more_values: bool


def usage(
    connection: Connection, project_id: UUID, *, keys: int, values: int, key: str | None = None
) -> tuple[list[LabelUsage], bool]:
    """At most so many keys, in order, each with at most so many values; and whether there are more keys.

    Of one key only, where it is given.
    """
    own = labels.c.project_id == project_id
    if key is not None:
        named = connection.scalar(sa.select(labels.c.key).where(own, labels.c.key == key).limit(1))
        return ([] if named is None else [_of_key(connection, project_id, key, values)]), False
    found: list[LabelUsage] = []
    begun = time.perf_counter()
    last = ""
    while True:
        # From one key to the next through the index: what lies between is not read.
        upcoming = connection.scalar(sa.select(sa.func.min(labels.c.key)).where(own, labels.c.key > last))
        if upcoming is None:
            return found, False
        if len(found) == keys or time.perf_counter() - begun > USAGE_SECONDS:
            return found, True
        found.append(_of_key(connection, project_id, upcoming, values))
        last = upcoming


def _of_key(connection: Connection, project_id: UUID, key: str, most: int) -> LabelUsage:
    own = (labels.c.project_id == project_id, labels.c.key == key)
    if not labels_are_by_value(connection):
        return _of_newest(connection, own, key, most)
    found: list[ValueUsage] = []
    following = sa.select(sa.func.min(labels.c.value)).where(*own)
    upcoming = connection.scalar(following)
    while upcoming is not None and len(found) < most:
        one = (*own, labels.c.value == upcoming)
        count, exact = _count(connection, *one)
        newest = connection.execute(sa.select(sa.func.max(labels.c.created_at)).where(*one)).scalar_one()
        found.append(ValueUsage(upcoming, count, exact, newest))
        upcoming = connection.scalar(following.where(labels.c.value > upcoming))
    more = upcoming is not None
    last_used = None if more else max(value.last_used for value in found)
    return LabelUsage(key, *_count(connection, *own), last_used, tuple(found), more)


def _of_newest(connection: Connection, own: tuple[sa.ColumnElement[bool], ...], key: str, most: int) -> LabelUsage:
    """What the newest interactions with the key say: its index has them in that order, and no values."""
    newest = sa.select(labels.c.value, labels.c.created_at).where(*own).order_by(labels.c.created_at.desc())
    read = newest.limit(MOST_READ + 1).subquery()
    query = sa.select(read.c.value, sa.func.count(), sa.func.max(read.c.created_at)).group_by(read.c.value)
    rows = [tuple(row) for row in connection.execute(query.order_by(read.c.value))]
    all_read = sum(times for _, times, _ in rows) <= MOST_READ
    found = tuple(
        ValueUsage(value, min(times, MOST_COUNTED), all_read and times <= MOST_COUNTED, last_used)
        for value, times, last_used in rows[:most]
    )
    more = len(rows) > most or not all_read
    last_used = None if more else max(each.last_used for each in found)
    return LabelUsage(key, *_count(connection, *own), last_used, found, more)


def _count(connection: Connection, *conditions: sa.ColumnElement[bool]) -> tuple[int, bool]:
    some = sa.select(sa.literal(1)).select_from(labels).where(*conditions).limit(MOST_COUNTED + 1).subquery()
    count = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return min(count, MOST_COUNTED), count <= MOST_COUNTED
