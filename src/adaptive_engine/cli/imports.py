"""`adaptive models import`: into the data directory of this machine, or by a server into its own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adaptive_engine.cli.model_views import describe_model, summary
from adaptive_engine.cli.options import (
    DataDir,
    Json,
    create_data_dir,
    models_dir,
    open_database,
    resolve_data_dir,
)
from adaptive_engine.cli.output import print_json
from adaptive_engine.cli.running import ApiKey, require_server

if TYPE_CHECKING:
    from adaptive_engine.registry import ModelDirectory, Progress
    from adaptive_engine.sdk import Adaptive
    from adaptive_engine.wire.imports import ModelImport


def import_(
    source: Annotated[str, typer.Argument(metavar="PATH|NAME", help="A model on disk, or a name of the catalog.")],
    key: Annotated[str | None, typer.Option("--key", help="The model's key; by default taken from the name.")] = None,
    data_dir: DataDir = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Let the server there import it. PATH is below its ADAPTIVE_IMPORT_DIR.")
    ] = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Import a GGUF file (llama, qwen2, qwen3), an OpenVINO directory, or a model of the catalog.

    \b
    Examples:
      adaptive models import smollm2-135m-instruct
      adaptive models import ./Qwen3-0.6B-Q8_0.gguf --key qwen3
      adaptive models import ./exported-openvino-model
      adaptive models import Qwen3-0.6B-Q8_0.gguf --url http://models.example:9000

    A name of the catalog comes first: write ./NAME for a directory that is called like one. Ctrl-C ends it, and leaves
    nothing behind.
    """
    from adaptive_engine.cli.progress import show_progress

    if url is not None:
        with show_progress() as progress:
            imported = require_server(
                url, api_key, data_dir, lambda client: _import_there(client, source, key, progress)
            )
        if json:
            print_json(imported.model_dump(mode="json"))
        _show_end(imported, quiet=json)
        return
    directory = resolve_data_dir(data_dir)
    create_data_dir(directory)
    with show_progress() as progress:
        model = _import_here(source, models_dir(directory), key, progress)
    _register(directory, model)
    if json:
        print_json(summary(model))
    else:
        typer.echo(f"Model '{model.key}' ({describe_model(model)}) is in {model.path}")
        typer.echo(f"To serve it: adaptive models deploy {model.key}", err=True)


def _import_there(client: Adaptive, source: str, key: str | None, progress: Progress) -> ModelImport:
    """By the server; how that ended."""
    known = {entry.name for entry in client.imports.sources().catalog}
    begun = client.imports.create(source, key=key) if source in known else client.imports.create(path=source, key=key)

    def show(found: ModelImport) -> None:
        if found.stage is not None:
            progress(found.stage, found.done, found.total)

    try:
        return client.imports.wait(begun.id, show)
    except KeyboardInterrupt:
        client.imports.cancel(begun.id)
        raise


def _show_end(imported: ModelImport, *, quiet: bool) -> None:
    if imported.state != "COMPLETED":
        reason = imported.error.message if imported.error else "it was cancelled."
        typer.echo(f"Error: '{imported.key}' was not imported: {reason}", err=True)
        raise typer.Exit(1)
    if not quiet:
        typer.echo(f"Model '{imported.key}' is on the server. To serve it: adaptive models deploy {imported.key}")


def _import_here(source: str, directory: Path, key: str | None, progress: Progress) -> ModelDirectory:
    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.registry import import_by_name, import_model
    from adaptive_engine.registry.catalog import CATALOG

    if source in CATALOG:
        return import_by_name(source, directory, key, progress=progress)
    path = Path(source).expanduser()
    if not path.exists():
        raise InvalidRequest(f"There is no file '{source}', and the catalog only has: {', '.join(CATALOG)}.")
    return import_model(path, directory, key, progress=progress)


def _register(data_dir: Path, model: ModelDirectory) -> None:
    """Makes the model known to servers on this data directory; a known key is left as it is."""
    from adaptive_engine.services import models as service

    with closing(open_database(data_dir)) as opened, opened.write() as connection:
        service.register(connection, model)
