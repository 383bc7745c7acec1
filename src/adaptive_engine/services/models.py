"""Registering models and attaching them to projects."""

from __future__ import annotations

from adaptive_engine.errors import NotFound
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.store import Connection, deployments, models, projects
from adaptive_engine.types import Deployment, Model, Project, now_ms, uuid7

DEFAULT_PROJECT = "default"


def register(connection: Connection, directory: ModelDirectory) -> Model:
    """Make an imported model known to servers on this data directory; one that is known stays as it is."""
    known = models.get_by_key(connection, directory.key)
    if known is not None:
        return known
    model = Model(
        id=uuid7(),
        key=directory.key,
        name=directory.name,
        provider="internal",
        capabilities=directory.capabilities,
        context_length=directory.context_length,
        created_at=now_ms(),
    )
    models.create(connection, model)
    return model


def deploy(connection: Connection, project_key: str, model_key: str, *, make_default: bool = False) -> Deployment:
    """Attach a registered model to a project; attaching it again changes nothing. The first one is the default.

    Raises NotFound for an unknown project or model.
    """
    project = projects.get_by_key(connection, project_key)
    if project is None:
        raise NotFound(f"project '{project_key}' does not exist", param="project")
    model = models.get_by_key(connection, model_key)
    if model is None:
        raise NotFound(f"model '{model_key}' is not registered; import it first", param="model")
    deployment = deployments.get(connection, project.id, model_key)
    if deployment is None:
        is_first = deployments.get_default(connection, project.id) is None
        deployment = Deployment(uuid7(), project, model, is_default=is_first, online=True, created_at=now_ms())
        deployments.create(connection, deployment)
    if make_default and not deployment.is_default:
        deployments.set_default(connection, project.id, model_key)
    return deployments.get(connection, project.id, model_key) or deployment


def ensure_default_project(connection: Connection) -> Project:
    """The project every installation has."""
    known = projects.get_by_key(connection, DEFAULT_PROJECT)
    if known is not None:
        return known
    project = Project(uuid7(), DEFAULT_PROJECT, "Default", "Made at the first start.", now_ms())
    projects.create(connection, project)
    return project
