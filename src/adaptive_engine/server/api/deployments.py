"""/api/v1/projects/{project}/models: the models of a project, for those who may deploy there."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from adaptive_engine.errors import InvalidRequest, NotFound
from adaptive_engine.server.api.models import to_wire
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.connections import STOPPING_ERROR, ClientLeft, until_disconnect
from adaptive_engine.server.context import PrincipalDep, Services, ServicesDep
from adaptive_engine.server.errors import as_invalid_request, error_response
from adaptive_engine.types import Notice, Principal, Project
from adaptive_engine.wire import models as wire
from adaptive_engine.wire.chat import Warning as WireWarning

router = APIRouter(prefix="/projects/{project}/models")
# The same under the addresses of the server's models.
admin_router = APIRouter(prefix="/admin/models")


@router.get("")
async def list_models_of_project(
    services: ServicesDep, principal: PrincipalDep, project: str
) -> wire.RegisteredModelList:
    """The models that are attached to a project, online or not."""
    found = services.routing.project(principal, project)
    overviews = await services.lifecycle.list_for_project(found)
    return wire.RegisteredModelList(data=[_of(found, to_wire(overview, principal)) for overview in overviews])


@router.get("/{model}")
async def get_model_of_project(services: ServicesDep, principal: PrincipalDep, project: str, model: str) -> wire.Model:
    """One model of a project: its state, and its settings there."""
    found = services.routing.project(principal, project)
    for overview in await services.lifecycle.list_for_project(found):
        if overview.model.key == model:
            return _of(found, to_wire(overview, principal))
    raise NotFound(f"Model '{model}' is not deployed in project '{found.key}'.", code="model_not_found", param="model")


@router.post(
    "", response_model=wire.Model, responses={202: {"model": wire.Model}}, openapi_extra=body_of(wire.ModelAttach)
)
async def attach_model(request: Request, services: ServicesDep, principal: PrincipalDep, project: str) -> Response:
    """Attach a registered model to a project and load it, or with `desired_online` false only attach it.

    Answers 202 while it is being loaded; with `wait`, when it is online.
    """
    body = await read_body(request, wire.ModelAttach)
    return await _attach(request, services, principal, project, body)


@router.patch("/{model}", openapi_extra=body_of(wire.DeploymentUpdate))
async def update_model_of_project(
    request: Request, services: ServicesDep, principal: PrincipalDep, project: str, model: str
) -> wire.Model:
    """Change a model's settings in one project, switch it off or on there, or make it the project's default."""
    body = await read_body(request, wire.DeploymentUpdate)
    if body.is_default is False:
        raise InvalidRequest("Make another model the default; a project has one.", param="is_default")
    if body.is_default is None and body.desired_online is None and body.settings is None:
        nothing = "There is nothing to change: send settings, is_default or desired_online."
        raise InvalidRequest(nothing, param="desired_online")
    found = services.routing.project(principal, project, needs="model:deploy")
    notices = await services.lifecycle.update(
        found, model, online=body.desired_online, make_default=body.is_default is True, settings=body.settings
    )
    return await _overview(services, principal, found, model, notices)


@router.delete("/{model}")
async def detach_model(
    services: ServicesDep, principal: PrincipalDep, project: str, model: str, force: bool = False
) -> wire.ModelDetached:
    """Take a model out of a project. Its files stay, and so do the interactions it has."""
    found = services.routing.project(principal, project, needs="model:deploy")
    await services.lifecycle.detach(found, model, force=force)
    return wire.ModelDetached(project=found.key, model=model)


@admin_router.post(
    "/{model}/deploy",
    response_model=wire.Model,
    responses={202: {"model": wire.Model}},
    openapi_extra=body_of(wire.ModelDeploy),
)
async def deploy_model(request: Request, services: ServicesDep, principal: PrincipalDep, model: str) -> Response:
    """POST /api/v1/projects/{project}/models by another name."""
    body = await read_body(request, wire.ModelDeploy)
    with as_invalid_request():
        attach = wire.ModelAttach(model=model, wait=body.wait, make_default=body.make_default)
    return await _attach(request, services, principal, body.project, attach)


admin_router.patch("/{model}/deployments/{project}", openapi_extra=body_of(wire.DeploymentUpdate))(
    update_model_of_project
)


async def _attach(
    request: Request, services: Services, principal: Principal, project: str, body: wire.ModelAttach
) -> Response:
    found = services.routing.project(principal, project, needs="model:deploy")
    if body.wait and not body.desired_online:
        raise InvalidRequest("A model that shall stay offline is not waited for: leave out `wait`.", param="wait")
    lifecycle = services.lifecycle
    notices = await lifecycle.deploy(
        found, body.model, online=body.desired_online, make_default=body.make_default, settings=body.settings
    )
    if body.wait:
        try:
            await until_disconnect(request.scope, request.receive, lifecycle.until_online(body.model))
        except ClientLeft:
            return Response(status_code=499)
        except asyncio.CancelledError:
            return error_response(STOPPING_ERROR)
    model = await _overview(services, principal, found, body.model, notices)
    status = 202 if model.state == "PENDING" else 200
    return Response(model.model_dump_json(by_alias=True), status, media_type="application/json")


async def _overview(
    services: Services, principal: Principal, project: Project, model: str, notices: tuple[Notice, ...]
) -> wire.Model:
    found = _of(project, to_wire(await services.lifecycle.get(model), principal))
    found.warnings = [WireWarning(**notice.as_dict()) for notice in notices]
    return found


def _of(project: Project, model: wire.Model) -> wire.Model:
    """The model with its deployment in the project that was asked for before all others."""
    model.deployments.sort(key=lambda deployment: deployment.project != project.key)
    return model
