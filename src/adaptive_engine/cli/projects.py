"""`adaptive projects`: make projects, change them, put them away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adaptive_engine.cli import limits
from adaptive_engine.cli.options import DataDir, Json, open_database, resolve_data_dir
from adaptive_engine.cli.output import print_json, show_table
from adaptive_engine.cli.running import ApiKey, Url, ask_server, require_server

if TYPE_CHECKING:
    from adaptive_engine.sdk import Adaptive
    from adaptive_engine.store import Connection
    from adaptive_engine.types import Project, Share
    from adaptive_engine.wire.models import ModelCard
    from adaptive_engine.wire.usage import UsageGroup

app = typer.Typer(help="Create, show, change and archive projects.", rich_markup_mode=None, no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="The project's key or id.")]
Description = Annotated[str | None, typer.Option("--description", help="What it is for.")]


@app.command("list")
def list_(
    archived: Annotated[bool, typer.Option("--archived", help="Those that are archived instead.")] = False,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """List the projects.

    \b
    Examples:
      adaptive projects list
      adaptive projects list --archived
    """
    from adaptive_engine.store import projects

    directory = resolve_data_dir(data_dir)
    answer = ask_server(url, api_key, directory, lambda client: client.projects.list(archived=archived))
    found: list[Any] = answer or []
    if answer is None:
        with _writing(directory) as connection:
            found = [p for p in projects.list_all(connection, archived=True) if p.archived == archived]
    if json:
        print_json([_summary(project) for project in found])
        return
    width = max((len(project.key) for project in found), default=0)
    for project in found:
        typer.echo(f"{project.key:{width}}  {project.name}")
    if not found:
        typer.echo(f"No {'archived projects' if archived else 'projects yet; `adaptive serve` makes one'}.", err=True)


@app.command()
def usage(
    key: Key,
    by: Annotated[str | None, typer.Option("--by", help="model, hour or day.")] = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
    json: Json = False,
) -> None:
    """Show what a project has used: interactions, tokens, and costs of external models. Needs a running server.

    \b
    Example:
      adaptive projects usage support --by model
    """
    if by not in (None, "model", "hour", "day"):
        raise typer.BadParameter("--by is model, hour or day.")
    found = require_server(
        url,
        api_key,
        data_dir,
        lambda client: client.projects.usage(key, by),  # type: ignore[arg-type]
    )
    if json:
        print_json(found.model_dump(mode="json"))
        return
    rows = [[str(group.group or "-"), *_usage(group)] for group in found.data] + [["total", *_usage(found.total)]]
    show_table([by or "", "interactions", "prompt", "cached", "completion", "cost"], rows)


def _usage(group: UsageGroup) -> list[str]:
    tokens = (group.interactions, group.prompt_tokens, group.cached_tokens, group.completion_tokens)
    costs = ", ".join(f"{amount:.4f} {currency}" for currency, amount in sorted(group.costs.items()))
    return [*map(str, tokens), costs or "-"]


@app.command()
def create(
    key: Annotated[str, typer.Argument(help="What requests name: letters, digits, '.', '_' and '-'.")],
    name: Annotated[str | None, typer.Option("--name", help="For people. Default: the key.")] = None,
    description: Description = None,
    team: Annotated[str | None, typer.Option("--team", help="The team that owns it. Default: default")] = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Create a project.

    \b
    Example:
      adaptive projects create support --name "Customer support"
    """
    from adaptive_engine.services import access, projects
    from adaptive_engine.wire.projects import ProjectCreate

    directory = resolve_data_dir(data_dir)
    answer = ask_server(url, api_key, directory, lambda client: client.projects.create(key, name, description, team))
    if answer is None:
        given = _valid(lambda: ProjectCreate(key=key, name=name, description=description, team=team))
        with _writing(directory) as connection:
            projects.create(connection, access.OPERATOR, given)
    typer.echo(f"Project '{key}' is there. To answer in it: adaptive models deploy MODEL --project {key}")


