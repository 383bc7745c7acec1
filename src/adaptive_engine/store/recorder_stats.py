"""What the recorder counts, as plain data; exporters read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adaptive_engine.types import Histogram

COMMIT_BOUNDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds by which commits are counted."""


@dataclass(frozen=True, slots=True)
class RecorderStats:
    """Counts since the start, of interactions unless said otherwise."""

    committed: int
    """Finished and durable, some of them later than their request could wait."""
    failed: int
    """Finished, and their request was told that they are not durable."""
    unsaved: int
    """Of the failed ones those kept in memory to be written when the store is back."""
    pending: int
    """Rows, begun or finished, that wait for a transaction."""
    transactions: int
    last_commit_ms: float | None
    """How long the newest transaction took; None before the first."""
    lost: int
    """Of the failed ones those that will never be stored."""
    by_state: Mapping[str, int]
    """The committed ones."""
    commit_seconds: Histogram
