"""Commands that work with a running server, or with its data directory while none runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from adaptive_engine.cli.options import resolve_data_dir

if TYPE_CHECKING:
    from adaptive_engine.sdk import Adaptive

Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of the server. Default: the one that uses the data directory, or ADAPTIVE_URL"),
]
ApiKey = Annotated[str | None, typer.Option("--api-key", help="An admin key. Default: ADAPTIVE_API_KEY")]

Result = TypeVar("Result")


def ask_server(
    url: str | None, api_key: str | None, data_dir: Path, ask: Callable[[Adaptive], Result]
) -> Result | None:
    """What `ask` returns, given a client of the server; None, with a word about it, where no server can be asked.

    A server that refuses, arguments that are wrong, or a `url` at which none answers, end the command.
    """
    from adaptive_engine.sdk import Adaptive, AdaptiveSDKError, APIConnectionError

    found = _address(url, data_dir)
    if found is None:
        return None
    try:
        client = Adaptive(found, api_key)
    except ValueError as exc:
        if url is not None:
            raise _ended(exc) from None
        typer.echo(f"A server runs at {found}, but it was not told: {exc}", err=True)
        return None
    try:
        with client:
            return ask(client)
    except APIConnectionError as exc:
        if url is not None:
            raise _ended(exc) from None
        typer.echo(f"No server answers at {found}.", err=True)
    except (AdaptiveSDKError, ValueError) as exc:
        raise _ended(exc) from None
    return None


def require_server(
    url: str | None, api_key: str | None, data_dir: Path | None, ask: Callable[[Adaptive], Result]
) -> Result:
    """The same for what only a server can do: where none can be asked, the command ends.

    `data_dir` is the option as it was given.
    """
    from adaptive_engine.sdk import Adaptive, AdaptiveSDKError

    found = _address(url, resolve_data_dir(data_dir))
    if found is None:
        raise _ended("This needs a running server: start `adaptive serve`, or name one with --url.")
    try:
        with Adaptive(found, api_key) as client:
            return ask(client)
    except (AdaptiveSDKError, ValueError) as exc:
        raise _ended(exc) from None


def _address(url: str | None, data_dir: Path) -> str | None:
    from adaptive_engine.server.lifespan import running_server

    return url or running_server(data_dir) or os.environ.get("ADAPTIVE_URL") or None


def _ended(failure: object) -> typer.Exit:
    message = str(failure).removeprefix("EntityNotFound: ")
    typer.echo(f"Error: {' '.join(message.split())}", err=True)
    return typer.Exit(1)
