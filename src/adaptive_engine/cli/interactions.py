"""`adaptive interactions`: look at what a server has stored, label it, export it, delete it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptive_engine.cli.options import DataDir, InProject, Json
from adaptive_engine.cli.running import ApiKey, Url, require_server

if TYPE_CHECKING:
    from adaptive_engine.wire.interactions import Interaction

app = typer.Typer(
    help="List, show, label, export and delete stored prompts and answers.", rich_markup_mode=None, no_args_is_help=True
)

CompletionId = Annotated[str, typer.Argument(metavar="ID", help="The completion's id.")]
Models = Annotated[list[str] | None, typer.Option("--model", help="Of this model; may be given several times.")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="KEY[=VALUE]", help="With this label.")]
State = Annotated[str | None, typer.Option("--state", help="complete, length, error, cancelled, aborted or pending.")]
User = Annotated[str | None, typer.Option("--user", help="Of this end user.")]
Since = Annotated[str | None, typer.Option("--from", metavar="TIME", help="From this time on: RFC 3339 or epoch ms.")]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this time.")]
Contains = Annotated[str | None, typer.Option("--contains", metavar="TEXT", help="With this text in the completion.")]
Filter = Annotated[
    str | None, typer.Option("--filter", metavar="JSON", help="An expression; docs/interactions.md has them all.")
]

_LINE = 80


@app.command("list")
def list_(
    project: InProject = "default",
    model: Models = None,
    label: Labels = None,
    state: State = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    contains: Contains = None,
    expression: Filter = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many, at most.")] = 20,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List interactions, newest first.

    \b
    Examples:
      adaptive interactions list --label env=production --state error
      adaptive interactions list --filter '{"not": {"model": {"eq": "smollm2"}}}' --json
    """
    filters = _filters(model, label, state, user, since, until, contains, expression)
    page = require_server(
        url, api_key, data_dir, lambda client: client.interactions.list(filters, limit=limit, project=project)
    )
    for interaction in page.data:
        typer.echo(interaction.model_dump_json() if json else _line(interaction))
    if not page.data and page.searched_to is None:
        typer.echo(f"Project '{project}' has no interactions{' like these' if filters else ' yet'}.", err=True)
    if page.searched_to is not None:
        typer.echo(f"Looked at what is newer than {page.searched_to:%Y-%m-%d %H:%M}; there may be more.", err=True)
    elif page.has_more:
        typer.echo("There are more: --limit, or `adaptive interactions export`.", err=True)


