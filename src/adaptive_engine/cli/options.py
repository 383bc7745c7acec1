"""Options that several commands share. What settings.py knows is imported late: it brings Pydantic along."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from adaptive_engine.settings import Settings
    from adaptive_engine.store import Database

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="ADAPTIVE_DATA_DIR",
        help="Where models and the database live. Default: ~/.local/share/adaptive-engine",
        show_default=False,
        file_okay=False,
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
InProject = Annotated[str, typer.Option("--project", help="The project.")]
ModelKey = Annotated[str, typer.Argument(help="The model's key, as `adaptive models list` shows it.")]


def resolve_data_dir(option: Path | None) -> Path:
    """The absolute data directory: the option or its variable, else the user's data directory. Creates nothing."""
    if option is None:
        from adaptive_engine.settings import default_data_dir

        option = default_data_dir()
    return option.expanduser().absolute()


_CHOOSE = "Choose another with --data-dir or ADAPTIVE_DATA_DIR."


def create_data_dir(data_dir: Path) -> None:
    """Prompts and answers are stored in it: only the user may look inside."""
    from adaptive_engine.errors import InvalidRequest

    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(data_dir, os.W_OK)
    except OSError as exc:
        raise InvalidRequest(f"The data directory {data_dir} cannot be made ({exc.strerror}). {_CHOOSE}") from exc
    if not writable:
        raise InvalidRequest(f"The data directory {data_dir} cannot be written. {_CHOOSE}")


def models_dir(data_dir: Path) -> Path:
    from adaptive_engine import settings

    return settings.models_dir(data_dir)


def load_settings(data_dir: Path) -> Settings:
    """The variables of the environment. Raises InvalidRequest that names the one that is wrong."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from adaptive_engine.errors import InvalidRequest
    from adaptive_engine.settings import Settings

    try:
        return Settings(data_dir=data_dir)
    except ValidationError as exc:
        first = exc.errors()[0]
        name = "ADAPTIVE_" + "__".join(str(part) for part in first["loc"]).upper()
        # Not the chain: it shows the value, which may be a secret.
        raise InvalidRequest(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
    except SettingsError as exc:
        group = re.search(r'field "(\w+)"', str(exc))
        name = f"ADAPTIVE_{group[1].upper()}" if group else "ADAPTIVE_..."
        raise InvalidRequest(f"{name} is no JSON object. Set its fields one by one: {name}__FIELD=VALUE.") from None


def text_or_file(argument: str) -> str:
    """What the file has for `@FILE`, else the argument itself. Raises InvalidRequest."""
    from adaptive_engine.errors import InvalidRequest

    if not argument.startswith("@"):
        return argument
    path = argument[1:]
    try:
        return Path(path).expanduser().read_text("utf-8")
    except OSError as exc:
        raise InvalidRequest(f"{path} cannot be read: {exc.strerror}.") from exc
    except UnicodeDecodeError as exc:
        raise InvalidRequest(f"{path} is not UTF-8 text.") from exc


def open_database(data_dir: Path) -> Database:
    """The store that servers on this data directory use, made where there is none."""
    from adaptive_engine.services import storage

    create_data_dir(data_dir)
    return storage.open_database(load_settings(data_dir))
