"""Models, and model services: models as a project has them."""

from __future__ import annotations

import dataclasses
from typing import Any

from ariadne import MutationType, ObjectType, QueryType

from adaptive_engine.errors import AdaptiveError, InvalidRequest
from adaptive_engine.server.errors import as_invalid_request
from adaptive_engine.server.graphql.context import Context, Info
from adaptive_engine.server.graphql.fields import project_name
from adaptive_engine.services import models
from adaptive_engine.services.local_models import ModelStatus
from adaptive_engine.store import Connection, deployments
from adaptive_engine.store import models as store
from adaptive_engine.types import ComputeConfig, Deployment, Model, Project
from adaptive_engine.wire.external_models import ExternalModelCreate
from adaptive_engine.wire.models import ModelComputeConfig, ModelSettings

query = QueryType()
mutation = MutationType()
current_mutation = MutationType()
use_case_mutation = MutationType()
model = ObjectType("Model")
model_service = ObjectType("ModelService")
deploy_result = ObjectType("DeployModelResult")

for either in (model, model_service):
    either.set_alias("createdAt", "created_at")
model_service.set_alias("isDefault", "is_default")
model_service.set_alias("desiredOnline", "online")
deploy_result.set_alias("modelService", "model_service")

_PROVIDERS = {
    "internal": "HARMONY",
    "vllm": "HARMONY",
    "openai": "OPEN_AI",
    "openai_compatible": "LEGACY_OPEN_AI",
    "anthropic_compatible": "ANTHROPIC",
    "fake": "LEGACY_OPEN_AI",
}
# The vendor's name of a provider: ours, and where its data is.
_EXTERNAL = {
    "OPEN_AI": ("openai", "openAI"),
    "LEGACY_OPEN_AI": ("openai_compatible", "legacyOpenAI"),
    "GOOGLE": ("google", "google"),
    "ANTHROPIC": ("anthropic", "anthropic"),
    "AZURE": ("azure", "azure"),
    "NVIDIA": ("openai_compatible", "nvidia"),
}


@query.field("models")
async def list_models(_: Any, info: Info, filter: dict[str, Any]) -> list[Model]:  # noqa: A002
    context = info.context
    return [found for found in await _visible(context) if _passes(context, found, filter)]


@query.field("model")
async def get_model(_: Any, info: Info, idOrKey: str) -> Model | None:
    return next((found for found in await _visible(info.context) if idOrKey in (found.key, str(found.id))), None)


@model.field("online")
async def model_online(found: Model, info: Info) -> str:
    return _status(info.context, found).state


@model.field("error")
async def model_error(found: Model, info: Info) -> str | None:
    status = _status(info.context, found)
    return status.reason if status.state == "ERROR" else None


@model.field("isExternal")
async def model_is_external(found: Model, _: Info) -> bool:
    return found.external is not None


@model.field("providerName")
async def model_provider_name(found: Model, _: Info) -> str:
    return _PROVIDERS.get(found.provider, found.provider.upper())


@model.field("kind")
async def model_kind(found: Model, _: Info) -> str:
    return "Embedding" if "Embedding" in found.capabilities else "Generation"


@model.field("computeConfig")
async def model_compute_config(found: Model, info: Info) -> dict[str, int] | None:
    if found.external is not None:
        return None
    services = info.context.services
    cache = found.compute_config.kv_cache_len or services.settings.engine.kv_cache_len
    if found.in_vllm:
        active = services.backends.vllm.status(found.key).active
        if active is None or active.kv_cache_len is None:
            return None
        cache = active.kv_cache_len
    return {"tp": 1, "kvCacheLen": cache, "maxSeqLen": services.backends.context_length(found)}


@model.field("isAdapter")
@model.field("isTraining")
async def model_never(_: Model, info: Info) -> bool:
    return False


@model.field("projects")
@model.field("useCases")
async def model_projects(found: Model, info: Info, filter: dict[str, Any]) -> list[Project]:  # noqa: A002
    context = info.context
    attached = await context.read(deployments.list_for_model, found.key)
    return [each.project for each in attached if context.principal.may("project:read", each.project.id)]


@model_service.field("key")
async def service_key(found: Deployment, _: Info) -> str:
    return found.model.key


@model_service.field("name")
async def service_name(found: Deployment, _: Info) -> str:
    return found.model.name


@model_service.field("attached")
async def service_attached(_: Deployment, info: Info) -> bool:
    return True


