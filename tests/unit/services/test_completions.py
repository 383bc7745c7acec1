"""What is stored of a completion whose client does not read it to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from adaptive_engine.engine import Delta, TokenStream
from adaptive_engine.services.completion import Choice, Completion
from adaptive_engine.types import Interaction, Notice, TokenLogprob, Usage, uuid7


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


@pytest.mark.parametrize(
    ("wanted", "known", "told", "warned"),
    [
        (True, [], (), ["choices[0].logprobs"]),
        (True, [], (TokenLogprob(b"Hi", -0.5),), []),
        (True, [Notice("not_applied", "The model does not take logprobs.", "logprobs")], (), []),
        (False, [], (), []),
    ],
)
async def test_log_probabilities_that_a_provider_leaves_out_are_warned_of(
    wanted: bool, known: list[Notice], told: tuple[TokenLogprob, ...], warned: list[str]
) -> None:
    rows: Any = Rows()
    prepared: Any = SimpleNamespace(store=True, logprobs=wanted, warnings=known, prices=None)
    structured: Any = None
    only = choice(0)
    completion = Completion(prepared, [only], structured, rows, "chatcmpl-1")
    only.stream.deliver(Delta("Hi", logprobs=told))
    only.stream.deliver(Delta("", "length", Usage(1, 1)))
    assert "".join([delta.text async for _, delta in completion.deltas()]) == "Hi"
    assert [notice.param for notice in only.notices] == warned
    assert [warning["param"] for warning in rows.finished[0].warnings] == warned
