from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from adaptive_engine.permissions import ROLES
from adaptive_engine.services import projects, teams
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.services.metrics import register
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Connection, Database
from adaptive_engine.types import Metric, Principal, Project, uuid7
from adaptive_engine.wire.projects import ProjectCreate, ProjectSettings, ProjectUpdate
from stores import open_store


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = open_store(tmp_path / "store.db")
    yield database
    database.close()


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.write() as connection:
        teams.ensure_first_ones(connection)
        yield connection


@pytest.mark.parametrize(
    ("given", "key", "name"),
    [
        (ProjectCreate(key="Web-Shop_2.0"), "Web-Shop_2.0", "Web-Shop_2.0"),
        (ProjectCreate(name="Kundenservice Köln / A&B"), "kundenservice-koln-a-b", "Kundenservice Köln / A&B"),
        (ProjectCreate(key="a", name="A"), "a", "A"),
        (ProjectCreate(name="x" * 100), "x" * 64, "x" * 100),
    ],
)
def test_keys_and_names(connection: Connection, given: ProjectCreate, key: str, name: str) -> None:
    project = projects.create(connection, OPERATOR, given)
    assert (project.key, project.name, project.description) == (key, name, "")
    assert projects.find(connection, project.id) == project


_UUID = UUID("01a2031c-d951-72a0-9ea6-f33df08d2201")


@pytest.mark.parametrize("key", ["", "a/b", "-a", "a b", "ä", "x" * 65, "new", "ALL", "a\n", str(_UUID), _UUID.hex])
def test_keys_that_cannot_be(connection: Connection, key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        projects.create(connection, OPERATOR, ProjectCreate(key=key))
    assert caught.value.param == "key"


@pytest.mark.parametrize("given", [ProjectCreate(), ProjectCreate(name="日本語"), ProjectCreate(name="New")])
def test_names_of_which_no_key_can_be_made(connection: Connection, given: ProjectCreate) -> None:
    with pytest.raises(InvalidRequest) as caught:
        projects.create(connection, OPERATOR, given)
    assert caught.value.param == "key"


def test_a_key_is_taken_once_and_stays_taken(connection: Connection) -> None:
    project = projects.create(connection, OPERATOR, ProjectCreate(key="a"))
    with pytest.raises(Conflict, match=r"exists already\. Choose another key") as caught:
        projects.create(connection, OPERATOR, ProjectCreate(name="A"))
    assert (caught.value.code, caught.value.param) == ("project_exists", "key")
    projects.archive(connection, project.id)
    with pytest.raises(Conflict, match="It is archived: unarchive it"):
        projects.create(connection, OPERATOR, ProjectCreate(key="a"))
    with pytest.raises(Conflict) as caught:
        projects.create(connection, Principal("other", frozenset({"project:create"})), ProjectCreate(key="a"))
    assert "archived" not in caught.value.message


def test_what_is_not_given_stays(connection: Connection) -> None:
    project = projects.create(connection, OPERATOR, ProjectCreate(key="a", name="A", description="first"))
    register(connection, Metric(uuid7(), project.id, "ok", "ok", "BOOL", "HIGHER_IS_BETTER", "", None, 0))
    metric = ProjectSettings(default_metric="ok")
    assert projects.update(connection, project.id, ProjectUpdate(settings=metric)).settings == {"default_metric": "ok"}
    changed = projects.update(connection, project.id, ProjectUpdate(name="B", settings=ProjectSettings()))
    assert (changed.name, changed.description, changed.settings) == ("B", "first", {"default_metric": "ok"})
    none = ProjectUpdate(description="", settings=ProjectSettings(default_metric=None))
    assert projects.update(connection, project.id, none).settings == {}
    assert projects.find(connection, project.id).description == ""
    with pytest.raises(NotFound) as caught:
        projects.update(connection, project.id, ProjectUpdate(settings=ProjectSettings(default_metric="none")))
    assert caught.value.param == "settings.default_metric"


def test_archiving_twice_keeps_the_first_time(connection: Connection) -> None:
    project = projects.create(connection, OPERATOR, ProjectCreate(key="a"))
    archived = projects.archive(connection, project.id)
    assert archived.archived
    assert projects.archive(connection, project.id) == archived
    assert projects.unarchive(connection, project.id) == project
    with pytest.raises(NotFound):
        projects.archive(connection, uuid7())


class TestRouting:
    @pytest.fixture
    def archived(self, database: Database) -> Project:
        with database.write() as connection:
            teams.ensure_first_ones(connection)
            project = projects.create(connection, OPERATOR, ProjectCreate(key="old"))
            return projects.archive(connection, project.id)

    def test_an_archived_project_is_there_to_be_read(self, database: Database, archived: Project) -> None:
        routing, admin = Routing(database), Principal("k", ROLES["admin"])
        for needs in ("project:read", "interaction:read", "interaction:delete", "project:archive", "project:share"):
            assert routing.project(admin, "old", needs=needs) == archived
            assert archived in routing.projects(admin, needs=needs)
        for needs in ("completion:create", "model:deploy", "score:create", "metric:manage", "project:update"):
            assert archived not in routing.projects(admin, needs=needs)
            with pytest.raises(Conflict, match="adaptive projects unarchive old") as caught:
                routing.project(admin, str(archived.id), needs=needs)
            assert caught.value.code == "project_archived"
        assert routing.deployments(admin) == []

    def test_only_who_may_see_it_learns_that_it_is_archived(self, database: Database, archived: Project) -> None:
        routing = Routing(database)
        reader = Principal("k", in_projects={archived.id: frozenset({"project:read"})})
        with pytest.raises(PermissionDenied):
            routing.deployment(reader, "old")
        with pytest.raises(NotFound, match="does not exist, or this key may not use it") as caught:
            routing.deployment(Principal("k"), "old")
        assert caught.value.code == "project_not_found"
