"""Locks between processes, held by files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from adaptive_engine.registry.progress import Progress


@contextmanager
def waiting(file: Path, progress: Progress) -> Iterator[None]:
    """Holds the lock; says so when another process has to end first."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress("wait", 0, None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def unless_held(file: Path) -> Iterator[bool]:
    """Yields whether the lock was free, and holds it if it was."""
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
