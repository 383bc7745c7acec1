"""`adaptive models`: import models and list them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptive_engine.cli.options import DataDir, create_data_dir, database_file, models_dir, resolve_data_dir

if TYPE_CHECKING:
    from adaptive_engine.registry import ModelDirectory, Progress

app = typer.Typer(help="Import models and list them.", rich_markup_mode=None, no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


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
    _register(database_file(directory), model)
    if json:
        _print_json(_summary(model))
    else:
        typer.echo(f"Model '{model.key}' ({_describe(model)}) is in {model.path}")
        typer.echo(f"To serve it: adaptive models deploy {model.key}", err=True)


@app.command()
def deploy(
    key: Annotated[str, typer.Argument(help="The model's key, as `adaptive models list` shows it.")],
    project: Annotated[str, typer.Option("--project", help="The project that gets the model.")] = "default",
    default: Annotated[bool, typer.Option("--default", help="Answer with it where a request names no model.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Attach an imported model to a project. A server loads it when it starts.

    \b
    Examples:
      adaptive models deploy qwen3
      adaptive models deploy qwen3 --project default --default
    """
    from adaptive_engine.services import models
    from adaptive_engine.store import Database

    directory = resolve_data_dir(data_dir)
    create_data_dir(directory)
    with closing(Database.open(database_file(directory))) as opened, opened.write() as connection:
        models.ensure_default_project(connection)
        deployment = models.deploy(connection, project, key, make_default=default)
    role = "its default model" if deployment.is_default else f"addressed as '{project}/{key}'"
    typer.echo(f"Model '{key}' is deployed in project '{project}', {role}. Restart a running server to load it.")


@app.command("list")
def list_(data_dir: DataDir = None, json: Json = False) -> None:
    """List the imported models.

    \b
    Examples:
      adaptive models list
      adaptive models list --json
    """
    from adaptive_engine.registry import CorruptModel, ModelDirectory, model_paths

    models, damaged = [], []
    for path in model_paths(models_dir(resolve_data_dir(data_dir))):
        try:
            models.append(ModelDirectory.load(path))
        except CorruptModel as exc:
            damaged.append(exc.message)
    if json:
        _print_json([_summary(model) for model in models])
    elif models:
        width = max(len(model.key) for model in models)
        for model in models:
            typer.echo(f"{model.key:{width}}  {_describe(model)}")
    else:
        typer.echo("No models yet. Import the default one: adaptive models import smollm2-135m-instruct", err=True)
    for message in damaged:
        typer.echo(f"Damaged: {message}", err=True)
    if damaged:
        raise typer.Exit(1)


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


def _register(database: Path, model: ModelDirectory) -> None:
    """Makes the model known to servers on this data directory; a known key is left as it is."""
    from adaptive_engine.services import models as service
    from adaptive_engine.store import Database

    with closing(Database.open(database)) as opened, opened.write() as connection:
        service.register(connection, model)


def _describe(model: ModelDirectory) -> str:
    quantization = model.manifest.quantization or "as exported"
    return f"{model.family}, {quantization}, context {model.context_length}, {model.size / 1e6:.0f} MB"


def _summary(model: ModelDirectory) -> dict[str, Any]:
    return {
        "key": model.key,
        "name": model.name,
        "family": model.family,
        "quantization": model.manifest.quantization,
        "context_length": model.context_length,
        "capabilities": list(model.capabilities),
        "size": model.size,
        "path": str(model.path),
        "created_at": model.manifest.created_at,
    }


def _print_json(value: Any) -> None:
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
