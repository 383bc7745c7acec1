"""Models and projects: registering, attaching, taking offline, configuring. What a running server makes of it is in
`lifecycle.py`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from adaptive_engine.errors import Conflict, InvalidRequest, NotFound
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.registry.vllm import VllmModel
from adaptive_engine.store import Connection, deployments, models, projects
from adaptive_engine.types import ComputeConfig, Deployment, Model, Project, now_ms, uuid7
from adaptive_engine.wire.models import ModelSettings

DEFAULT_PROJECT = "default"


def register(connection: Connection, directory: ModelDirectory) -> Model:
    """Make an imported model known to servers on this data directory; one that is known stays as it is."""
    return _register(connection, directory, "internal")


def register_vllm(connection: Connection, imported: VllmModel) -> Model:
    """The same for a model that vLLM runs; of one that is known, what its import says now. Raises Conflict when the key
    belongs to another model.
    """
    model = _register(connection, imported, "vllm")
    if model.in_vllm:
        models.set_abilities(connection, model.key, imported.capabilities, imported.context_length)
    else:
        raise Conflict(
            f"The key '{imported.key}' belongs to another model, of provider '{model.provider}'; choose another key.",
            param="key",
        )
    return find(connection, model.key)


def _register(connection: Connection, directory: ModelDirectory | VllmModel, provider: str) -> Model:
    known = models.get_by_key(connection, directory.key)
    if known is not None:
        return known
    model = Model(
        id=uuid7(),
        key=directory.key,
        name=directory.name,
        provider=provider,
        capabilities=directory.capabilities,
        context_length=directory.context_length,
        created_at=now_ms(),
    )
    models.create(connection, model)
    return model


def find(connection: Connection, model_key: str) -> Model:
    """Raises NotFound."""
    model = models.get_by_key(connection, model_key)
    if model is None:
        raise NotFound(
            f"Model '{model_key}' is not registered; import it first with `adaptive models import`.",
            code="model_not_found",
            param="model",
        )
    return model


def attach(connection: Connection, project_key: str, model_key: str, *, online: bool = True) -> Deployment:
    """Make a registered model one of a project's; one that is attached stays as it is. The first one is the default.

    Raises NotFound for an unknown or archived project and an unknown model.
    """
    project = projects.get_by_key(connection, project_key)
    if project is None:
        raise NotFound(f"Project '{project_key}' does not exist.", code="project_not_found", param="project")
    model = find(connection, model_key)
    deployment = deployments.get(connection, project.id, model_key)
    if deployment is None:
        is_first = deployments.get_default(connection, project.id) is None
        deployment = Deployment(uuid7(), project, model, is_default=is_first, online=online, created_at=now_ms())
        deployments.create(connection, deployment)
    return deployment


def deploy(connection: Connection, project_key: str, model_key: str, *, make_default: bool = False) -> Deployment:
    """Attach a model where it is not, and let it answer there. Raises NotFound for an unknown project or model."""
    deployment = attach(connection, project_key, model_key)
    return update(connection, deployment, online=True, make_default=make_default)


def update(
    connection: Connection,
    deployment: Deployment,
    *,
    online: bool | None = None,
    make_default: bool = False,
    settings: ModelSettings | None = None,
) -> Deployment:
    """Let a project's model answer or not, make it the default, or change its settings; None leaves it.

    `model_settings.check` says before whether the settings can be.
    """
    if online is not None:
        deployments.set_online(connection, [deployment.id], online)
    if make_default and not deployment.is_default:
        deployments.set_default(connection, deployment.project.id, deployment.model.key)
    if settings is not None:
        _require_fallbacks(connection, deployment, settings.fallbacks or [])
        deployments.set_settings(connection, deployment.id, merged(deployment.settings, settings))
    return find_deployment(connection, deployment.project.key, deployment.model.key)


def _require_fallbacks(connection: Connection, deployment: Deployment, keys: list[str]) -> None:
    """Raises InvalidRequest for one that is not attached to the project, or is the model itself."""
    attached = {each.model.key for each in deployments.list_for_project(connection, deployment.project.id)}
    for at, key in enumerate(keys):
        if key == deployment.model.key or key not in attached or key in keys[:at]:
            others = ", ".join(f"'{other}'" for other in sorted(attached - {deployment.model.key})) or "none"
            raise InvalidRequest(
                f"'{key}' is no other model of project '{deployment.project.key}', named once. There are: {others}.",
                param=f"settings.fallbacks[{at}]",
            )


def merged(stored: dict[str, Any], change: ModelSettings) -> dict[str, Any]:
    """The settings of a deployment after a change: absent fields stay, null removes."""
    given = change.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return {name: value for name, value in {**stored, **given}.items() if value is not None}


def detach(connection: Connection, deployment: Deployment, *, force: bool = False) -> None:
    """Take a model out of a project. Raises Conflict for the default of one that has others, unless `force` is given:
    requests that name no model would not be answered any more.
    """
    attached = deployments.list_for_project(connection, deployment.project.id)
    others = [other.model.key for other in attached if other.id != deployment.id]
    if deployment.is_default and others and not force:
        raise Conflict(
            f"Model '{deployment.model.key}' is the default of project '{deployment.project.key}'. Make another its "
            f"default first ({', '.join(others)}), or detach it with force to leave the project without one.",
            code="default_model",
            param="force",
        )
    deployments.delete(connection, deployment.id)


def find_deployment(connection: Connection, project_key: str, model_key: str) -> Deployment:
    """Raises NotFound."""
    for deployment in deployments.list_for_model(connection, find(connection, model_key).key):
        if deployment.project.key == project_key:
            return deployment
    raise NotFound(
        f"Model '{model_key}' is not deployed in project '{project_key}'. To attach it: "
        f"adaptive models deploy {model_key} --project {project_key}",
        code="model_not_found",
        param="model",
    )


def find_attached(connection: Connection, project_id: UUID, id_or_key: str, param: str) -> Deployment:
    """One of a project's models by its id or key, or by the id of its deployment. Raises NotFound."""
    attached = deployments.list_for_project(connection, project_id)
    for deployment in attached:
        if id_or_key in (deployment.model.key, str(deployment.model.id), str(deployment.id)):
            return deployment
    names = ", ".join(f"'{deployment.model.key}'" for deployment in attached) or "none"
    raise NotFound(f"Model '{id_or_key}' is not attached here. Attached: {names}.", code="model_not_found", param=param)


