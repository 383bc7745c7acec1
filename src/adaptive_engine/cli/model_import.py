"""`adaptive models import`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from adaptive_engine.cli import vllm_models
from adaptive_engine.cli.imports import import_on_server
from adaptive_engine.cli.model_views import describe_model, summary
from adaptive_engine.cli.options import DataDir, Json, create_data_dir, models_dir, open_database, resolve_data_dir
from adaptive_engine.cli.output import print_json
from adaptive_engine.cli.running import ApiKey

if TYPE_CHECKING:
    from adaptive_engine.registry import ModelDirectory, Progress
    from adaptive_engine.registry.sources import ModelEngine

Engine = Literal["native", "openvino", "vllm"]


def import_(
    source: Annotated[str, typer.Argument(metavar="PATH|NAME", help="A model on disk, or a name of the catalog.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGUMENTS]", help="With --engine vllm: further ones of vLLM.")
    ] = None,
    engine: Annotated[
        Engine | None,
        typer.Option(
            "--engine",
            help="What runs it: this server, natively or on OpenVINO, or vLLM. Default: natively where it can.",
        ),
    ] = None,
    images: Annotated[
        bool | None,
        typer.Option(
            "--images/--no-images", help="With --engine vllm: whether it takes images. Default: as its files say."
        ),
    ] = None,
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
      adaptive models import --engine vllm Qwen/Qwen3-8B --key qwen3-8b -- --gpu-memory-utilization 0.8

    A name of the catalog comes first: write ./NAME for a directory that is called like one. For vLLM it is a directory
    in Hugging Face's format, or a name of its hub; the model stays where it is.
    """
    from adaptive_engine.cli.progress import show_progress
    from adaptive_engine.errors import InvalidRequest

    if url is not None:
        if engine is not None or arguments or images is not None:
            raise InvalidRequest("A server chooses the engine itself: leave out --engine and what belongs to it.")
        import_on_server(url, api_key, data_dir, source, key, json=json)
        return
    directory = resolve_data_dir(data_dir)
    create_data_dir(directory)
    if engine == "vllm":
        imported = vllm_models.import_for_vllm(directory, source, key, arguments or [], images)
        if json:
            print_json(vllm_models.summary(imported))
        else:
            typer.echo(f"Model '{imported.key}' is {vllm_models.describe(imported)}")
            typer.echo(f"To serve it: adaptive models deploy {imported.key}", err=True)
        return
    if arguments or images is not None:
        raise InvalidRequest("Arguments of vLLM, --images and --no-images need --engine vllm.")
    with show_progress() as progress:
        model = _import(source, models_dir(directory), key, engine, progress)
    _register(directory, model)
    if json:
        print_json(summary(model))
    else:
        typer.echo(f"Model '{model.key}' ({describe_model(model)}) is in {model.path}")
        typer.echo(f"To serve it: adaptive models deploy {model.key}", err=True)


def _import(
    source: str, directory: Path, key: str | None, engine: ModelEngine | None, progress: Progress
) -> ModelDirectory:
    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.registry import import_by_name, import_model
    from adaptive_engine.registry.catalog import CATALOG

    if source in CATALOG:
        return import_by_name(source, directory, key, engine=engine, progress=progress)
    path = Path(source).expanduser()
    if not path.exists():
        raise InvalidRequest(f"There is no file '{source}', and the catalog only has: {', '.join(CATALOG)}.")
    return import_model(path, directory, key, engine=engine, progress=progress)


def _register(data_dir: Path, model: ModelDirectory) -> None:
    """Makes the model known to servers on this data directory; a known key is left as it is."""
    from adaptive_engine.services import models as service

    with closing(open_database(data_dir)) as opened, opened.write() as connection:
        service.register(connection, model)
