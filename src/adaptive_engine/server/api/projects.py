"""/api/v1/projects."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from adaptive_engine.permissions import PERMISSIONS
from adaptive_engine.server.api.parameters import known_query
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import PrincipalDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.types import Principal, Project
from adaptive_engine.wire import projects as wire

router = APIRouter(prefix="/projects")


@router.post("", status_code=201, openapi_extra=body_of(wire.ProjectCreate))
async def create_project(request: Request, services: ServicesDep, principal: PrincipalDep) -> wire.Project:
    """Create a project. Its key is what requests name; without one it is made from the name."""
    body = await read_body(request, wire.ProjectCreate)
    return _to_wire(await services.projects.create(principal, body), principal)


@router.get("", dependencies=[Depends(known_query)])
async def list_projects(services: ServicesDep, principal: PrincipalDep, archived: bool = False) -> wire.ProjectList:
    """The projects that the key may see, by key: those in use, or with `archived` those that are not."""
    found = [project for project in services.routing.projects(principal) if project.archived == archived]
    return wire.ProjectList(data=[_to_wire(project, principal) for project in found])


@router.get("/{project}")
async def get_project(services: ServicesDep, principal: PrincipalDep, project: str) -> wire.Project:
    """One project by key or id, archived or not."""
    return _to_wire(services.routing.project(principal, project), principal)


@router.patch("/{project}", openapi_extra=body_of(wire.ProjectUpdate))
async def update_project(
    request: Request, services: ServicesDep, principal: PrincipalDep, project: str
) -> wire.Project:
    """Change a project's name, description or settings."""
    body = await read_body(request, wire.ProjectUpdate)
    found = services.routing.project(principal, project, needs="project:update")
    return _to_wire(await services.projects.update(found.id, body), principal)


@router.post("/{project}/archive")
async def archive_project(services: ServicesDep, principal: PrincipalDep, project: str) -> wire.Project:
    """Refuse requests to a project and unload what only it wants. Everything that is stored stays readable."""
    found = services.routing.project(principal, project, needs="project:archive")
    return _to_wire(await services.projects.archive(found.id), principal)


@router.post("/{project}/unarchive")
async def unarchive_project(services: ServicesDep, principal: PrincipalDep, project: str) -> wire.Project:
    """Bring an archived project back, with its models."""
    found = services.routing.project(principal, project, needs="project:archive")
    return _to_wire(await services.projects.unarchive(found.id), principal)


def _to_wire(project: Project, principal: Principal) -> wire.Project:
    return wire.Project(
        id=project.id,
        key=project.key,
        name=project.name,
        description=project.description,
        settings=wire.ProjectSettings(**project.settings),
        permissions=[p for p in PERMISSIONS if not p.startswith("admin:") and principal.may(p, project.id)],
        created_at=from_ms(project.created_at),
        archived_at=from_ms(project.archived_at),
    )
