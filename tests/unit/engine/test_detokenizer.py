"""Streamed text: whole characters, and stop strings wherever they fall."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adaptive_engine.engine.detokenizer import TextStream


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


def stream(parts: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    text = TextStream(stop)
    out = []
    for part in parts:
        out.append(text.push(part))
        if text.stopped:
            return out, True
    return [*out, text.flush()], False


@given(st.text(), st.lists(st.integers(0, 200)))
def test_any_cut_of_the_bytes_gives_the_same_text(text: str, cuts: list[int]) -> None:
    out, _ = stream(pieces(text.encode(), cuts))
    assert "".join(out) == text


@given(
    st.text(alphabet="ab\u20ac", max_size=30),
    st.lists(st.integers(0, 90)),
    st.lists(st.text(alphabet="ab\u20ac", min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_text_ends_where_the_first_stop_string_becomes_complete(text: str, cuts: list[int], stop: list[str]) -> None:
    out, stopped = stream(pieces(text.encode(), cuts), tuple(stop))
    shown = "".join(out)
    found = [text.find(s) for s in stop if s in text]
    assert stopped == bool(found)
    assert text.startswith(shown)
    assert not any(s in shown for s in stop)
    if not stopped:
        assert shown == text


def test_text_that_cannot_become_a_stop_string_is_not_held() -> None:
    text = TextStream(("STOP",))
    assert text.push(b"hello S") == "hello "
    assert text.push(b"ea") == "Sea"
    assert text.push(b" ST") == " "
    assert text.push(b"OP and more") == ""
    assert text.stopped


def test_an_unfinished_character_is_never_shown() -> None:
    text = TextStream()
    assert text.push("\u20ac".encode()[:2]) == ""
    assert text.flush() == ""


def test_invalid_bytes_are_replaced() -> None:
    assert "".join(stream([b"a\xff", b"b"])[0]) == "a\ufffdb"
