"""Cells and lines of exports, whatever texts they are made of."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_engine.services import exports
from adaptive_engine.services.exports import Export
from adaptive_engine.store import Database
from adaptive_engine.store.filters import And, InteractionFilter
from adaptive_engine.types import Project
from unit.services.platform import compare, store_answer

_RISKY = st.sampled_from(
    ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", '"', ",", ";", "\x00", "|", " "]
)
TEXTS = st.lists(_RISKY | st.text(max_size=3), max_size=8).map("".join)


@settings(max_examples=50)
@given(rows=st.lists(st.lists(TEXTS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_a_cell_is_read_back_and_runs_nothing(rows: list[list[str]]) -> None:
    written = exports._csv([exports._cell(text) for text in row] for row in rows).decode()
    read = list(csv.reader(io.StringIO(written, newline="")))
    assert [[cell.removeprefix("'") for cell in row] for row in read] == [
        [text.removeprefix("'") for text in row] for row in rows
    ]
    for row in read:
        for cell in row:
            assert not cell.startswith(
                ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
            ), cell


@pytest.mark.parametrize("kind", ["interactions", "messages", "sft"])
def test_a_line_is_a_record(database: Database, project: Project, kind: Any) -> None:
    texts = ["\n", "\r\n", "\u2028", "\x00", '"', "\\", "{}\n{}", "\ud800", "\ufeff"]
    for text in texts:
        store_answer(database, project, "a", completion=text, messages=[{"role": "user", "content": text}], user=text)
    wanted = InteractionFilter(project.id, And(()))
    export = Export(project, wanted, kind, "jsonl", False, None, None)
    lines = b"".join(exports.chunks(database, export)).split(b"\n")
    assert lines.pop() == b""
    assert len([json.loads(line) for line in lines]) == len(texts)


def test_long_interactions_come_a_few_at_a_time(
    database: Database, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE_CHARACTERS", 10_000)
    # Ids of one millisecond have no order.
    for at, length in enumerate([4_000] * 6 + [30_000] + [10] * 20):
        store_answer(database, project, "a", completion="a" * length, created_at=at)
    export = Export(project, InteractionFilter(project.id, And(())), "interactions", "jsonl", False, None, None)
    pages = [chunk.splitlines() for chunk in exports.chunks(database, export)]
    assert len({json.loads(line)["id"] for page in pages for line in page}) == 27
    assert [len(page) for page in pages] == [2, 2, 2, 1, 20]


def test_long_pairs_come_a_few_at_a_time(database: Database, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE_CHARACTERS", 10_000)
    for length in [2_000] * 3 + [30_000] + [10] * 2:
        preferred, other = (store_answer(database, project, completion="a" * length).id for _ in range(2))
        compare(database, project, preferred, other)
    export = Export(project, InteractionFilter(project.id, And(())), "preferences", "jsonl", False, None, None)
    pages = [chunk.splitlines() for chunk in exports.chunks(database, export)]
    assert sum(map(len, pages)) == 6
    assert len(pages) < 6
    for page in pages:
        pairs = [json.loads(line) for line in page]
        sides = [pair[side][0]["content"] for pair in pairs for side in ("chosen", "rejected")]
        assert len(page) == 1 or sum(map(len, sides)) <= 10_000
