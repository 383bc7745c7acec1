from dataclasses import replace

import pytest

from adaptive_engine.errors import Conflict
from adaptive_engine.store import Database, projects
from adaptive_engine.types import Project, uuid7


def test_create_and_find(database: Database, project: Project) -> None:
    with database.write() as connection:
        other = Project(uuid7(), "a", "A\0\ud800", "first", 7)
        projects.create(connection, other)
        assert projects.get_by_key(connection, "support") == project
        assert projects.get_by_key(connection, "nobody") is None
        assert [p.key for p in projects.list_all(connection)] == ["a", "support"]
        assert projects.list_all(connection)[0].name == "A\0\ufffd"


def test_a_key_is_taken_once(database: Database, project: Project) -> None:
    with pytest.raises(Conflict, match="support"), database.write() as connection:
        projects.create(connection, Project(uuid7(), "support", "Again", "", 0))


def test_archived_projects_are_found_when_asked_for(database: Database, project: Project) -> None:
    archived = replace(project, name="Old", archived_at=9, settings={"default_metric": "ok"})
    with database.write() as connection:
        projects.update(connection, archived)
        assert projects.get(connection, project.id) == archived
        assert projects.get_by_key(connection, "support") is None
        assert projects.get_by_key(connection, "support", archived=True) == archived
        assert projects.list_all(connection) == []
        assert projects.list_all(connection, archived=True) == [archived]
        assert projects.get(connection, uuid7()) is None
