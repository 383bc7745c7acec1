"""Exports as they arrive: whole records, and the last of them, behind which an export goes on."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Records:
    """Holds back what is not yet a whole record, so that what was passed on can always be continued."""

    def __init__(self, body: dict[str, Any], *, header: bool = True) -> None:
        """`header`: a CSV file's first line is still to come."""
        self._is_csv = body["format"] == "csv"
        self._id_column = 0 if body["kind"] == "interactions" else -1
        self._header_due = self._is_csv and header
        self._held = b""
        self._last: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """The records that are whole now."""
        end = b"\r\n" if self._is_csv else b"\n"
        whole: list[bytes] = []
        # A line ends a record of CSV unless it is inside of quotes.
        lines = (self._held + data).split(end)
        waiting = b""
        for line in lines[:-1]:
            waiting += line + end
            if self._is_csv and waiting.count(b'"') % 2:
                continue
            if self._header_due:
                self._header_due = False
            else:
                self._last = waiting
            whole.append(waiting)
            waiting = b""
        self._held = waiting + lines[-1]
        return b"".join(whole)

    @property
    def last_id(self) -> str | None:
        """Of the newest whole record."""
        if self._last is None:
            return None
        text = self._last.decode()
        if self._is_csv:
            return next(csv.reader(text.splitlines(keepends=True)))[self._id_column]
        return str(json.loads(text)["id"])

    def drop(self) -> None:
        """Forget what is held back: it will come again."""
        self._held = b""


def already_there(path: Path, body: dict[str, Any]) -> tuple[int, str | None]:
    """The size of the whole records in a file that an export left, and the id of the last one.

    Raises ValueError for a file that is something else.
    """
    if not path.exists() or path.stat().st_size == 0:
        return 0, None
    records = Records(body)
    size = 0
    for piece in _pieces(path):
        size += len(records.feed(piece))
    try:
        last = records.last_id
    except (ValueError, KeyError, IndexError, TypeError) as exc:
        raise ValueError(f"{path} is no export of this kind and format, so it cannot be continued") from exc
    return (size, last) if last is not None else (0, None)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece
