from __future__ import annotations

import io
import json
import sys
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.services import parquet
from adaptive_engine.services.parquet import parquet_file


def record(n: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"{n}"}], "id": UUID(int=n)}


def test_pages_become_row_groups_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "GROUP_ROWS", 4)
    pages = [[record(n) for n in range(first, first + 3)] for first in range(0, 9, 3)]
    chunks = list(parquet_file(("messages", "id"))(pages))
    assert len(chunks) == 3
    file = pq.ParquetFile(io.BytesIO(b"".join(chunks)))
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [6, 3]
    assert file.read().to_pylist() == [{**record(n), "id": str(UUID(int=n))} for n in range(9)]


def test_turns_with_pictures_are_json_text() -> None:
    parts = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": "/images/p/a.png"}}]
    pages = [[{"prompt": [{"role": "user", "content": parts}, {"role": "user", "content": "Hi"}], "id": UUID(int=1)}]]
    (row,) = pq.read_table(io.BytesIO(b"".join(parquet_file(("prompt", "id"))(pages)))).to_pylist()
    assert [json.loads(row["prompt"][0]["content"]), row["prompt"][1]["content"]] == [parts, "Hi"]


def test_a_file_without_rows_has_its_columns() -> None:
    table = pq.read_table(io.BytesIO(b"".join(parquet_file(("id", "created_at", "labels"))([]))))
    assert (table.num_rows, table.column_names) == (0, ["id", "created_at", "labels"])


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidRequest, match=r"pip install 'adaptive-engine\[parquet\]'") as caught:
        parquet_file(("id",))
    assert (caught.value.param, caught.value.code) == ("format", "parquet_unavailable")
