"""`adaptive graders`: judges of a running server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from adaptive_engine.cli.options import DataDir, InProject
from adaptive_engine.cli.running import ApiKey, Url, require_server

if TYPE_CHECKING:
    from adaptive_engine.sdk import Adaptive
    from adaptive_engine.wire.graders import Grader

app = typer.Typer(help="Let judge models score interactions.", rich_markup_mode=None, no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The grader's key, as `adaptive graders list` shows it.")]

_LOOK_SECONDS = 1.0


@app.command("list")
def list_(project: InProject = "default", data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None) -> None:
    """List the graders of a project, and how far they are.

    \b
    Example:
      adaptive graders list --project support
    """
    found = require_server(url, api_key, data_dir, lambda client: client.graders.list(project))
    if not found:
        typer.echo(f"Project '{project}' has no graders. To make one: adaptive graders create --help", err=True)
    for grader in found:
        typer.echo(f"{grader.key}  {'on' if grader.enabled else 'off'}  {_progress(grader)}  {grader.criteria[:60]!r}")


@app.command()
def create(
    key: Annotated[str, typer.Argument(help="The grader's key, and that of its metric.")],
    criteria: Annotated[str, typer.Option("--criteria", help="What a good answer does, in words.")],
    model: Annotated[str, typer.Option("--model", help="Key of the model that judges; attached to the project.")],
    scale: Annotated[str | None, typer.Option("--scale", help="LEAST-MOST, such as 1-5; else PASS, FAIL, NA.")] = None,
    sampling_rate: Annotated[float, typer.Option("--sampling-rate", help="Share of new interactions, 0 to 1.")] = 1.0,
    project: InProject = "default",
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Make a grader. From now on it judges its share of the project's new interactions.

    \b
    Example:
      adaptive graders create polite --criteria "The answer is polite." --model smollm2-135m-instruct
    """
    made = require_server(
        url,
        api_key,
        data_dir,
        lambda client: client.graders.create(
            key, criteria, model, scale=_scale(scale), sampling_rate=sampling_rate, project=project
        ),
    )
    typer.echo(f"Grader '{made.key}' scores metric '{made.metric}' in project '{made.project}'.")
    typer.echo(f"To judge what is stored already: adaptive graders run {made.key} --project {made.project}", err=True)


@app.command()
def run(
    key: Key,
    limit: Annotated[int | None, typer.Option("--limit", help="So many of the newest; otherwise all.", min=1)] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what it has judged already.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show progress until all is judged.")] = True,
    project: InProject = "default",
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Judge interactions that are stored already. It goes on in the server when this command is stopped.

    \b
    Example:
      adaptive graders run polite --limit 100
    """

    def work(client: Adaptive) -> tuple[int, Grader]:
        started = client.graders.run(key, limit=limit, again=again, project=project)
        return started.queued, _follow(client, started.grader) if wait else started.grader

    queued, grader = require_server(url, api_key, data_dir, work)
    typer.echo(f"{queued} interactions were queued for '{key}': {_progress(grader)}.")
    if grader.progress.problem:
        typer.echo(f"The newest that was not judged: {grader.progress.problem}", err=True)


@app.command()
def cancel(
    key: Key, project: InProject = "default", data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None
) -> None:
    """Drop what waits to be judged.

    \b
    Example:
      adaptive graders cancel polite
    """
    cancelled = require_server(url, api_key, data_dir, lambda client: client.graders.cancel(key, project))
    typer.echo(f"{cancelled.dropped} interactions will not be judged by '{key}'.")


@app.command()
def delete(
    key: Key, project: InProject = "default", data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None
) -> None:
    """Delete a grader. Its metric and its scores stay.

    \b
    Example:
      adaptive graders delete polite
    """
    require_server(url, api_key, data_dir, lambda client: client.graders.delete(key, project))
    typer.echo(f"Grader '{key}' is deleted; its metric and its scores stay.")


def _follow(client: Adaptive, grader: Grader) -> Grader:
    from rich.console import Console
    from rich.progress import Progress

    total = grader.progress.pending + grader.progress.running
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("Judging", total=total)
        while left := grader.progress.pending + grader.progress.running:
            bar.update(task, completed=total - left)
            time.sleep(_LOOK_SECONDS)
            found = client.graders.get(grader.key, grader.project)
            if found is None:
                raise typer.BadParameter(f"grader '{grader.key}' was deleted meanwhile")
            grader = found
        bar.update(task, completed=total)
    return grader


def _scale(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    least, dash, most = text.partition("-")
    if not (dash and least.strip().isdecimal() and most.strip().isdecimal()):
        raise typer.BadParameter("write the least and the greatest score, such as 1-5", param_hint="--scale")
    return int(least), int(most)


def _progress(grader: Grader) -> str:
    counts = grader.progress
    waiting = counts.pending + counts.running
    return f"{counts.done} judged, {waiting} waiting, {counts.failed} failed"
