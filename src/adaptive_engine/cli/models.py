"""`adaptive models`: import models, deploy them, look after them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptive_engine.cli import external_models, model_listing
from adaptive_engine.cli.model_views import describe_model, summary
from adaptive_engine.cli.options import (
    DataDir,
    InProject,
    Json,
    ModelKey,
    create_data_dir,
    models_dir,
    open_database,
    resolve_data_dir,
)
from adaptive_engine.cli.output import print_json
from adaptive_engine.cli.running import ApiKey, Url, ask_server

if TYPE_CHECKING:
    from adaptive_engine.registry import ModelDirectory, Progress
    from adaptive_engine.store import Connection

app = typer.Typer(help="Import, deploy, configure and terminate models.", rich_markup_mode=None, no_args_is_help=True)

_NEXT_START = "It counts from the next start of a server on."


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(metavar="PATH|NAME", help="A model on disk, or a name of the catalog.")],
    key: Annotated[str | None, typer.Option("--key", help="The model's key; by default taken from the name.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Import a GGUF file (llama, qwen2, qwen3), an OpenVINO directory, or a model of the catalog.

    \b
    Examples:
      adaptive models import smollm2-135m-instruct
      adaptive models import ./Qwen3-0.6B-Q8_0.gguf --key qwen3
      adaptive models import ./exported-openvino-model

    A name of the catalog comes first: write ./NAME for a directory that is called like one.
    """
    from adaptive_engine.cli.progress import show_progress

    directory = resolve_data_dir(data_dir)
    create_data_dir(directory)
    with show_progress() as progress:
        model = _import(source, models_dir(directory), key, progress)
    _register(directory, model)
    if json:
        print_json(summary(model))
    else:
        typer.echo(f"Model '{model.key}' ({describe_model(model)}) is in {model.path}")
        typer.echo(f"To serve it: adaptive models deploy {model.key}", err=True)


