"""What is stored of a completion whose client does not read it to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from adaptive_engine.engine import Delta, TokenStream
from adaptive_engine.services.completion import Choice, Completion
from adaptive_engine.types import Interaction, uuid7


class Rows:
    """A recorder that keeps what it is given."""

    def __init__(self) -> None:
        self.finished: list[Interaction] = []

    async def finish(self, rows: Sequence[Interaction]) -> None:
        self.finished += rows


def choice(index: int) -> Choice:
    row = Interaction(
        id=uuid7(), project_id=uuid7(), session_id=uuid7(), messages=[], state="pending", source="LIVE", created_at=0
    )
    return Choice(index, TokenStream(lambda stream: None), row)


async def test_text_of_several_choices_that_nobody_read_any_more_is_stored_without_gaps() -> None:
    rows: Any = Rows()
    prepared: Any = SimpleNamespace(store=True)
    structured: Any = None
    choices = [choice(0), choice(1)]
    completion = Completion(prepared, choices, structured, rows, "chatcmpl-1")
    deltas = completion.deltas()
    for each in choices:
        each.stream.deliver(Delta("one "))
    await anext(deltas)
    # From here on the client is too slow.
    for word in ("two ", "three"):
        for each in choices:
            each.stream.deliver(Delta(word))
        await asyncio.sleep(0.01)
    await completion.cancel()
    assert [row.completion for row in rows.finished] == ["one two three"] * 2
    await deltas.aclose()  # type: ignore[attr-defined]
