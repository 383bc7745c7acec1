"""`adaptive models show` and `adaptive models list`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from adaptive_engine.cli import vllm_models
from adaptive_engine.cli.model_views import describe_model, external_summary, show_running, show_stored, summary
from adaptive_engine.cli.options import (
    DataDir,
    Json,
    ModelKey,
    load_settings,
    models_dir,
    open_database,
    resolve_data_dir,
)
from adaptive_engine.cli.output import print_json
from adaptive_engine.cli.running import ApiKey, Url, ask_server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adaptive_engine.types import Model
    from adaptive_engine.wire.models import Model as RegisteredModel


def show(key: ModelKey, data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None, json: Json = False) -> None:
    """Show a model: state, memory and settings from a running server; what is stored where there is none.

    \b
    Example:
      adaptive models show qwen3
    """
    from adaptive_engine.errors import NotFound

    directory = resolve_data_dir(data_dir)
    found = ask_server(url, api_key, directory, lambda client: client.models.list_registered())
    if found is None:
        _show_stored(directory, key, json)
        return
    model = next((model for model in found if model.key == key), None)
    if model is None:
        raise NotFound(f"Model '{key}' is not registered; import it first with `adaptive models import`.")
    if json:
        print_json(model.model_dump(mode="json"))
    else:
        show_running(model)


def list_(data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None, json: Json = False) -> None:
    """List the imported models, and the external ones: those of the data directory, or of a server elsewhere.

    \b
    Examples:
      adaptive models list
      adaptive models list --url https://models.example.com --json
    """
    from adaptive_engine.registry import CorruptModel, ModelDirectory, model_paths
    from adaptive_engine.server.lifespan import running_server

    if url is not None or (data_dir is None and running_server(resolve_data_dir(None)) is None):
        found = ask_server(url, api_key, resolve_data_dir(data_dir), lambda client: client.models.list_registered())
        if found is not None:
            _list_registered(found, json)
            return
    models, damaged = [], []
    for path in model_paths(models_dir(resolve_data_dir(data_dir))):
        try:
            models.append(ModelDirectory.load(path))
        except CorruptModel as exc:
            damaged.append(exc.message)
    external = _external(resolve_data_dir(data_dir))
    of_vllm, problems = vllm_models.load_all(resolve_data_dir(data_dir))
    damaged += problems
    if json:
        print_json([*map(summary, models), *map(vllm_models.summary, of_vllm), *map(external_summary, external)])
    elif models or of_vllm or external:
        keys = [*(each.key for each in models), *(each.key for each in of_vllm), *(each.key for each in external)]
        width = max(map(len, keys))
        for model in models:
            typer.echo(f"{model.key:{width}}  {describe_model(model)}")
        for imported in of_vllm:
            typer.echo(f"{imported.key:{width}}  {vllm_models.describe(imported)}")
        for each in external:
            shown = external_summary(each)
            typer.echo(
                f"{each.key:{width}}  {shown['external_model_id']} of {each.provider}, {', '.join(shown['tags'])}"
            )
    else:
        typer.echo("No models yet. Import the default one: adaptive models import smollm2-135m-instruct", err=True)
    for message in damaged:
        typer.echo(f"Damaged: {message}", err=True)
    if damaged:
        raise typer.Exit(1)


def _list_registered(models: Sequence[RegisteredModel], json: bool) -> None:
    if json:
        print_json([model.model_dump(mode="json") for model in models])
        return
    width = max((len(model.key) for model in models), default=0)
    for model in models:
        where = "" if model.provider == "internal" else f" at {model.provider}"
        context = f", context {model.context_length}" if model.context_length else ""
        typer.echo(f"{model.key:{width}}  {model.state}{where}{context}, {', '.join(model.tags)}")
    if not models:
        typer.echo("The server has no models yet.", err=True)


def _external(directory: Path) -> list[Model]:
    """External models of the store, if there is one."""
    from adaptive_engine.settings import database_path
    from adaptive_engine.store import models

    settings = load_settings(directory)
    if settings.db.url is None and not database_path(directory).exists():
        return []
    with closing(open_database(directory)) as database, database.read() as connection:
        return [model for model in models.list_all(connection) if model.external is not None]


def _show_stored(directory: Path, key: str, json: bool) -> None:
    from adaptive_engine.registry import ModelDirectory, locate
    from adaptive_engine.services import models
    from adaptive_engine.store import deployments

    for each in _external(directory):
        if each.key == key:
            print_json(external_summary(each))
            return
    for imported in vllm_models.load_all(directory)[0]:
        if imported.key == key:
            with closing(open_database(directory)) as database, database.read() as connection:
                config = models.find(connection, key).compute_config
            if json:
                print_json({**vllm_models.summary(imported), "compute_config": {"max_seq_len": config.max_seq_len}})
            else:
                vllm_models.show(imported, config)
            return
    model = ModelDirectory.load(locate(models_dir(directory), key))
    with closing(open_database(directory)) as database, database.read() as connection:
        config, attached = models.find(connection, key).compute_config, deployments.list_for_model(connection, key)
    if json:
        settings = {"kv_cache_len": config.kv_cache_len, "max_seq_len": config.max_seq_len}
        print_json({**summary(model), "compute_config": settings})
    else:
        show_stored(model, config, attached)