@app.command()
def deploy(
    key: ModelKey,
    project: InProject = "default",
    default: Annotated[bool, typer.Option("--default", help="Answer with it where a request names no model.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when a running server has loaded it.")] = True,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Attach an imported model to a project and let a running server load it; otherwise it is loaded at the next start.

    \b
    Examples:
      adaptive models deploy qwen3
      adaptive models deploy qwen3 --project default --default
    """
    from adaptive_engine.services import models

    directory = resolve_data_dir(data_dir)
    answer = ask_server(
        url, api_key, directory, lambda client: client.models.deploy(key, wait, default, project=project)
    )
    if answer is None:
        with _writing(directory) as connection:
            deployment = models.deploy(connection, project, key, make_default=default)
        is_default, state = deployment.is_default, f"deployed. {_NEXT_START}"
    else:
        is_default = any(d.is_default for d in answer.deployments if d.project == project)
        state = "online." if answer.state == "ONLINE" else f"{answer.state}: {answer.reason}"
    role = "its default model" if is_default else f"addressed as '{project}/{key}'"
    typer.echo(f"Model '{key}' in project '{project}', {role}, is {state}")


app.command("show")(model_listing.show)
app.command("list")(model_listing.list_)
app.command("add-external")(external_models.add_external)
app.command("update-external")(external_models.update_external)

# What Adaptive's own SDK calls it.
app.command("attach", hidden=True)(deploy)


@app.command()
def undeploy(
    key: ModelKey, project: InProject = "default", data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None
) -> None:
    """Take a model offline in one project. The last project takes it out of memory; `deploy` brings it back.

    \b
    Example:
      adaptive models undeploy qwen3 --project default
    """
    from adaptive_engine.services import models

    directory = resolve_data_dir(data_dir)
    answer = ask_server(
        url, api_key, directory, lambda client: client.models.update(key, desired_online=False, project=project)
    )
    if answer is None:
        with _writing(directory) as connection:
            models.update(connection, models.find_deployment(connection, project, key), online=False)
    note = _NEXT_START if answer is None else f"The model is {answer.state}."
    typer.echo(f"Model '{key}' is offline in project '{project}'. {note}")


@app.command()
def detach(
    key: ModelKey,
    project: InProject = "default",
    force: Annotated[bool, typer.Option("--force", help="Also the default model of several.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Take a model out of a project, with its settings there. Its files stay; `deploy` attaches it again.

    \b
    Example:
      adaptive models detach qwen3 --project support
    """
    from adaptive_engine.services import models

    directory = resolve_data_dir(data_dir)
    answer = ask_server(url, api_key, directory, lambda client: client.models.detach(key, project, force=force))
    if answer is None:
        with _writing(directory) as connection:
            models.detach(connection, models.find_deployment(connection, project, key), force=force)
    typer.echo(f"Model '{key}' is detached from project '{project}'.{'' if answer else f' {_NEXT_START}'}")


@app.command()
def settings(
    key: ModelKey,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE", help="What to change; NAME= removes one.")
    ] = None,
    project: InProject = "default",
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Show or change what requests to a model get in a project where they do not say.

    \b
    Names: system_prompt, temperature, top_p, max_tokens, stop, seed, max_ttft_ms, response_format, fallbacks.
    A value @FILE is read from a file; the one of response_format may be a JSON schema.

    \b
    Examples:
      adaptive models settings qwen3 --project support
      adaptive models settings qwen3 temperature=0.2 system_prompt=@prompt.txt response_format=@answer.schema.json
      adaptive models settings qwen3 seed=
    """
    from adaptive_engine.cli.model_settings import ask_for_settings, parse_changes, save, show_settings

    directory = resolve_data_dir(data_dir)
    change = parse_changes(changes or [])
    answer = ask_server(url, api_key, directory, lambda client: ask_for_settings(client, project, key, change))
    if answer is None:
        with _writing(directory) as connection:
            answer = save(connection, project, key, change)
    stored, notices = answer
    for notice in notices:
        typer.echo(f"Warning: {notice}", err=True)
    if json:
        print_json(stored)
    else:
        show_settings(stored)


@app.command()
def terminate(
    key: ModelKey,
    force: Annotated[bool, typer.Option("--force", help="Also when several projects want it online.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Take a model out of memory for all projects. Requests that it answers end with an error.

    \b
    Example:
      adaptive models terminate qwen3 --force
    """
    from adaptive_engine.services import models

    directory = resolve_data_dir(data_dir)
    answer = ask_server(url, api_key, directory, lambda client: client.models.terminate(key, force))
    if answer is None:
        with _writing(directory) as connection:
            models.terminate(connection, key, force=force)
    typer.echo(f"Model '{key}' is offline in all projects.{'' if answer else f' {_NEXT_START}'}")


@app.command()
def configure(
    key: ModelKey,
    kv_cache_len: Annotated[
        str | None, typer.Option(metavar="TOKENS", help="Size of its KV cache; `default` is the server's setting.")
    ] = None,
    max_seq_len: Annotated[
        str | None, typer.Option(metavar="TOKENS", help="Prompt and answer; `default` is the server's setting.")
    ] = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Change how a model is run. It takes effect when the model is loaded the next time.

    \b
    Examples:
      adaptive models configure qwen3 --kv-cache-len 8192 --max-seq-len 4096
      adaptive models configure qwen3 --kv-cache-len default
    """
    import dataclasses

    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.services import models

    given = {
        "kv_cache_len": _tokens("--kv-cache-len", kv_cache_len),
        "max_seq_len": _tokens("--max-seq-len", max_seq_len),
    }
    named = {"kv_cache_len": kv_cache_len, "max_seq_len": max_seq_len}
    changes = {name: value for name, value in given.items() if named[name] is not None}
    if not changes:
        raise InvalidRequest("There is nothing to change: give --kv-cache-len or --max-seq-len.")
    directory = resolve_data_dir(data_dir)
    answer = ask_server(
        url,
        api_key,
        directory,
        lambda client: client.models.update_compute_config(key, changes),  # type: ignore[arg-type]
    )
    if answer is None:
        with _writing(directory) as connection:
            config = dataclasses.replace(models.find(connection, key).compute_config, **changes)
            models.configure(connection, key, config, kv_cache_len=None)
    when = "It is loaded with them the next time."
    if answer is not None and answer.reload_needed:
        when = f"It runs as before until it is reloaded: adaptive models terminate {key}, then deploy it again."
    typer.echo(f"The settings of model '{key}' are stored. {when}")


def _import(source: str, directory: Path, key: str | None, progress: Progress) -> ModelDirectory:
    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.registry import import_by_name, import_model
    from adaptive_engine.registry.catalog import CATALOG

    if source in CATALOG:
        return import_by_name(source, directory, key, progress=progress)
    path = Path(source).expanduser()
    if not path.exists():
        raise InvalidRequest(f"There is no file '{source}', and the catalog only has: {', '.join(CATALOG)}.")
    return import_model(path, directory, key, progress=progress)


@contextmanager
def _writing(directory: Path) -> Iterator[Connection]:
    from adaptive_engine.services import models

    with closing(open_database(directory)) as opened, opened.write() as connection:
        models.ensure_default_project(connection)
        yield connection


def _tokens(option: str, text: str | None) -> int | None:
    from adaptive_engine.errors import InvalidRequest

    if text is None or text == "default":
        return None
    least = 256 if option == "--kv-cache-len" else 16
    if not text.isdecimal() or int(text) < least:
        raise InvalidRequest(f"{option} is {text!r}; give a number of tokens, {least} or more, or `default`.")
    return int(text)


def _register(data_dir: Path, model: ModelDirectory) -> None:
    """Makes the model known to servers on this data directory; a known key is left as it is."""
    from adaptive_engine.services import models as service

    with closing(open_database(data_dir)) as opened, opened.write() as connection:
        service.register(connection, model)
