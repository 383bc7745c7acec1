"""Exports: a project's interactions as a stream of bytes, for people, for other systems, and for training.

Read in pages, each in a short transaction of its own, so that an export of hours holds up nothing. It has what was
recorded when it began, in the order of time, as it is when its page is read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import orjson

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services import images
from adaptive_engine.services import interactions as service
from adaptive_engine.services.metrics import find_scorable
from adaptive_engine.services.parquet import parquet_file
from adaptive_engine.store import Connection, Database, interactions, preferences
from adaptive_engine.store.filters import And, Equals, InteractionFilter
from adaptive_engine.store.interactions import StoredInteraction
from adaptive_engine.store.scans import Position, positions
from adaptive_engine.types import Interaction, Project, made_at, now_ms, uuid_or_none
from adaptive_engine.wire.interactions import ExportFormat, ExportKind, InteractionExport

PAGE_ROWS = 500
# And so many characters, or a single interaction or pair: those with whole books in them could fill the memory.
PAGE_CHARACTERS = 2**22
MEDIA_TYPES: dict[ExportFormat, str] = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}

T = TypeVar("T")
Record = dict[str, Any]
# What a spreadsheet would take for a formula, and run.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

# The columns of each kind, in order; CSV and Parquet have them even where there are no rows.
_WHOLE = (
    *("id", "created_at", "completed_at", "project", "session_id", "model", "state", "source", "finish_reason", "user"),
    *("messages", "completion", "labels", "scores", "prompt_tokens", "completion_tokens", "cached_tokens"),
    *("parameters", "timings", "warnings", "error", "prompt_hash", "request_id", "choice_index"),
    *("ab_test_id", "created_by", "provider", "external_model", "attempts", "cost", "currency", "reasoning"),
)
COLUMNS: dict[ExportKind, tuple[str, ...]] = {
    "interactions": _WHOLE,
    "messages": ("messages", "id"),
    "sft": ("prompt", "completion", "id"),
    "preferences": ("prompt", "chosen", "rejected", "metric", "id"),
}


@dataclass(frozen=True, slots=True)
class Export:
    """What to send, checked."""

    project: Project
    wanted: InteractionFilter
    kind: ExportKind
    format: ExportFormat
    with_images: bool
    """Images are in the file, not only named."""
    metric_id: UUID | None
    after: Position | None


def prepare(connection: Connection, project: Project, asked: InteractionExport) -> Export:
    """Raises what `interactions.select` raises, and InvalidRequest for a place or a metric that makes no sense here."""
    wanted = service.select(connection, project, asked)
    if asked.kind != "interactions" and asked.state is None:
        # A model should not learn from half an answer.
        wanted = InteractionFilter(project.id, And((wanted.where, Equals("state", ("complete",)))))
    if asked.metric is not None and asked.kind != "preferences":
        raise InvalidRequest("Only preferences are exported by metric; use `filter.scores` for others.", param="metric")
    if asked.images == "data" and asked.format != "jsonl":
        raise InvalidRequest(f"Images fit into jsonl, not into {asked.format}.", param="images")
    metric_id = None
    if asked.metric is not None:
        metric_id = find_scorable(connection, project.id, asked.metric).id
    if asked.format == "parquet":
        # Whether its library is there must be known before the answer begins.
        parquet_file(COLUMNS[asked.kind])
    place = _place(connection, project, asked)
    return Export(project, wanted, asked.kind, asked.format, asked.images == "data", metric_id, place)


def chunks(database: Database, export: Export) -> Generator[bytes]:
    """The file, page by page. Between two chunks nothing is held open."""
    columns = COLUMNS[export.kind]
    pages = _records(database, export)
    if export.with_images:
        pages = _with_images(database, export.project, pages)
    if export.format == "jsonl":
        for records in pages:
            yield b"".join(orjson.dumps(record, option=_JSON) + b"\n" for record in records)
    elif export.format == "csv":
        # A file that is continued has its first line already.
        yield b"" if export.after is not None else _csv([list(columns)])
        for records in pages:
            yield _csv([_cell(record[name]) for name in columns] for record in records)
    else:
        yield from parquet_file(columns)(pages)


_JSON = orjson.OPT_UTC_Z


def _records(database: Database, export: Export) -> Iterator[list[Record]]:
    return _pairs(database, export) if export.kind == "preferences" else _interactions(database, export)


def _pairs(database: Database, export: Export) -> Iterator[list[Record]]:
    begun_at = now_ms()
    place = export.after
    while True:
        with database.read() as connection:
            found, place = preferences.list_after(
                connection, export.wanted, metric_id=export.metric_id, after=place, limit=PAGE_ROWS
            )
            pairs = [pair for pair in found if made_at(pair.id) <= begun_at]
            chosen = interactions.lengths(connection, [pair.preferred_id for pair in pairs])
            rejected = interactions.lengths(connection, [pair.other_id for pair in pairs])
        for some in _bounded(pairs, [sum(both) for both in zip(chosen, rejected, strict=True)]):
            with database.read() as connection:
                records = [_pair(pair) for pair in preferences.load(connection, some) if _same_prompt(pair)]
            if records:
                yield records
        if place is None:
            return


def _interactions(database: Database, export: Export) -> Iterator[list[Record]]:
    begun_at = now_ms()
    place = export.after
    record = _RECORDS[export.kind]
    while True:
        with database.read() as connection:
            found, place = positions(connection, export.wanted, limit=PAGE_ROWS, after=place)
            ids = [each.id for each in found if made_at(each.id) <= begun_at]
            lengths = interactions.lengths(connection, ids)
        for some in _bounded(ids, lengths):
            with database.read() as connection:
                records = [record(item, export.project.key) for item in interactions.load(connection, some)]
            if records:
                yield records
        if place is None:
            return


def _bounded(items: Sequence[T], lengths: Sequence[int]) -> Iterator[list[T]]:
    """`items` in parts of at most PAGE_CHARACTERS each, or of one."""
    some: list[T] = []
    total = 0
    for item, length in zip(items, lengths, strict=True):
        if some and total + length > PAGE_CHARACTERS:
            yield some
            some, total = [], 0
        some.append(item)
        total += length
    if some:
        yield some


def _with_images(database: Database, project: Project, pages: Iterator[list[Record]]) -> Iterator[list[Record]]:
    """One by one: a page of images could fill the memory."""
    for records in pages:
        for record in records:
            column = "messages" if "messages" in record else "prompt"
            if any(isinstance(message["content"], list) for message in record[column]):
                with database.read() as connection:
                    record[column] = images.embedded(connection, project.id, record[column])
            yield [record]


def _whole(stored: StoredInteraction, project_key: str) -> Record:
    row = stored.interaction
    usage = row.usage
    return {
        "id": row.id,
        "created_at": _time(row.created_at),
        "completed_at": None if row.completed_at is None else _time(row.completed_at),
        "project": project_key,
        "session_id": row.session_id,
        "model": row.model_key,
        "state": row.state,
        "source": row.source,
        "finish_reason": row.finish_reason,
        "user": row.user,
        "messages": row.messages,
        "completion": row.completion,
        "labels": row.labels,
        "scores": [
            {
                "metric": score.metric_key,
                "value": score.value,
                "reason": score.reason,
                "details": score.details,
                "created_at": _time(score.created_at),
            }
            for score in stored.scores
        ],
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "parameters": row.parameters,
        "timings": row.timings,
        "warnings": row.warnings,
        "error": row.error,
        "prompt_hash": row.prompt_hash,
        "request_id": row.request_id,
        "choice_index": row.choice_index,
        "ab_test_id": row.ab_test_id,
        "created_by": row.created_by,
        "provider": row.provider,
        "external_model": row.external_model,
        "attempts": row.attempts,
        "cost": row.cost,
        "currency": row.currency,
        "reasoning": row.reasoning,
    }


def _messages(stored: StoredInteraction, _: str) -> Record:
    row = stored.interaction
    return {"messages": [*_prompt(row), _answer(row)], "id": row.id}


def _sft(stored: StoredInteraction, _: str) -> Record:
    row = stored.interaction
    return {"prompt": _prompt(row), "completion": [_answer(row)], "id": row.id}


_RECORDS: dict[ExportKind, Callable[[StoredInteraction, str], Record]] = {
    "interactions": _whole,
    "messages": _messages,
    "sft": _sft,
}


def _pair(pair: preferences.Preference) -> Record:
    return {
        "prompt": _prompt(pair.chosen),
        "chosen": [_answer(pair.chosen)],
        "rejected": [_answer(pair.rejected)],
        "metric": pair.metric_key,
        "id": pair.id,
    }


def _same_prompt(pair: preferences.Preference) -> bool:
    """Answers to different questions are no preference."""
    return _prompt(pair.chosen) == _prompt(pair.rejected)


def _prompt(row: Interaction) -> list[dict[str, Any]]:
    return [{"role": message["role"], "content": _content(message.get("content"))} for message in row.messages]


def _answer(row: Interaction) -> dict[str, str]:
    return {"role": "assistant", "content": row.completion}


def _content(content: Any) -> str | list[dict[str, Any]]:
    """Text, but parts where there are images among them."""
    if isinstance(content, str):
        return content
    parts = list(content or ())
    return parts if any("text" not in part for part in parts) else "".join(part["text"] for part in parts)


def _csv(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | dict):
        return orjson.dumps(value, option=_JSON).decode()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _place(connection: Connection, project: Project, asked: InteractionExport) -> Position | None:
    if asked.after is None:
        return None
    gone = InvalidRequest(
        f"There is no record '{asked.after}' in this project (any more). Pass the id of another one, or export anew.",
        param="after",
    )
    id_ = uuid_or_none(asked.after)
    if id_ is None:
        raise gone
    if asked.kind == "preferences":
        place = preferences.position(connection, project.id, id_)
    else:
        stored = interactions.get(connection, [project.id], id_)
        place = None if stored is None else Position(stored.interaction.created_at, id_)
    if place is None:
        raise gone
    return place
