from __future__ import annotations

from typing import Any

import pytest

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services import interactions
from adaptive_engine.store import Database
from unit.services.platform import fill, store_answer

MANY = {f"l{number}": "x" for number in range(70)}


def changed(database: Database, before: dict[str, str], **change: Any) -> dict[str, str]:
    project = fill(database)
    row = store_answer(database, project, labels=before)
    with database.write() as connection:
        stored = interactions.find(connection, [project.id], row.id)
        interactions.change_labels(connection, stored, **{"replace": None, "add": {}, "remove": [], **change})
        return interactions.find(connection, [project.id], row.id).interaction.labels


def test_who_has_too_many_labels_may_have_fewer(database: Database) -> None:
    assert changed(database, MANY, remove=["l0"]) == {key: "x" for key in MANY if key != "l0"}


def test_who_has_too_many_labels_may_change_one(database: Database) -> None:
    assert changed(database, MANY, add={"l0": "y"})["l0"] == "y"


def test_nobody_gets_more_labels_than_there_may_be(database: Database) -> None:
    with pytest.raises(InvalidRequest, match="would have 71 labels, and may have 64") as refusal:
        changed(database, MANY, add={"more": "x"})
    assert refusal.value.param == "add"
