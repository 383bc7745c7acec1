"""Commands that are imported when they are called, so that `adaptive --help` stays fast however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Command:
    """`target` is `module:attribute`, naming a `typer.Typer` or a function with typer's annotations."""

    target: str
    help: str
    """The line in the list of commands; the command's own help is read with the command."""


class LazyGroup(TyperGroup):
    """Shows a placeholder for each command and replaces it when the command is about to run or to print its help."""

    _lazy: Mapping[str, Command]

    def register(self, commands: Mapping[str, Command]) -> None:
        self._lazy = commands
        for name, command in commands.items():
            self.add_command(TyperCommand(name, help=command.help, rich_markup_mode=None))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None:
            command = _load(name, self._lazy[name])
        return name, command, rest


def _load(name: str, command: Command) -> Any:
    module, attribute = command.target.split(":")
    target = getattr(import_module(module), attribute)
    loaded: Any
    if isinstance(target, typer.Typer):
        loaded = typer.main.get_group(target)
    else:
        alone = typer.Typer(rich_markup_mode=None, add_completion=False)
        alone.command(name)(target)
        loaded = typer.main.get_command(alone)
    loaded.name = name
    return loaded
