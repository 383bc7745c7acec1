"""How `adaptive models` shows a model: from a running server, from the store, from its directory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from adaptive_engine.registry import ModelDirectory
    from adaptive_engine.types import ComputeConfig, Deployment
    from adaptive_engine.types import Model as RegisteredModel
    from adaptive_engine.wire.external_models import ExternalModel
    from adaptive_engine.wire.models import Model

_SERVERS = "the server's setting"


def show_running(model: Model) -> None:
    from adaptive_engine.services.memory import describe

    typer.echo(f"{model.key}: {model.state}{f'. {model.reason}' if model.reason else ''}")
    typer.echo(f"  tags          {', '.join(model.tags)}")
    if model.external is not None:
        _show_external(model.provider, model.external)
    unset = "vLLM chooses it" if model.provider == "vllm" else _SERVERS
    for name, own in () if model.external else model.compute_config:
        active = getattr(model.active_config, name, None)
        typer.echo(f"  {name:13} {active or own or unset}" + (f" (stored: {own})" if active and own else ""))
    if model.reload_needed:
        typer.echo("  Its settings were changed since it was loaded. Terminate and deploy it to let them take effect.")
    if model.memory is not None:
        parts = f"{describe(model.memory.weights)} of weights, {describe(model.memory.kv_cache)} of KV cache"
        typer.echo(f"  memory        {parts}, {describe(model.memory.kv_cache_used)} of it in use")
    for deployment in model.deployments:
        _show_deployment(deployment.project, deployment.is_default, deployment.desired_online)


def _show_external(provider: str, external: ExternalModel) -> None:
    typer.echo(f"  provider      {provider}, which calls it '{external.external_model_id}'")
    typer.echo(
        f"  endpoint      {external.endpoint or 'its own'}, {'with' if external.has_api_key else 'without'} a key"
    )
    if external.extra_params:
        typer.echo(f"  extra         {json.dumps(external.extra_params)}")
    if (prices := external.prices) is not None:
        cached = "" if prices.cached is None else f", cached {prices.cached:g}"
        typer.echo(
            f"  prices        prompt {prices.prompt:g}, completion {prices.completion:g}{cached} {prices.currency} "
            "of a million tokens"
        )


def external_summary(model: RegisteredModel) -> dict[str, Any]:
    from adaptive_engine.types import tags_of

    assert model.external is not None
    return {
        "key": model.key,
        "name": model.name,
        "provider": model.provider,
        "external_model_id": model.external.external_model_id,
        "endpoint": model.external.endpoint,
        "context_length": model.context_length or None,
        "capabilities": list(model.capabilities),
        "tags": tags_of(model.capabilities),
    }


def show_stored(model: ModelDirectory, config: ComputeConfig, deployments: list[Deployment]) -> None:
    typer.echo(f"{model.key}: {describe_model(model)}. No server was asked.")
    typer.echo(f"  kv_cache_len  {config.kv_cache_len or _SERVERS}")
    typer.echo(f"  max_seq_len   {config.max_seq_len or _SERVERS}")
    for deployment in deployments:
        _show_deployment(deployment.project.key, deployment.is_default, deployment.online)


def _show_deployment(project: str, is_default: bool, online: bool) -> None:
    marks = [mark for mark, holds in (("default", is_default), ("offline", not online)) if holds]
    typer.echo(f"  project       {project}" + (f" ({', '.join(marks)})" if marks else ""))


def describe_model(model: ModelDirectory) -> str:
    from adaptive_engine.types import tags_of

    quantization = model.manifest.quantization or "as exported"
    tags = "".join(f", {tag}" for tag in tags_of(model.capabilities))
    runs = "natively" if model.engine == "native" else "on OpenVINO"
    size = f"{model.size / 1e6:.0f} MB"
    return f"{model.family}, {quantization}, runs {runs}, context {model.context_length}, {size}{tags}"


def summary(model: ModelDirectory) -> dict[str, Any]:
    from adaptive_engine.types import tags_of

    return {
        "key": model.key,
        "name": model.name,
        "family": model.family,
        "quantization": model.manifest.quantization,
        "engine": model.engine,
        "context_length": model.context_length,
        "capabilities": list(model.capabilities),
        "tags": tags_of(model.capabilities),
        "size": model.size,
        "path": str(model.path),
        "created_at": model.manifest.created_at,
    }
