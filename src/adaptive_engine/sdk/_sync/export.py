# Generated from _async/export.py by scripts/unasync.py. Edit that file, then run the script.
"""POST /api/v1/interactions/export, written into a file as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx2

from adaptive_engine.sdk.errors import APIConnectionError
from adaptive_engine.sdk.http import Call
from adaptive_engine.sdk.payloads import encode
from adaptive_engine.sdk.records import Records, already_there

if TYPE_CHECKING:
    from adaptive_engine.sdk._sync.client import Adaptive


def write_export(
    client: Adaptive,
    body: Mapping[str, Any],
    file: str | Path | IO[bytes],
    *,
    resume: bool,
    progress: Callable[[int], None] | None,
) -> int:
    """The number of bytes written. Raises what the call raises; APIConnectionError when it breaks and cannot go on."""
    asked = {**body}
    start = 0
    if resume:
        if not isinstance(file, str | Path) or asked["format"] == "parquet":
            raise ValueError("Only a jsonl or csv file given by its path can be continued")
        start, asked["after"] = already_there(Path(file), asked)
    # First, so that an export which is refused neither makes a file nor empties the one that is there.
    response = _ask(client, asked)
    try:
        mode = "r+b" if start else "wb"
        with open(file, mode) if isinstance(file, str | Path) else nullcontext(file) as out:
            if start:
                out.seek(start)
                out.truncate()
            return _receive(client, asked, response, out, progress)
    finally:
        response.close()


def _ask(client: Adaptive, asked: Mapping[str, Any]) -> httpx2.Response:
    return client._send(Call("POST", "/interactions/export", content=encode(asked), stream=True))


def _receive(
    client: Adaptive,
    asked: dict[str, Any],
    response: httpx2.Response,
    out: IO[bytes],
    progress: Callable[[int], None] | None,
) -> int:
    written = 0
    attempts = client._transport.settings.max_retries
    records = Records(asked, header=asked.get("after") is None)
    whole = asked["format"] == "parquet"
    while True:
        before = written
        try:
            for piece in response.iter_bytes():
                ready = piece if whole else records.feed(piece)
                out.write(ready)
                written += len(ready)
                if progress is not None:
                    progress(written)
            return written
        except httpx2.RequestError as exc:
            attempts = client._transport.settings.max_retries if written > before else attempts - 1
            if whole or attempts < 0:
                raise APIConnectionError(
                    f"The export broke after {written} bytes ({exc}); export again with resume=True."
                    if not whole
                    else f"The export broke after {written} bytes ({exc}); a Parquet file must be exported anew."
                ) from exc
            records.drop()
            if records.last_id is not None:
                asked = {**asked, "after": records.last_id}
        finally:
            response.close()
        response = _ask(client, asked)
