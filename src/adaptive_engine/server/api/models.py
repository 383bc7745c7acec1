"""/api/v1/admin/models: the models of this server, for those who run it."""

from __future__ import annotations

import dataclasses

from fastapi import APIRouter, Request

from adaptive_engine.providers import registry
from adaptive_engine.server.bodies import body_of, read_body
from adaptive_engine.server.context import AdminDep, ServicesDep
from adaptive_engine.server.times import from_ms
from adaptive_engine.services.lifecycle import ModelOverview
from adaptive_engine.types import ComputeConfig, Deployment, Model, Principal, tags_of
from adaptive_engine.wire import models as wire
from adaptive_engine.wire.external_models import ExternalModel, Prices

router = APIRouter(prefix="/admin/models")


@router.get("")
async def list_registered_models(services: ServicesDep, admin: AdminDep) -> wire.RegisteredModelList:
    """Every model that was imported, deployed or not."""
    return wire.RegisteredModelList(data=[to_wire(overview, admin) for overview in await services.lifecycle.list()])


@router.get("/{key}")
async def get_registered_model(services: ServicesDep, admin: AdminDep, key: str) -> wire.Model:
    """One model: state, memory and settings."""
    return to_wire(await services.lifecycle.get(key), admin)


@router.patch("/{key}", openapi_extra=body_of(wire.ModelUpdate))
async def update_model(request: Request, services: ServicesDep, admin: AdminDep, key: str) -> wire.Model:
    """Change a model's own settings. They take effect when it is loaded the next time."""
    given = (await read_body(request, wire.ModelUpdate)).compute_config

    def change(config: ComputeConfig) -> ComputeConfig:
        return dataclasses.replace(config, **given.model_dump(exclude_unset=True))

    await services.lifecycle.configure(key, change)
    return to_wire(await services.lifecycle.get(key), admin)


@router.post("/{key}/terminate", openapi_extra=body_of(wire.ModelTerminate, required=False))
async def terminate_model(request: Request, services: ServicesDep, admin: AdminDep, key: str) -> wire.Model:
    """Take a model out of memory for all projects. Requests that it answers end with an error."""
    body = await read_body(request, wire.ModelTerminate, required=False)
    await services.lifecycle.terminate(key, force=body.force)
    return to_wire(await services.lifecycle.get(key), admin)


def to_wire(overview: ModelOverview, principal: Principal) -> wire.Model:
    """As far as the caller may see it."""
    model, status = overview.model, overview.status
    return wire.Model(
        id=model.id,
        key=model.key,
        name=model.name,
        provider=model.provider,
        capabilities=list(model.capabilities),
        tags=tags_of(model.capabilities),
        context_length=model.context_length or None,
        created_at=from_ms(model.created_at),
        state=status.state,
        reason=status.reason,
        memory=wire.ModelMemory(**dataclasses.asdict(status.memory)) if status.memory else None,
        compute_config=_config(model.compute_config),
        active_config=_config(status.active) if status.active else None,
        external=_external(model) if model.external and principal.may("admin:manage_models") else None,
        reload_needed=overview.reload_needed,
        deployments=[
            _deployment(deployment, principal)
            for deployment in overview.deployments
            if principal.may("project:read", deployment.project.id)
        ],
    )


def _external(model: Model) -> ExternalModel:
    known = model.external
    assert known is not None
    return ExternalModel(
        external_model_id=known.external_model_id,
        endpoint=known.endpoint,
        has_api_key=known.sealed_key is not None,
        extra_params=known.extra_params,
        prices=Prices(**dataclasses.asdict(known.prices)) if known.prices else None,
        profile=dataclasses.asdict(registry.profile(model.provider, known)),
    )


def _config(config: ComputeConfig) -> wire.ModelComputeConfig:
    return wire.ModelComputeConfig(kv_cache_len=config.kv_cache_len, max_seq_len=config.max_seq_len)


def _deployment(deployment: Deployment, principal: Principal) -> wire.ModelDeployment:
    # Who reads interactions sees the system prompt there anyway; who only sends requests need not.
    visible = any(principal.may(needed, deployment.project.id) for needed in ("model:deploy", "interaction:read"))
    return wire.ModelDeployment(
        id=deployment.id,
        project=deployment.project.key,
        is_default=deployment.is_default,
        desired_online=deployment.online,
        settings=wire.ModelSettings.model_validate(deployment.settings) if visible else None,
        created_at=from_ms(deployment.created_at),
    )
