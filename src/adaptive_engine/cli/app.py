"""The table of commands, and how each of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from adaptive_engine.cli.lazy import Command, LazyGroup
from adaptive_engine.errors import AdaptiveError

COMMANDS = {
    "serve": Command("adaptive_engine.cli.serve:serve", "Serve models over HTTP and store every answer."),
    "chat": Command("adaptive_engine.cli.chat:chat", "Talk to a model of a running server in the terminal."),
    "models": Command("adaptive_engine.cli.models:app", "Import, deploy, configure and terminate models."),
    "projects": Command("adaptive_engine.cli.projects:app", "Create, show, change and archive projects."),
    "ab-tests": Command("adaptive_engine.cli.ab_tests:app", "Compare models on live traffic."),
    "interactions": Command(
        "adaptive_engine.cli.interactions:app", "List, label, export and delete stored prompts and answers."
    ),
    "schema": Command("adaptive_engine.cli.schema:app", "Check JSON schemas for structured output."),
    "graders": Command("adaptive_engine.cli.graders:app", "Let judge models score interactions."),
    "keys": Command("adaptive_engine.cli.keys:app", "Create, list, limit and revoke API keys."),
    "users": Command("adaptive_engine.cli.users:app", "Create users and put them into teams."),
    "teams": Command("adaptive_engine.cli.teams:app", "Create, list and delete teams."),
    "roles": Command("adaptive_engine.cli.roles:app", "Create, list and delete roles."),
    "deploy": Command("adaptive_engine.cli.deploy:app", "Run a model as replicas on a Ray cluster."),
    "doctor": Command("adaptive_engine.cli.doctor:doctor", "Check whether a server can work here."),
}

EPILOG = "Start here: adaptive serve"


def run() -> None:
    """Runs the command in `sys.argv`; a failure is one line on standard error and exit status 1."""
    with ending_with_a_line():
        build()(prog_name="adaptive")


@contextmanager
def ending_with_a_line() -> Iterator[None]:
    """A failure is one line on standard error and exit status 1."""
    try:
        yield
    except AdaptiveError as exc:
        _fail(exc.message.removeprefix("EntityNotFound: "))
    except Exception as exc:
        if os.environ.get("ADAPTIVE_DEBUG"):
            raise
        _fail(f"{type(exc).__name__}: {exc} (ADAPTIVE_DEBUG=1 shows where)")


def build() -> LazyGroup:
    """The group of all commands; none of their modules is imported yet."""
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, add_completion=False, no_args_is_help=True, epilog=EPILOG)
    app.callback()(_root)
    group = typer.main.get_command(app)
    assert isinstance(group, LazyGroup)
    group.register(COMMANDS)
    return group


def _show_version(wanted: bool) -> None:
    if wanted:
        from adaptive_engine import __version__

        typer.echo(f"adaptive-engine {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Adaptive Engine: self-hosted LLM inference. One command serves a model, and every answer is stored."""


def _fail(message: str) -> None:
    from adaptive_engine.telemetry.redaction import redact

    print("Error:", redact(" ".join(message.split())), file=sys.stderr)  # noqa: T201 - this is the terminal's program
    sys.exit(1)
