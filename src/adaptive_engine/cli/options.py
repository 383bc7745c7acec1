"""Options that several commands share. What settings.py knows is imported late: it brings Pydantic along."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

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


def database_file(data_dir: Path) -> Path:
    from adaptive_engine import settings

    return settings.database_path(data_dir)
