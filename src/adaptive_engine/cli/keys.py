"""`adaptive keys`: create, list and revoke API keys. Works beside a running server, which notices within 5 s."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from adaptive_engine.cli.options import DataDir, load_settings, open_database, resolve_data_dir

if TYPE_CHECKING:
    from uuid import UUID

    from adaptive_engine.services.keys import KeyRing
    from adaptive_engine.store import Database
    from adaptive_engine.types import ApiKey

app = typer.Typer(help="Create, list and revoke API keys.", rich_markup_mode=None, no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for, e.g. the application that uses it.")],
    admin: Annotated[
        bool,
        typer.Option("--admin", help="It may also deploy and terminate models over HTTP."),
    ] = False,
    project: Annotated[
        str | None, typer.Option("--project", help="The only project the key may use. Default: all of them.")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Days until it expires. Default: never.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Create a key and print it. It cannot be shown again.

    \b
    Examples:
      adaptive keys create web-shop --project default
      adaptive keys create my-laptop --admin --days 90
    """
    from adaptive_engine.types import now_ms

    with _ring(data_dir, to_create=True) as (database, ring):
        project_id = _project_id(database, project) if project else None
        expires_at = now_ms() + days * 86_400_000 if days else None
        key, text = ring.create(name, "admin" if admin else "inference", project_id, expires_at)
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
        names = _project_keys(database)
    rows = [("ID", "NAME", "ROLE", "PROJECT", "CREATED", "STATE")]
    for key in keys:
        project = names.get(key.project_id, "?") if key.project_id else "all"
        rows.append((key.id, key.name, key.role, project, _day(key.created_at), _state(key)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


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


def _project_id(database: Database, key: str) -> UUID:
    from adaptive_engine.errors import NotFound
    from adaptive_engine.store import projects

    with database.read() as connection:
        project = projects.get_by_key(connection, key)
        known = ", ".join(p.key for p in projects.list_all(connection)) or "none yet; `adaptive serve` makes 'default'"
    if project is None:
        raise NotFound(f"There is no project '{key}'. Projects: {known}.")
    return project.id


def _project_keys(database: Database) -> dict[UUID, str]:
    from adaptive_engine.store import projects

    with database.read() as connection:
        return {project.id: project.key for project in projects.list_all(connection)}


def _day(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1000, UTC).strftime("%Y-%m-%d")


def _state(key: ApiKey) -> str:
    from adaptive_engine.types import now_ms

    if key.revoked_at is not None:
        return f"revoked {_day(key.revoked_at)}"
    if key.expires_at is None:
        return "valid"
    return f"{'valid until' if key.expires_at > now_ms() else 'expired'} {_day(key.expires_at)}"
