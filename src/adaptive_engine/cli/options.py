"""Options that several commands share."""

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
        home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        option = Path(home) / "adaptive-engine"
    return option.expanduser().absolute()


def create_data_dir(data_dir: Path) -> None:
    """Prompts and answers are stored in it: only the user may look inside."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def models_dir(data_dir: Path) -> Path:
    return data_dir / "models"


def database_file(data_dir: Path) -> Path:
    return data_dir / "adaptive.db"
