"""Events of a provider are the same in whatever pieces they arrive."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_engine.errors import UpstreamFailed
from adaptive_engine.providers.sse import MAX_EVENT_BYTES, EventReader

_LINES = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data:  c",
        b"data",
        b"data:",
        b": ping",
        b"event: x",
        b"id: 1",
        b"",
        b"\xff\xfe",
        b"retry: 1",
    ]
)
_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(_LINES, _ENDS), max_size=30).map(lambda parts: b"".join(a + b for a, b in parts))


def read(*pieces: bytes) -> list[bytes]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.rest()


def events(stream: bytes) -> list[bytes]:
    """By the words of the standard, as far as they are about data."""
    found: list[bytes] = []
    data: list[bytes] = []
    for line in [*stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            found.append(b"\n".join(data))
            data = []
    return found


@given(stream=STREAMS | st.binary(max_size=80), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_pieces_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[start:end] for start, end in pairwise(places)]
    assert read(*pieces) == read(*(stream[at : at + 1] for at in range(len(stream)))) == events(stream)


def test_an_event_has_an_end() -> None:
    with pytest.raises(UpstreamFailed, match="more than"):
        read(b"data: " + b"a" * MAX_EVENT_BYTES)


def test_an_event_in_many_pieces_costs_its_length_and_not_the_square_of_it() -> None:
    reader = EventReader()
    begun = time.process_time()
    for _ in range(100_000):
        reader.feed(b"data: abc\n")
    assert time.process_time() - begun < 1
    assert len(reader.rest()[0]) == 100_000 * 4 - 1
