"""How long work tells what it is doing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """`stage` is a verb such as `download`; `done` and `total` are bytes, `total` None where nobody knows it."""


def silent(stage: str, done: int, total: int | None) -> None:
    """Tells nobody."""