@app.command()
def show(key: Key, data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None, json: Json = False) -> None:
    """Show a project and its models.

    \b
    Example:
      adaptive projects show support
    """
    from adaptive_engine.errors import NotFound
    from adaptive_engine.store import deployments

    directory = resolve_data_dir(data_dir)
    answer = ask_server(url, api_key, directory, lambda client: _with_models(client, key))
    found: Any
    if answer is None:
        with _writing(directory) as connection:
            found = _find(connection, key)
            models = [(d.model.key, d.is_default, d.online) for d in deployments.list_for_project(connection, found.id)]
    else:
        found, cards = answer
        if found is None:
            raise NotFound(f"Project '{key}' does not exist, or this key may not use it.")
        models = [(card.id.partition("/")[2], card.is_default, card.online) for card in cards]
    if json:
        shown = [{"model": model, "is_default": default, "online": online} for model, default, online in models]
        print_json({**_summary(found), "models": shown})
        return
    typer.echo(f"{found.key}: {found.name}{' (archived)' if found.archived_at else ''}")
    settings = _settings(found)
    may = limits.shown(limits.checked(settings.pop("limits", {})))
    rows = [("id", found.id), ("description", found.description), *settings.items(), ("limits", may)]
    for label, value in rows:
        if value:
            typer.echo(f"  {label:14}  {value}")
    for model, default, online in models:
        marks = ", ".join(mark for mark, holds in (("default", default), ("offline", not online)) if holds)
        typer.echo(f"  model           {model}{f' ({marks})' if marks else ''}")


