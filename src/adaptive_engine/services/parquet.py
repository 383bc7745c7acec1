"""Records as a Parquet file, written while it is made."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

import orjson

from adaptive_engine.errors import InvalidRequest

# Rows of one row group: enough to compress well, few enough to hold in memory.
GROUP_ROWS = 5000

_NUMBERS = frozenset({"prompt_tokens", "completion_tokens", "cached_tokens", "choice_index"})
_TIMES = frozenset({"created_at", "completed_at"})
# Lists of `{"role", "content"}`, as training libraries read them.
_TURNS = frozenset({"prompt", "chosen", "rejected"})


def parquet_file(columns: tuple[str, ...]) -> Callable[[Iterable[list[dict[str, Any]]]], Iterator[bytes]]:
    """A function from pages of records with these columns to the bytes of a file.

    Whole interactions have what is nested as JSON text, because each may have another shape; so do turns that have
    parts instead of text. Raises InvalidRequest where the library is missing.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise InvalidRequest(
            "This server has no Parquet library. Choose jsonl or csv, or install it where the server runs: "
            "pip install 'adaptive-engine[parquet]'",
            code="parquet_unavailable",
            param="format",
        ) from exc

    whole = "created_at" in columns
    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

    def kind(name: str) -> Any:
        if name in _NUMBERS:
            return pa.int64()
        if name == "cost":
            return pa.float64()
        if name in _TIMES:
            return pa.timestamp("ms", tz="UTC")
        if not whole and (name in _TURNS or name in ("messages", "completion")):
            return turns
        return pa.string()

    schema = pa.schema([(name, kind(name)) for name in columns])

    def write(pages: Iterable[list[dict[str, Any]]]) -> Iterator[bytes]:
        sink = _Sink()
        with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), schema, compression="zstd") as writer:
            for records in _regrouped(pages):
                cells = {name: [_cell(record[name], whole) for record in records] for name in columns}
                writer.write_table(pa.table(cells, schema=schema))
                yield sink.take()
        yield sink.take()

    return write


def _cell(value: Any, whole: bool) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, list | dict) and whole:
        return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
    if isinstance(value, list):
        return [{**turn, "content": _cell(turn["content"], whole=True)} for turn in value]
    return value


def _regrouped(pages: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for records in pages:
        group += records
        if len(group) >= GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


class _Sink(io.RawIOBase):
    """A file that only grows, and whose bytes are taken away as they come."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken
