"""`adaptive teams`: users who share projects. Works beside a running server, which notices within 5 s."""

from __future__ import annotations

from typing import Annotated

import typer

from adaptive_engine.cli.keys import operating
from adaptive_engine.cli.options import DataDir
from adaptive_engine.cli.output import show_table

app = typer.Typer(help="Create teams, who share projects.", rich_markup_mode=None, no_args_is_help=True)


@app.command()
def create(
    key: Annotated[str, typer.Argument(help="What it is called in commands and requests.")],
    name: Annotated[str | None, typer.Option("--name", help="Default: the key.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Create a team without members.

    \b
    Example:
      adaptive teams create research --name "Research and development"
    """
    from adaptive_engine.cli.roles import require_key
    from adaptive_engine.services import access, teams

    require_key(key)
    with operating(data_dir) as (connection, _):
        team = teams.create(connection, access.OPERATOR, key, name)
    typer.echo(f"Team '{team.key}' is there. To fill it: adaptive users add-to-team EMAIL {team.key} ROLE")


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List all teams.

    \b
    Example:
      adaptive teams list
    """
    from adaptive_engine.services import access, teams

    with operating(data_dir) as (connection, _):
        found = teams.visible(connection, access.OPERATOR)
    show_table(("KEY", "NAME"), [(team.key, team.name) for team in found])


@app.command()
def delete(key: Annotated[str, typer.Argument(help="The team's key.")], data_dir: DataDir = None) -> None:
    """Delete a team that is not the only owner of a project. Its members stay users.

    \b
    Example:
      adaptive teams delete research
    """
    from adaptive_engine.services import access, teams

    with operating(data_dir) as (connection, _):
        team = teams.delete(connection, access.OPERATOR, key)
    typer.echo(f"Team '{team.key}' is deleted.")