@mutation.field("addExternalModel")
async def add_external_model(_: Any, info: Info, input: dict[str, Any]) -> Model:  # noqa: A002
    info.context.require("admin:manage_models")
    if input.get("description"):
        raise InvalidRequest("Models have no description here; leave it out.", param="description")
    provider, place = _EXTERNAL[input["provider"]]
    data = (input.get("providerData") or {}).get(place)
    if data is None:
        raise InvalidRequest(f"Provider {input['provider']} needs its data.", param=f"providerData.{place}")
    if place == "legacyOpenAI" and data.get("endpoint") is None:
        provider = "openai"
    names = {"apiKey": "api_key", "endpoint": "endpoint", "extraParams": "extra_params"}
    fields = {names[name]: value for name, value in data.items() if name in names and value is not None}
    fields |= {"name": input["name"], "provider": provider, "external_model_id": data["externalModelId"]}
    with as_invalid_request():
        new = ExternalModelCreate.model_validate(fields)
    return (await info.context.services.external_models.add(new)).model


@mutation.field("addModelsToProject")
async def add_models_to_project(_: Any, info: Info, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    context = info.context
    project = context.project(input["project"], needs="model:deploy")
    failures = []
    for name in input["models"]:
        try:
            key = await _key(context, name)
            await context.services.lifecycle.deploy(project, key, online=False)
        except AdaptiveError as error:
            failures.append({"model": name, "reason": error.message})
    return {"success": not failures, "failures": failures}


@mutation.field("removeModelFromProject")
async def remove_model_from_project(_: Any, info: Info, input: dict[str, Any]) -> bool:  # noqa: A002
    context = info.context
    project = context.project(input["project"], needs="model:deploy")
    found = await _attached(context, project, input["model"])
    await context.services.lifecycle.detach(project, found.model.key)
    return True


@current_mutation.field("deployModel")
async def deploy_model(_: Any, info: Info, input: dict[str, Any]) -> dict[str, Any]:  # noqa: A002
    context = info.context
    project = context.project(input["project"], needs="model:deploy")
    warnings = _ignored(input)
    settings = _placement(input)
    key = await _key(context, input["model"])
    notices = await context.services.lifecycle.deploy(project, key, settings=settings)
    if input["wait"]:
        await context.services.lifecycle.until_online(key)
    return {
        "model_service": await _attached(context, project, key),
        "warnings": [*warnings, *(notice.message for notice in notices)],
    }


@use_case_mutation.field("deployModel")
async def deploy_model_everywhere(
    _: Any,
    info: Info,
    idOrKey: str,
    wait: bool,
    placement: dict[str, Any] | None = None,
) -> str:
    """Bring a model online in every project that has it and that the caller may deploy in."""
    context = info.context
    key = await _key(context, idOrKey)
    attached = await context.read(deployments.list_for_model, key)
    allowed = {each.id for each in context.projects(needs="model:deploy")}
    mine = [each for each in attached if each.project.id in allowed]
    if not mine:
        raise InvalidRequest(f"Model '{key}' is attached to none of your use cases. Attach it first.", param="idOrKey")
    for each in mine:
        settings = _placement({"placement": placement})
        await context.services.lifecycle.update(each.project, key, online=True, settings=settings)
    if wait:
        await context.services.lifecycle.until_online(key)
    return f"Model '{key}' is {(await context.services.lifecycle.get(key)).status.state}."


@mutation.field("attachModel")
async def attach_model(_: Any, info: Info, input: dict[str, Any]) -> Deployment:  # noqa: A002
    context = info.context
    project = context.project(input["useCase"], needs="model:deploy")
    key = await _key(context, input["model"])
    if not input["attached"]:
        found = await _attached(context, project, key)
        await context.services.lifecycle.detach(project, key)
        return found
    await context.services.lifecycle.deploy(project, key, settings=_placement(input))
    if input["wait"]:
        await context.services.lifecycle.until_online(key)
    return await _attached(context, project, key)


@mutation.field("updateModelService")
async def update_model_service(_: Any, info: Info, input: dict[str, Any]) -> Deployment:  # noqa: A002
    context = info.context
    project = context.project(project_name(input), needs="model:deploy")
    found = await _attached(context, project, input["modelService"])
    for field in ("name", "systemPromptTemplate", "toolProviders"):
        if input.get(field) is not None:
            raise InvalidRequest(f"{field} cannot be changed here; leave it out.", param=field)
    if input.get("attached") is False:
        await context.services.lifecycle.detach(project, found.model.key)
        return dataclasses.replace(found, online=False, is_default=False)
    if input.get("isDefault") is False and found.is_default:
        raise InvalidRequest("Make another model the default; a project has one.", param="isDefault")
    await context.services.lifecycle.update(
        project,
        found.model.key,
        online=input.get("desiredOnline"),
        make_default=input.get("isDefault") is True,
        settings=_placement(input),
    )
    return await _attached(context, project, found.model.key)


@mutation.field("terminateModel")
async def terminate_model(_: Any, info: Info, idOrKey: str, force: bool) -> str:
    context = info.context
    context.require("admin:manage_models")
    key = await _key(context, idOrKey)
    await context.services.lifecycle.terminate(key, force=force)
    return f"Model '{key}' is out of memory."


@mutation.field("updateModelComputeConfig")
async def update_model_compute_config(
    _: Any,
    info: Info,
    idOrKey: str,
    input: dict[str, Any],  # noqa: A002
) -> Model:
    context = info.context
    context.require("admin:manage_models")
    if input.get("tp") not in (None, 1):
        raise InvalidRequest("Models run on this machine's processors; tp is 1.", param="tp")
    names = {"kvCacheLen": "kv_cache_len", "maxSeqLen": "max_seq_len"}
    given = ModelComputeConfig.model_validate({names[name]: input[name] for name in names if name in input})
    key = await _key(context, idOrKey)

    def change(config: ComputeConfig) -> ComputeConfig:
        return dataclasses.replace(config, **given.model_dump(exclude_unset=True))

    await context.services.lifecycle.configure(key, change)
    return (await context.services.lifecycle.get(key)).model


async def _visible(context: Context) -> list[Model]:
    """Models of the caller's projects; all that are registered, for those who may attach them somewhere."""

    def read(connection: Connection) -> list[Model]:
        registered = store.list_all(connection)
        if context.principal.may_anywhere("model:deploy") or context.principal.may("admin:manage_models"):
            return registered
        projects = {each.id for each in context.projects()}
        attached = {each.model.id for each in deployments.list_all(connection) if each.project.id in projects}
        return [found for found in registered if found.id in attached]

    return await context.read(read)


def _status(context: Context, found: Model) -> ModelStatus:
    services = context.services
    wanted = services.routing.is_wanted(found.key)
    return services.backends.status(found, wanted=wanted)


def _passes(context: Context, found: Model, wanted: dict[str, Any]) -> bool:
    state = _status(context, found).state
    if wanted.get("online") and state not in wanted["online"]:
        return False
    if wanted.get("available") is not None and wanted["available"] is not (state == "ONLINE"):
        return False
    # All of them are: files here, nothing to train, nothing to publish.
    absent = (wanted.get("inStorage") is False, wanted.get("trainable") is True, wanted.get("published") is False)
    if any(absent):
        return False
    kind = "Embedding" if "Embedding" in found.capabilities else "Generation"
    if wanted.get("kind") and kind not in wanted["kind"]:
        return False
    capabilities = wanted.get("capabilities") or {}
    own = set(found.capabilities)
    some, every = capabilities.get("any"), capabilities.get("all")
    return (not some or bool(own & set(some))) and (not every or own >= set(every))


async def _key(context: Context, id_or_key: str) -> str:
    for found in await _visible(context):
        if id_or_key in (found.key, str(found.id)):
            return found.key
    # In the words of the service, whoever asks.
    return (await context.read(models.find, id_or_key)).key


async def _attached(context: Context, project: Project, id_or_key: str) -> Deployment:
    return await context.read(models.find_attached, project.id, id_or_key, param="model")


def _placement(given: dict[str, Any]) -> ModelSettings | None:
    limit = (given.get("placement") or {}).get("maxTtftMs")
    return None if limit is None else ModelSettings(max_ttft_ms=limit)


def _ignored(given: dict[str, Any]) -> list[str]:
    found = []
    if (given.get("placement") or {}).get("computePools"):
        found.append("computePools has no effect: models run on this machine.")
    if given.get("speculativeDecoding"):
        found.append("speculativeDecoding has no effect: the engine drafts tokens by itself where that pays.")
    return found


BINDABLES = (query, mutation, model, model_service, deploy_result)
