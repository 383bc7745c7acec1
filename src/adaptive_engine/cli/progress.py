"""Shows the progress of long work on standard error: a bar on a terminal, a few plain lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.progress import TaskID

    from adaptive_engine.registry import Progress

# What the stages of `registry.Progress` look like to people.
TITLES = {
    "wait": "Waiting for another import of this model",
    "download": "Downloading",
    "read": "Reading",
    "copy": "Copying",
    "convert": "Converting",
    "check": "Checking",
    "export": "Exporting",
}
PERCENT_STEP = 25
OPEN_END_STEP = 100_000_000
"""Bytes from one line to the next where nobody knows how many there will be."""


@contextmanager
def show_progress() -> Iterator[Progress]:
    if sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    else:
        yield Lines()


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Amount(DownloadColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.total or task.completed else Text()

    class Speed(TransferSpeedColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.total else Text()

    columns = (TextColumn("{task.description:12}"), BarColumn(), Amount(), Speed(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(TITLES.get(stage, stage), total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield report


class Lines:
    """One line for each stage and each quarter of it, so that a log stays short."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        percent = done * 100 // total // PERCENT_STEP * PERCENT_STEP if total else done // OPEN_END_STEP
        if (stage, percent) in self._shown:
            return
        self._shown.add((stage, percent))
        title = TITLES.get(stage, stage)
        amount = f": {percent} % of {total / 1e6:.0f} MB" if total else f": {done / 1e6:.0f} MB" if percent else ""
        typer.echo(f"{title}{amount}", err=True)
