"""`adaptive roles`: named sets of permissions. Works beside a running server, which notices within 5 s."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from adaptive_engine.cli.keys import operating
from adaptive_engine.cli.options import DataDir
from adaptive_engine.cli.output import show_table

app = typer.Typer(
    help="List and create roles, of which users and keys have one.", rich_markup_mode=None, no_args_is_help=True
)

Key = Annotated[str, typer.Argument(help="The role's key.")]
Permissions = Annotated[list[str], typer.Argument(metavar="PERMISSION...", help="For example interaction:read.")]


@app.command()
def create(key: Key, permissions: Permissions, data_dir: DataDir = None) -> None:
    """Create a role that has these permissions.

    \b
    Example:
      adaptive roles create reviewer project:read interaction:read
    """
    from adaptive_engine.services import access, roles

    require_key(key)
    with operating(data_dir) as (connection, _):
        role = roles.create(connection, access.OPERATOR, key, None, permissions)
    typer.echo(f"Role '{role.key}' is there: {', '.join(sorted(role.permissions))}")


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List all roles with their permissions.

    \b
    Example:
      adaptive roles list
    """
    from adaptive_engine.store import roles

    with operating(data_dir) as (connection, _):
        found = roles.list_all(connection)
    show_table(("KEY", "PERMISSIONS"), [(role.key, ", ".join(sorted(role.permissions))) for role in found])


@app.command()
def delete(key: Key, data_dir: DataDir = None) -> None:
    """Delete a role that no user, share or key has.

    \b
    Example:
      adaptive roles delete reviewer
    """
    from adaptive_engine.services import access, roles

    with operating(data_dir) as (connection, _):
        role = roles.delete(connection, access.OPERATOR, key)
    typer.echo(f"Role '{role.key}' is deleted.")


def require_key(text: str) -> None:
    """Raises InvalidRequest for a key that the API would refuse."""
    from adaptive_engine.errors import InvalidRequest

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        raise InvalidRequest(
            f"'{text}' is no key: use 1 to 128 letters, digits, '.', '_' and '-', and begin with a letter or a digit."
        )
