"""`adaptive users`: people, service accounts, and their places in teams. Works beside a running server, which notices
within 5 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from adaptive_engine.cli.keys import operating
from adaptive_engine.cli.options import DataDir
from adaptive_engine.cli.output import show_table

if TYPE_CHECKING:
    from adaptive_engine.services.users import UserInTeams

app = typer.Typer(help="Create users and put them into teams.", rich_markup_mode=None, no_args_is_help=True)

UserArgument = Annotated[str, typer.Argument(metavar="USER", help="The e-mail address, or the id.")]
TeamArgument = Annotated[str, typer.Argument(metavar="TEAM", help="The team's key.")]
RoleArgument = Annotated[str, typer.Argument(metavar="ROLE", help="A role, see `adaptive roles list`.")]
Places = Annotated[
    list[str] | None,
    typer.Option("--team", metavar="TEAM=ROLE", help="A team and the role there. May be given several times."),
]


@app.command()
def create(
    email: Annotated[str, typer.Argument(help="Their e-mail address; of a service account, its name.")],
    name: Annotated[str | None, typer.Option("--name", help="Default: the part before the @.")] = None,
    service: Annotated[bool, typer.Option("--service", help="A service account, for an application.")] = False,
    team: Places = None,
    data_dir: DataDir = None,
) -> None:
    """Create a user, make their first API key and print it. It cannot be shown again.

    \b
    Examples:
      adaptive users create ada@example.com --team default=power_user
      adaptive users create ci-bot --service --team default=inference
    """
    from adaptive_engine.services import access, api_keys, users

    wanted = users.NewUser(
        name=name or email.partition("@")[0],
        email=None if service and "@" not in email else _address(email),
        user_type="SYSTEM" if service else "HUMAN",
        teams=[_place(text) for text in team or ()],
    )
    with operating(data_dir) as (connection, ring):
        user = users.create(connection, access.OPERATOR, wanted).user
        text = api_keys.create_first(connection, ring, access.OPERATOR, user)
    typer.echo(f"User '{user.email}' ({user.id}). The API key is shown this once:", err=True)
    typer.echo(text)


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List all users with their teams and roles.

    \b
    Example:
      adaptive users list
    """
    from adaptive_engine.services import access, users

    with operating(data_dir) as (connection, _):
        found = users.list_all(connection, access.OPERATOR)
    rows = [(str(item.user.id), item.user.email, item.user.name, item.user.user_type, _teams(item)) for item in found]
    show_table(("ID", "EMAIL", "NAME", "TYPE", "TEAMS"), rows)


@app.command()
def delete(user: UserArgument, data_dir: DataDir = None) -> None:
    """Delete a user and end their API keys.

    \b
    Example:
      adaptive users delete ada@example.com
    """
    from adaptive_engine.services import access, users

    with operating(data_dir) as (connection, _):
        deleted = users.delete(connection, access.OPERATOR, user)
    typer.echo(f"User '{deleted.user.email}' is deleted.")


@app.command("add-to-team")
def add_to_team(user: UserArgument, team: TeamArgument, role: RoleArgument, data_dir: DataDir = None) -> None:
    """Put a user into a team, or change their role there.

    \b
    Example:
      adaptive users add-to-team ada@example.com research power_user
    """
    from adaptive_engine.services import access, users

    with operating(data_dir) as (connection, _):
        found = users.set_team_member(connection, access.OPERATOR, user, team, role)
    typer.echo(f"User '{found.user.email}': {_teams(found)}")


@app.command("remove-from-team")
def remove_from_team(user: UserArgument, team: TeamArgument, data_dir: DataDir = None) -> None:
    """Take a user out of a team.

    \b
    Example:
      adaptive users remove-from-team ada@example.com research
    """
    from adaptive_engine.services import access, users

    with operating(data_dir) as (connection, _):
        found = users.remove_team_member(connection, access.OPERATOR, user, team)
    typer.echo(f"User '{found.user.email}': {_teams(found) or 'in no team'}")


def _address(text: str) -> str:
    from adaptive_engine.errors import InvalidRequest

    if text.count("@") != 1 or not all(text.split("@")) or any(character.isspace() for character in text):
        raise InvalidRequest(f"'{text}' is no e-mail address. For an application, add --service.")
    return text


def _place(text: str) -> tuple[str, str]:
    from adaptive_engine.errors import InvalidRequest

    team, equals, role = text.partition("=")
    if not equals:
        raise InvalidRequest(f"--team is '{text}'; write TEAM=ROLE, for example default=power_user.")
    return team, role


def _teams(found: UserInTeams) -> str:
    return ", ".join(f"{member.team.key}={member.role.key}" for member in found.memberships)