@app.command()
def show(
    completion_id: CompletionId,
    project: InProject = "default",
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Show one interaction.

    \b
    Example:
      adaptive interactions show 01a20088-1f96-7645-8331-b316ae412666
    """
    found = require_server(url, api_key, data_dir, lambda client: client.interactions.get(completion_id, project))
    if found is None:
        from adaptive_engine.errors import NotFound

        raise NotFound(f"Project '{project}' has no interaction '{completion_id}'.")
    if json:
        typer.echo(found.model_dump_json(indent=2))
        return
    typer.echo(_line(found))
    for message in found.messages:
        typer.echo(f"\n{message['role']}: {_text(message.get('content'))}")
    typer.echo(f"\nassistant: {found.completion}\n")
    typer.echo(f"labels  {' '.join(f'{key}={value}' for key, value in found.labels.items()) or 'none'}")
    for score in found.scores:
        typer.echo(f"score   {score.metric} {score.value:g} {score.details or ''}".rstrip())


@app.command()
def label(
    completion_id: CompletionId,
    labels: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Labels to give it.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="KEY", help="A label to take away.")] = None,
    project: InProject = "default",
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Give an interaction labels, or take some away.

    \b
    Example:
      adaptive interactions label 01a20088-1f96-7645-8331-b316ae412666 reviewed=yes --remove todo
    """
    from adaptive_engine.errors import InvalidRequest

    pairs = [text.partition("=") for text in labels or ()]
    wrong = next((key for key, equals, _ in pairs if not equals), None)
    if wrong is not None:
        raise InvalidRequest(f"{wrong!r} is no label: write KEY=VALUE.")
    if not pairs and not remove:
        raise InvalidRequest("There is nothing to change: give KEY=VALUE or --remove KEY.")
    add = {key: value for key, _, value in pairs}
    changed = require_server(
        url,
        api_key,
        data_dir,
        lambda client: client.interactions.update_labels(completion_id, add=add, remove=remove, project=project),
    )
    typer.echo(" ".join(f"{key}={value}" for key, value in changed.labels.items()) or "no labels")


@app.command()
def delete(
    completion_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One completion's id.")] = None,
    project: InProject = "default",
    model: Models = None,
    label: Labels = None,
    state: State = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    contains: Contains = None,
    expression: Filter = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete one interaction, or all that match. There is no way back.

    \b
    Examples:
      adaptive interactions delete 01a20088-1f96-7645-8331-b316ae412666
      adaptive interactions delete --label env=test --to 2026-01-01T00:00:00Z
    """
    from adaptive_engine.errors import InvalidRequest

    filters = _filters(model, label, state, user, since, until, contains, expression)
    if (completion_id is None) == (not filters):
        raise InvalidRequest("Give an id, or at least one filter, and not both.")
    if completion_id is not None:
        one = completion_id
        require_server(url, api_key, data_dir, lambda client: client.interactions.delete(one, project=project))
        typer.echo(f"Deleted {completion_id}.")
        return
    if not yes:
        some = require_server(
            url,
            api_key,
            data_dir,
            lambda client: client.interactions.list(filters, limit=1, count=True, project=project),
        )
        many = f"{some.total_count}" if some.total_count_is_exact else f"at least {some.total_count}"
        typer.confirm(f"Delete {many} interactions of project '{project}'?", abort=True)
    count = require_server(
        url, api_key, data_dir, lambda client: client.interactions.delete_all(filters, project=project)
    )
    typer.echo(f"Deleted {count} interactions.")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write; its ending chooses the format.", dir_okay=False)],
    project: InProject = "default",
    kind: Annotated[
        str, typer.Option("--kind", help="interactions, or for training: messages, sft, preferences.")
    ] = "interactions",
    format: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--format", help="jsonl, csv or parquet. Default: as the file's name ends.")
    ] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Preferences by this metric only.")] = None,
    images: Annotated[
        str, typer.Option("--images", help="url, or data: images within the file, which is then jsonl.")
    ] = "url",
    model: Models = None,
    label: Labels = None,
    state: State = None,
    user: User = None,
    since: Since = None,
    until: Until = None,
    contains: Contains = None,
    expression: Filter = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on behind what the file has already.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Write interactions into a file, oldest first, as many as there are.

    \b
    Examples:
      adaptive interactions export all.jsonl
      adaptive interactions export all.jsonl --resume
      adaptive interactions export good.parquet --kind sft \\
        --filter '{"scores": {"metric": "helpful", "value": {"eq": 1}}}'
    """
    from adaptive_engine.cli.progress import show_progress
    from adaptive_engine.errors import Conflict, InvalidRequest

    chosen: Any = format or file.suffix.removeprefix(".").lower()
    if chosen not in ("jsonl", "csv", "parquet"):
        raise InvalidRequest(f"{file} does not say which format to write: add --format jsonl, csv or parquet.")
    if file.exists() and not resume and not force:
        raise Conflict(f"{file} exists. Go on behind it with --resume, or write over it with --force.")
    filters = _filters(model, label, state, user, since, until, contains, expression)
    of_kind: Any = kind
    as_images: Any = images
    try:
        with show_progress() as progress:
            require_server(
                url,
                api_key,
                data_dir,
                lambda client: client.interactions.export(
                    file,
                    filters,
                    format=chosen,
                    kind=of_kind,
                    metric=metric,
                    images=as_images,
                    resume=resume,
                    progress=lambda done: progress("export", done, None),
                    project=project,
                ),
            )
    except OSError as exc:
        raise InvalidRequest(f"{file} cannot be written: {exc.strerror}.") from exc
    typer.echo(f"{file} has {file.stat().st_size} bytes.")


def _filters(
    models: list[str] | None,
    labels: list[str] | None,
    state: str | None,
    user: str | None,
    since: str | None,
    until: str | None,
    contains: str | None,
    expression: str | None,
) -> Any:
    """What the SDK takes."""
    import json

    from adaptive_engine.errors import InvalidRequest

    try:
        given = None if expression is None else json.loads(expression)
    except ValueError as exc:
        raise InvalidRequest(f"--filter is not JSON: {exc}.") from exc
    if expression is not None and not isinstance(given, dict):
        raise InvalidRequest("--filter is no JSON object; docs/interactions.md has all conditions.")
    if contains is not None:
        text = {"completion": {"contains": contains}}
        given = text if given is None else {"and": [given, text]}
    parts = [text.partition("=") for text in labels or ()]
    timerange = {name: time for name, time in (("from", since), ("to", until)) if time is not None}
    # An empty text is sent too, and refused: left out, a variable without a value would select everything.
    filters = {
        "models": models or None,
        "labels": [{"key": key, **({"value": value} if equals else {})} for key, equals, value in parts] or None,
        "state": state,
        "user": user,
        "timerange": timerange or None,
        "filter": given,
    }
    return {name: value for name, value in filters.items() if value is not None}


def _line(interaction: Interaction) -> str:
    created = interaction.created_at.strftime("%Y-%m-%d %H:%M:%S")
    said = " ".join(interaction.completion.split())
    said = said if len(said) <= _LINE else f"{said[: _LINE - 3]}..."
    return f"{interaction.id}  {created}  {interaction.model or '-'}  {interaction.state}  {said}"


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] if part["type"] == "text" else f"[{part['image_url']['url']}]" for part in content)
    return str(content)
