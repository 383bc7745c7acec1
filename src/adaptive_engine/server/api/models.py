"""/api/v1/admin/models: the models of this server, for those who run it."""

from __future__ import annotations

import asyncio
import dataclasses

from fastapi import APIRouter, Request
from starlette.responses import Response

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.api.interactions import from_ms
from adaptive_engine.server.context import AdminDep, ServicesDep
from adaptive_engine.server.errors import error_response, parse
from adaptive_engine.server.openai.chat import require_json
from adaptive_engine.server.sse import STOPPING_ERROR, ClientLeft, until_disconnect
from adaptive_engine.services.lifecycle import ModelOverview
from adaptive_engine.types import ComputeConfig, Deployment
from adaptive_engine.wire import models as wire

router = APIRouter(prefix="/admin/models")

_DEPLOY_BODY = {"required": True, "content": {"application/json": {"schema": wire.ModelDeploy.model_json_schema()}}}
_UPDATE_BODY = {"required": True, "content": {"application/json": {"schema": wire.ModelUpdate.model_json_schema()}}}
_DEPLOYMENT_BODY = {
    "required": True,
    "content": {"application/json": {"schema": wire.DeploymentUpdate.model_json_schema()}},
}
_TERMINATE_BODY = {"content": {"application/json": {"schema": wire.ModelTerminate.model_json_schema()}}}


@router.get("")
async def list_registered_models(services: ServicesDep, _: AdminDep) -> wire.RegisteredModelList:
    """Every model that was imported, deployed or not."""
    return wire.RegisteredModelList(data=[_to_wire(overview) for overview in await services.lifecycle.list()])


@router.get("/{key}")
async def get_registered_model(services: ServicesDep, _: AdminDep, key: str) -> wire.Model:
    """One model: state, memory and settings."""
    return _to_wire(await services.lifecycle.get(key))


@router.patch("/{key}", openapi_extra={"requestBody": _UPDATE_BODY})
async def update_model(request: Request, services: ServicesDep, _: AdminDep, key: str) -> wire.Model:
    """Change a model's own settings. They take effect when it is loaded the next time."""
    require_json(request)
    given = parse(wire.ModelUpdate, await request.body()).compute_config

    def change(config: ComputeConfig) -> ComputeConfig:
        return dataclasses.replace(config, **given.model_dump(exclude_unset=True))

    await services.lifecycle.configure(key, change)
    return _to_wire(await services.lifecycle.get(key))


@router.post(
    "/{key}/deploy",
    response_model=wire.Model,
    responses={202: {"model": wire.Model}},
    openapi_extra={"requestBody": _DEPLOY_BODY},
)
async def deploy_model(request: Request, services: ServicesDep, admin: AdminDep, key: str) -> Response:
    """Attach a model to a project and load it. Answers 202 while it is being loaded; with `wait`, when it is online."""
    require_json(request)
    body = parse(wire.ModelDeploy, await request.body())
    lifecycle = services.lifecycle
    await lifecycle.deploy(services.routing.project(admin, body.project).key, key, make_default=body.make_default)
    if body.wait:
        try:
            await until_disconnect(request.receive, lifecycle.until_online(key))
        except ClientLeft:
            return Response(status_code=499)
        except asyncio.CancelledError:
            return error_response(STOPPING_ERROR)
    overview = await lifecycle.get(key)
    status = 202 if overview.status.state == "PENDING" else 200
    return Response(_to_wire(overview).model_dump_json(), status, media_type="application/json")


@router.patch("/{key}/deployments/{project}", openapi_extra={"requestBody": _DEPLOYMENT_BODY})
async def update_deployment(
    request: Request, services: ServicesDep, admin: AdminDep, key: str, project: str
) -> wire.Model:
    """Switch a model off or on in one project, or make it the project's default."""
    require_json(request)
    body = parse(wire.DeploymentUpdate, await request.body())
    if body.is_default is False:
        raise InvalidRequest("Make another model the default; a project has one.", param="is_default")
    if body.is_default is None and body.desired_online is None:
        raise InvalidRequest("There is nothing to change: send is_default or desired_online.", param="desired_online")
    project_key = services.routing.project(admin, project).key
    await services.lifecycle.update(project_key, key, online=body.desired_online, make_default=body.is_default is True)
    return _to_wire(await services.lifecycle.get(key))


@router.post("/{key}/terminate", openapi_extra={"requestBody": _TERMINATE_BODY})
async def terminate_model(request: Request, services: ServicesDep, _: AdminDep, key: str) -> wire.Model:
    """Take a model out of memory for all projects. Requests that it answers end with an error."""
    require_json(request)
    body = parse(wire.ModelTerminate, await request.body() or b"{}")
    await services.lifecycle.terminate(key, force=body.force)
    return _to_wire(await services.lifecycle.get(key))


def _to_wire(overview: ModelOverview) -> wire.Model:
    model, status = overview.model, overview.status
    return wire.Model(
        id=model.id,
        key=model.key,
        name=model.name,
        provider=model.provider,
        capabilities=list(model.capabilities),
        context_length=model.context_length,
        created_at=from_ms(model.created_at),
        state=status.state,
        reason=status.reason,
        memory=wire.ModelMemory(**dataclasses.asdict(status.memory)) if status.memory else None,
        compute_config=_config(model.compute_config),
        active_config=_config(status.active) if status.active else None,
        reload_needed=overview.reload_needed,
        deployments=[_deployment(deployment) for deployment in overview.deployments],
    )


def _config(config: ComputeConfig) -> wire.ModelComputeConfig:
    return wire.ModelComputeConfig(kv_cache_len=config.kv_cache_len, max_seq_len=config.max_seq_len)


def _deployment(deployment: Deployment) -> wire.ModelDeployment:
    return wire.ModelDeployment(
        project=deployment.project.key, is_default=deployment.is_default, desired_online=deployment.online
    )