def terminate(connection: Connection, model_key: str, *, force: bool = False) -> None:
    """Let a model answer in no project any more. Raises NotFound, or Conflict when several want it without `force`."""
    online = [d for d in deployments.list_for_model(connection, find(connection, model_key).key) if d.online]
    if len(online) > 1 and not force:
        names = ", ".join(f"'{deployment.project.key}'" for deployment in online)
        raise Conflict(
            f"Model '{model_key}' is online in {len(online)} projects: {names}. Terminate it with force to take it "
            "from all of them, or take it offline in one.",
            code="model_in_use",
            param="force",
        )
    deployments.set_online(connection, [deployment.id for deployment in online], False)


def configure(connection: Connection, model_key: str, config: ComputeConfig, *, kv_cache_len: int | None) -> Model:
    """Store how a model is run from its next load on. `kv_cache_len` is the server's setting, where that is known.

    Raises NotFound, Conflict for an external model, or InvalidRequest for lengths that the model or its cache does not
    hold.
    """
    model = find(connection, model_key)
    if model.external is not None:
        raise Conflict(
            f"Model '{model_key}' runs at its provider: there is no KV cache here to configure.",
            code="model_external",
            param="compute_config",
        )
    wanted, cache = config.max_seq_len, config.kv_cache_len or kv_cache_len
    if model.in_vllm:
        if config.kv_cache_len is not None:
            raise InvalidRequest(
                f"vLLM chooses the KV cache of model '{model_key}' itself, by the memory that it is given: import the "
                "model again with -- --gpu-memory-utilization 0.8, or --kv-cache-memory-bytes.",
                param="compute_config.kv_cache_len",
            )
        cache = None
    if wanted is not None and 0 < model.context_length < wanted:
        raise InvalidRequest(
            f"max_seq_len {wanted} is more than the {model.context_length} tokens that model '{model_key}' was trained "
            "for.",
            param="compute_config.max_seq_len",
        )
    if wanted is not None and cache is not None and wanted > cache:
        raise InvalidRequest(
            f"max_seq_len {wanted} does not fit into a KV cache of {cache} tokens. Raise kv_cache_len too.",
            param="compute_config.max_seq_len",
        )
    models.set_compute_config(connection, model_key, config)
    return find(connection, model_key)


def ensure_default_project(connection: Connection) -> Project:
    """The project every installation has."""
    known = projects.get_by_key(connection, DEFAULT_PROJECT, archived=True)
    if known is not None:
        return known
    project = Project(uuid7(), DEFAULT_PROJECT, "Default", "Made at the first start.", now_ms())
    projects.create(connection, project)
    return project


def provide_default(connection: Connection, directory: ModelDirectory) -> None:
    """Have the default project, and in it the default model: when that is new, or when the project has none at all.

    Otherwise what was detached, and a project that was archived, stay as they are.
    """
    project = ensure_default_project(connection)
    is_new = models.get_by_key(connection, directory.key) is None
    model = register(connection, directory)
    if not project.archived and (is_new or not deployments.list_for_project(connection, project.id)):
        attach(connection, project.key, model.key)
