"""`adaptive keys`: create, list, limit and revoke API keys. Works beside a running server, which notices within 5 s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from adaptive_engine.cli import limits
from adaptive_engine.cli.options import DataDir, load_settings, open_database, resolve_data_dir
from adaptive_engine.cli.output import show_table

if TYPE_CHECKING:
    from uuid import UUID

    from adaptive_engine.services.keys import KeyRing
    from adaptive_engine.store import Connection, Database
    from adaptive_engine.types import ApiKey, Project

app = typer.Typer(help="Create, list, limit and revoke API keys.", rich_markup_mode=None, no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, e.g. the application that uses it.")],
    admin: Annotated[bool, typer.Option("--admin", help="It may do everything: the same as --role admin.")] = False,
    role: Annotated[
        str | None, typer.Option("--role", help="What it may do, see `adaptive roles list`. Default: inference")
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", help="The only project the key may use. Default: all of them.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="EMAIL", help="Whose key it is; earlier ones end at once.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Days until it expires. Default: never.")] = None,
    requests_per_minute: limits.Requests = None,
    tokens_per_minute: limits.Tokens = None,
    concurrent_requests: limits.Concurrent = None,
    data_dir: DataDir = None,
) -> None:
    """Create a key and print it. It cannot be shown again.

    \b
    Examples:
      adaptive keys create web-shop --project default
      adaptive keys create reports --role read-only --project default
      adaptive keys create my-laptop --admin --days 90
      adaptive keys create laptop --user ada@example.com
      adaptive keys create trial --requests-per-minute 20 --tokens-per-minute 10000
    """
    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.services import access, api_keys
    from adaptive_engine.types import Limits, now_ms

    given = limits.checked(limits.given(requests_per_minute, tokens_per_minute, concurrent_requests))
    if (admin and role) or (user and (admin or role)):
        raise InvalidRequest("Give one of --admin, --role and --user.")
    wanted_role = None if user else role or ("admin" if admin else "inference")
    with operating(data_dir, to_create=True) as (connection, ring):
        wanted = api_keys.NewKey(
            name=name,
            role=wanted_role,
            project=_project(connection, project) if project else None,
            user=user,
            expires_at=now_ms() + days * 86_400_000 if days else None,
            limits=Limits(**given.model_dump()),
        )
        key, text = api_keys.create(connection, ring, access.OPERATOR, wanted)
    typer.echo(f"Key '{key.name}' ({key.id}). It is shown this once:", err=True)
    typer.echo(text)


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List all keys, revoked ones too. The keys themselves are not stored and cannot be shown.

    \b
    Example:
      adaptive keys list
    """
    with _ring(data_dir) as (database, ring):
        keys = ring.list()
        names, emails = _names(database)
    rows = []
    for key in keys:
        project = "all" if key.project_id is None else names.get(key.project_id, "?")
        if key.user_id is not None:
            project = "theirs"
        user = "" if key.user_id is None else emails.get(key.user_id, "deleted")
        may = limits.shown(key.limits)
        rows.append((key.id, key.name, key.role, user, project, _day(key.created_at), _state(key), may))
    show_table(("ID", "NAME", "ROLE", "USER", "PROJECTS", "CREATED", "STATE", "LIMITS"), rows)


@app.command()
def limit(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `adaptive keys list` shows.")],
    requests_per_minute: limits.Requests = None,
    tokens_per_minute: limits.Tokens = None,
    concurrent_requests: limits.Concurrent = None,
    data_dir: DataDir = None,
) -> None:
    """Change what may be asked with a key. A running server notices within 5 seconds.

    \b
    Examples:
      adaptive keys limit k7r2mzq4xw3a --requests-per-minute 60 --concurrent-requests 4
      adaptive keys limit k7r2mzq4xw3a --requests-per-minute none
    """
    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.services import access, api_keys

    given = limits.given(requests_per_minute, tokens_per_minute, concurrent_requests)
    if not given:
        raise InvalidRequest("Give --requests-per-minute, --tokens-per-minute or --concurrent-requests.")
    with operating(data_dir) as (connection, _):
        key = api_keys.limit(connection, access.OPERATOR, key_id, limits.checked(given))
    typer.echo(f"Key {key_id} may ask: {limits.shown(key.limits) or 'what the server lets all keys ask'}.")


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `adaptive keys list` shows.")],
    data_dir: DataDir = None,
) -> None:
    """Revoke a key. A running server refuses it within 5 seconds.

    \b
    Example:
      adaptive keys revoke k7r2mzq4xw3a
    """
    with _ring(data_dir) as (_, ring):
        ring.revoke(key_id)
    typer.echo(f"Key {key_id} is revoked.")


@contextmanager
def _ring(data_dir: DataDir, *, to_create: bool = False) -> Iterator[tuple[Database, KeyRing]]:
    from adaptive_engine.services.keys import KeyRing
    from adaptive_engine.services.secret import load_secret, require_same_secret

    directory = resolve_data_dir(data_dir)
    with closing(open_database(directory)) as database:
        secret = load_secret(load_settings(directory))
        if to_create:
            with database.write() as connection:
                # A key that no server would take must not be made.
                require_same_secret(connection, secret)
        yield database, KeyRing(database, secret)


@contextmanager
def operating(data_dir: DataDir, *, to_create: bool = False) -> Iterator[tuple[Connection, KeyRing]]:
    """A transaction on the store, in which there is all that every installation has."""
    from adaptive_engine.services import teams

    with _ring(data_dir, to_create=to_create) as (_, ring), ring.changing() as connection:
        teams.ensure_first_ones(connection)
        yield connection, ring


def _project(connection: Connection, key: str) -> Project:
    from adaptive_engine.errors import NotFound
    from adaptive_engine.store import projects

    project = projects.get_by_key(connection, key)
    if project is None:
        known = ", ".join(p.key for p in projects.list_all(connection))
        raise NotFound(f"There is no project '{key}'. Projects: {known}.")
    return project


def _names(database: Database) -> tuple[dict[UUID, str], dict[UUID, str]]:
    """Keys of projects and e-mail addresses of users, by id."""
    from adaptive_engine.store import projects, users

    with database.read() as connection:
        keys = {project.id: project.key for project in projects.list_all(connection, archived=True)}
        return keys, {user.id: user.email for user in users.list_all(connection)}


def _day(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d")


def _state(key: ApiKey) -> str:
    from adaptive_engine.types import now_ms

    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "valid"
    return f"{'valid until' if key.expires_at > now_ms() else 'expired'} {_day(key.expires_at)}"
