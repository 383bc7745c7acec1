"""`adaptive deploy`: engines on more machines than one."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptive_engine.cli.options import DataDir, load_settings, resolve_data_dir
from adaptive_engine.cli.output import show_table

app = typer.Typer(help="Run models on more machines than one.", rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Run models on more machines than one."""


@app.command()
def ray(
    model: Annotated[
        str | None,
        typer.Argument(help="The model's key. Without one, what runs on the cluster is listed.", show_default=False),
    ] = None,
    address: Annotated[
        str,
        typer.Option(envvar="ADAPTIVE_RAY__ADDRESS", help="The cluster: auto for that of this machine, or HOST:PORT."),
    ] = "auto",
    min_replicas: Annotated[int, typer.Option(min=1, help="Replicas that always run.")] = 1,
    max_replicas: Annotated[
        int | None, typer.Option(min=1, help="Most replicas. Default: --min-replicas", show_default=False)
    ] = None,
    cpus: Annotated[float, typer.Option(min=0.1, help="Processors of a replica.")] = 2,
    target_requests: Annotated[
        float, typer.Option(min=1, help="Requests of a replica at which another one is started.")
    ] = 16,
    remove: Annotated[bool, typer.Option("--remove", help="End all replicas of the model instead.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Run a model as replicas on a Ray cluster, or change how many there are.

    This machine must be a node of the cluster (`ray start`), and each node needs the model's files in the same data
    directory and this package with the extra `ray`. Settings of the engine are the variables ADAPTIVE_ENGINE__....
    Servers with ADAPTIVE_RAY__ADDRESS then answer with these replicas instead of engines of their own.

    \b
    Examples:
      ray start --head --disable-usage-stats --include-dashboard=false
      adaptive deploy ray smollm2-135m-instruct --max-replicas 4
      ADAPTIVE_RAY__ADDRESS=auto adaptive serve
      adaptive deploy ray
      adaptive deploy ray smollm2-135m-instruct --remove
    """
    from adaptive_engine.deploy.ray import cluster
    from adaptive_engine.deploy.ray.options import ReplicaOptions
    from adaptive_engine.errors import InvalidRequest, NotFound
    from adaptive_engine.registry import ModelDirectory

    if model is None and remove:
        raise InvalidRequest("--remove: say which model.")
    most = max_replicas or min_replicas
    if most < min_replicas:
        raise InvalidRequest(f"--max-replicas is {most}, less than --min-replicas, {min_replicas}.")
    if model is not None and not remove:
        settings = load_settings(resolve_data_dir(data_dir))
        key = ModelDirectory.load(settings.models_dir / model).key
    cluster.connect(address)
    if model is None:
        found = cluster.applications()
        rows = [(key, each.state, str(each.replicas), each.message) for key, each in sorted(found.items())]
        show_table(("MODEL", "STATE", "REPLICAS", "MESSAGE"), rows)
    elif remove:
        if not cluster.remove(model):
            raise NotFound(f"Model '{model}' does not run on the cluster. `adaptive deploy ray` lists what does.")
        typer.echo(f"Model '{model}' does not run on the cluster any more.")
    else:
        cluster.deploy(
            ReplicaOptions(
                model=key,
                models_dir=settings.models_dir,
                min_replicas=min_replicas,
                max_replicas=most,
                cpus=cpus,
                target_requests=target_requests,
                engine=settings.engine,
            )
        )
        typer.echo(f"Model '{model}' runs on the cluster with {cluster.applications()[model].replicas} replicas.")
