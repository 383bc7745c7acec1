"""Whether a store keeps what the journals of its clients say that it promised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from adaptive_engine.store import Database
from adaptive_engine.store.tables import interactions
from faults.journal import acknowledged, digest

_WHOLE = {"complete", "length"}
_COLUMNS = (interactions.c.id, interactions.c.state, interactions.c.completion, interactions.c.finish_reason)


def broken_promises(store: Path | str, journals: Iterable[Path], seen: Mapping[UUID, str]) -> list[str]:
    """What contradicts the journals, in words; nothing does in a good store. `seen` is what clients have of answers,
    also of those whose end they did not see. No request may be running.
    """
    with closing(Database.open(store)) as database, database.read() as connection:
        rows = connection.execute(sa.select(*_COLUMNS)).all()
    found = {row.id: row for row in rows}
    broken = [f"{id_} is there {count} times" for id_, count in Counter(row.id for row in rows).items() if count > 1]
    for path in journals:
        for id_, text in acknowledged(path).items():
            row = found.get(id_)
            if row is None:
                broken.append(f"{id_} was acknowledged and is lost")
            elif row.state not in _WHOLE:
                broken.append(f"{id_} was acknowledged and is {row.state}")
            elif digest(row.completion) != text:
                broken.append(f"{id_} was acknowledged with another text")
    for row in rows:
        if row.state == "pending":
            broken.append(f"{row.id} is still pending")
        if row.state in _WHOLE and (row.finish_reason is None or not row.completion.startswith(seen.get(row.id, ""))):
            broken.append(f"{row.id} is {row.state} and has not the whole answer")
    return broken


def states(store: Path | str) -> dict[str, int]:
    """How many interactions there are in each state."""
    with closing(Database.open(store)) as database, database.read() as connection:
        rows = connection.execute(sa.select(interactions.c.state, sa.func.count()).group_by(interactions.c.state))
        return {state: int(count) for state, count in rows}