@app.command()
def update(
    key: Key,
    name: Annotated[str | None, typer.Option("--name", help="For people.")] = None,
    description: Description = None,
    default_metric: Annotated[
        str | None, typer.Option("--default-metric", metavar="KEY", help="A metric of the project; `none` for none.")
    ] = None,
    requests_per_minute: limits.Requests = None,
    tokens_per_minute: limits.Tokens = None,
    concurrent_requests: limits.Concurrent = None,
    data_dir: DataDir = None,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Change a project's name, description, default metric or limits. Its key cannot change.

    \b
    Examples:
      adaptive projects update support --default-metric helpful
      adaptive projects update support --tokens-per-minute 50000 --concurrent-requests 8
    """
    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.services import projects
    from adaptive_engine.wire.projects import ProjectUpdate

    settings: dict[str, Any] = {}
    if default_metric is not None:
        settings["default_metric"] = None if default_metric == "none" else default_metric
    if given := limits.given(requests_per_minute, tokens_per_minute, concurrent_requests):
        settings["limits"] = given
    if name is None and description is None and not settings:
        raise InvalidRequest("There is nothing to change: give --name, --description, --default-metric or a limit.")
    directory = resolve_data_dir(data_dir)
    answer = ask_server(
        url,
        api_key,
        directory,
        lambda client: client.projects.update(key, name=name, description=description, settings=settings or None),  # type: ignore[arg-type]
    )
    if answer is None:
        fields = {"name": name, "description": description, "settings": settings or None}
        change = _valid(lambda: ProjectUpdate.model_validate(fields))
        with _writing(directory) as connection:
            projects.update(connection, _find(connection, key).id, change)
    typer.echo(f"Project '{key}' is changed.")


@app.command()
def archive(key: Key, data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None) -> None:
    """Refuse requests to a project and unload models that only it wants. All that is stored stays readable.

    \b
    Example:
      adaptive projects archive support
    """
    from adaptive_engine.services import projects

    directory = resolve_data_dir(data_dir)
    if ask_server(url, api_key, directory, lambda client: client.projects.archive(key)) is None:
        with _writing(directory) as connection:
            projects.archive(connection, _find(connection, key).id)
    typer.echo(f"Project '{key}' is archived. To bring it back: adaptive projects unarchive {key}")


@app.command()
def unarchive(key: Key, data_dir: DataDir = None, url: Url = None, api_key: ApiKey = None) -> None:
    """Bring an archived project back, with its models.

    \b
    Example:
      adaptive projects unarchive support
    """
    from adaptive_engine.services import projects

    directory = resolve_data_dir(data_dir)
    if ask_server(url, api_key, directory, lambda client: client.projects.unarchive(key)) is None:
        with _writing(directory) as connection:
            projects.unarchive(connection, _find(connection, key).id)
    typer.echo(f"Project '{key}' is back.")


@app.command()
def share(
    key: Key,
    team: Annotated[str, typer.Argument(metavar="TEAM", help="The team's key.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="The most that it may do, see `adaptive roles list`.")],
    owner: Annotated[
        bool, typer.Option("--owner", help="The project belongs to it: members have their own role.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Open a project for a team, or change the role it is shared with. A running server notices within 5 s.

    \b
    Example:
      adaptive projects share support research power_user
    """
    from adaptive_engine.cli.keys import operating
    from adaptive_engine.services import access, shares, teams
    from adaptive_engine.store import shares as store

    with operating(data_dir) as (connection, _):
        project, found = _find(connection, key), teams.find(connection, team)
        before = store.list_for_project(connection, project.id)
        owns = owner or any(share.is_owner for share in before if share.team == found)
        others = [shares.Sharing(s.team.key, s.role.key, s.is_owner) for s in before if s.team != found]
        wanted = [*others, shares.Sharing(found.key, role, owns)]
        _show_shares(key, shares.replace(connection, access.OPERATOR, project, wanted))


@app.command()
def unshare(
    key: Key, team: Annotated[str, typer.Argument(metavar="TEAM", help="The team's key.")], data_dir: DataDir = None
) -> None:
    """Close a project for a team. A running server notices within 5 s.

    \b
    Example:
      adaptive projects unshare support research
    """
    from adaptive_engine.cli.keys import operating
    from adaptive_engine.services import access, shares, teams
    from adaptive_engine.store import shares as store

    with operating(data_dir) as (connection, _):
        project, found = _find(connection, key), teams.find(connection, team)
        before = store.list_for_project(connection, project.id)
        wanted = [shares.Sharing(s.team.key, s.role.key, s.is_owner) for s in before if s.team != found]
        _show_shares(key, shares.replace(connection, access.OPERATOR, project, wanted))


def _show_shares(key: str, shares: list[Share]) -> None:
    named = ", ".join(f"{s.team.key}={s.role.key}{' (owner)' * s.is_owner}" for s in shares)
    typer.echo(f"Project '{key}' is shared with {named}.")


@contextmanager
def _writing(directory: Path) -> Iterator[Connection]:
    from adaptive_engine.services import teams

    with closing(open_database(directory)) as opened, opened.write() as connection:
        teams.ensure_first_ones(connection)
        yield connection


def _with_models(client: Adaptive, key: str) -> tuple[Any, list[ModelCard]]:
    project = client.projects.get(key)
    return project, client.models.list(project.key) if project else []


def _find(connection: Connection, key: str) -> Project:
    from adaptive_engine.errors import NotFound
    from adaptive_engine.store import projects

    for project in projects.list_all(connection, archived=True):
        if key in (project.key, str(project.id)):
            return project
    raise NotFound(f"Project '{key}' does not exist.")


def _valid(make: Callable[[], Any]) -> Any:
    """What `make` makes of the options. Raises InvalidRequest in the words that a server has for it."""
    from adaptive_engine.server.errors import as_invalid_request

    with as_invalid_request():
        return make()


def _settings(project: Any) -> dict[str, Any]:
    settings = project.settings
    return dict(settings) if isinstance(settings, dict) else settings.model_dump(exclude_none=True)


def _summary(project: Any) -> dict[str, Any]:
    """Of a stored project and of a server's alike."""
    return {
        "id": str(project.id),
        "key": project.key,
        "name": project.name,
        "description": project.description,
        "settings": {name: value for name, value in _settings(project).items() if value is not None},
        "archived": project.archived_at is not None,
    }
