"""The processes that a server starts, looked at from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

# For a machine that has other things to do.
PATIENCE = 90


def children(pid: int, module: str) -> list[int]:
    """Those that live and run a module of that name."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (task / "children").read_text().split())
    return [child for child in found if lives(child) and module.encode() in _command(child).split(b"\0")]


def engine_of(pid: int) -> int:
    """The engine process of a server."""
    (engine,) = children(pid, "adaptive_engine.services.engine_process")
    return engine


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
