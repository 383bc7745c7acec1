from dataclasses import replace

import pytest

from adaptive_engine.errors import Conflict, NotFound
from adaptive_engine.store import Database, deployments, models, projects
from adaptive_engine.types import Deployment, Model, Project, uuid7


@pytest.fixture
def other(database: Database) -> Model:
    other = Model(uuid7(), "tiny", "Tiny", "internal", (), 128, 0)
    with database.write() as connection:
        models.create(connection, other)
    return other


def test_create_and_find(database: Database, project: Project, model: Model, other: Model) -> None:
    first = Deployment(uuid7(), project, model, True, True, 5, {"system_prompt": "Be kind."})
    second = Deployment(uuid7(), project, other, False, False, 6)
    with database.write() as connection:
        deployments.create(connection, second)
        deployments.create(connection, first)
        assert deployments.list_all(connection) == [first, second]
        assert deployments.get(connection, project.id, "tiny") == second
        assert deployments.get(connection, project.id, "none") is None
        assert deployments.get_default(connection, project.id) == first


def test_one_default_per_project(database: Database, project: Project, model: Model, other: Model) -> None:
    with database.write() as connection:
        deployments.create(connection, Deployment(uuid7(), project, model, True, True, 0))
    with pytest.raises(Conflict, match="another default"), database.write() as connection:
        deployments.create(connection, Deployment(uuid7(), project, other, True, True, 0))
    with database.write() as connection:
        deployments.create(connection, Deployment(uuid7(), project, other, False, True, 0))
        deployments.set_default(connection, project.id, "tiny")
        assert [(d.model.key, d.is_default) for d in deployments.list_all(connection)] == [
            ("smollm2", False),
            ("tiny", True),
        ]
        with pytest.raises(NotFound, match="unknown"):
            deployments.set_default(connection, project.id, "unknown")
        default = deployments.get_default(connection, project.id)
        assert default is not None
        assert default.model == other


def test_a_model_is_attached_once(database: Database, project: Project, model: Model) -> None:
    with database.write() as connection:
        deployments.create(connection, Deployment(uuid7(), project, model, False, True, 0))
    with pytest.raises(Conflict, match="deployed already"), database.write() as connection:
        deployments.create(connection, Deployment(uuid7(), project, model, False, True, 0))


def test_what_projects_want_of_a_model(database: Database, project: Project, model: Model, other: Model) -> None:
    attached = [Deployment(uuid7(), project, which, False, True, 0) for which in (model, other)]
    with database.write() as connection:
        for deployment in attached:
            deployments.create(connection, deployment)
        deployments.set_online(connection, [attached[0].id], False)
        assert [d.online for d in deployments.list_for_model(connection, model.key)] == [False]
        assert [d.online for d in deployments.list_for_model(connection, other.key)] == [True]
        assert deployments.list_for_model(connection, "nobody") == []


def test_change_and_detach(database: Database, project: Project, model: Model, other: Model) -> None:
    kept, gone = (Deployment(uuid7(), project, which, False, True, 0) for which in (model, other))
    with database.write() as connection:
        for deployment in (gone, kept):
            deployments.create(connection, deployment)
        assert deployments.list_for_project(connection, project.id) == [kept, gone]
        deployments.set_settings(connection, kept.id, {"stop": ["\0"], "seed": 2**53})
        deployments.delete(connection, gone.id)
        (found,) = deployments.list_for_project(connection, project.id)
        assert found.settings == {"stop": ["\0"], "seed": 2**53}
        assert models.get_by_key(connection, "tiny") == other


def test_those_of_an_archived_project_come_back_with_it(database: Database, project: Project, model: Model) -> None:
    deployment = Deployment(uuid7(), project, model, True, True, 0)
    with database.write() as connection:
        deployments.create(connection, deployment)
        projects.update(connection, replace(project, archived_at=1))
        assert deployments.list_all(connection) == deployments.list_for_model(connection, model.key) == []
        projects.update(connection, project)
        assert deployments.list_all(connection) == [deployment]
