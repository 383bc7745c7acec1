"""New stores in files, without the time that migrations take."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from adaptive_engine.store import Database


def open_store(path: Path, **options: Any) -> Database:
    """`Database.open(path)`, where there is no store yet."""
    place_store(path)
    return Database.open(path, **options)


def place_store(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copy(_migrated(), path)


@cache
def _migrated() -> Path:
    """A file as `Database.open` leaves it, for all tests of this process."""
    directory = Path(tempfile.mkdtemp(prefix="adaptive-store-"))
    atexit.register(shutil.rmtree, directory)
    Database.open(directory / "store.db").close()
    return directory / "store.db"
