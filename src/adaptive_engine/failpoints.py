"""Faults on purpose, for tests: with `ADAPTIVE_TESTING=1`, `ADAPTIVE_FAILPOINTS` says what breaks, and when.

    ADAPTIVE_FAILPOINTS="store.before_commit=exit;3,store.write=read_only;/tmp/switch"

A failpoint is a function of the program and the moment after it; a fault comes there each time, only the third time, or
while the file exists. `install` wraps the function, which knows nothing of it: without those two variables there is no
code to pass, and this module is not even imported.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adaptive_engine.errors import InvalidRequest

VARIABLE = "ADAPTIVE_FAILPOINTS"

POINTS = {
    # In the transaction that writes interactions, after its last statement.
    "store.before_commit": ("adaptive_engine.store.recorder", "_write_rows"),
    # What was written is durable; who waits for it has not been told.
    "store.after_commit": ("adaptive_engine.store.recorder", "Recorder._write"),
    # Any transaction of SQLite that writes has begun.
    "store.write": ("adaptive_engine.store.sqlite", "SqliteDriver.take_turn"),
    # All steps of a migration are done, in a transaction that is still open.
    "migration.before_commit": ("adaptive_engine.store.migrations", "upgrade"),
}


def _exit() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _read_only() -> None:
    error = sqlite3.OperationalError("attempt to write a readonly database")
    error.sqlite_errorcode = sqlite3.SQLITE_READONLY
    raise error


ACTIONS: dict[str, Callable[[], None]] = {"exit": _exit, "read_only": _read_only}


def install(failpoints: str) -> None:
    """Arm what the variable says. Raises InvalidRequest for what it cannot say."""
    for entry in filter(None, failpoints.split(",")):
        what, _, when = entry.partition(";")
        name, _, action = what.partition("=")
        if name not in POINTS or action not in ACTIONS or not (when == "" or when.isdigit() or when.startswith("/")):
            raise InvalidRequest(
                f"{VARIABLE}: '{entry}' is not NAME=ACTION, NAME=ACTION;TIME or NAME=ACTION;/FILE. Names: "
                f"{', '.join(POINTS)}. Actions: {', '.join(ACTIONS)}."
            )
        module, function = POINTS[name]
        *path, attribute = function.split(".")
        owner = functools.reduce(getattr, path, importlib.import_module(module))
        setattr(owner, attribute, _breaking(getattr(owner, attribute), ACTIONS[action], when))


def _breaking(function: Callable[..., Any], fault: Callable[[], None], when: str) -> Callable[..., Any]:
    calls = 0

    @functools.wraps(function)
    def breaking(*args: Any, **options: Any) -> Any:
        nonlocal calls
        result = function(*args, **options)
        calls += 1
        if Path(when).exists() if when.startswith("/") else when in ("", str(calls)):
            fault()
        return result

    return breaking
