"""What a server and its engine process say to each other arrives as it was said."""

from __future__ import annotations

import dataclasses

import pytest

from adaptive_engine.errors import AdaptiveError, ContextLengthExceeded, FirstTokenTimeout, ModelOffline, Overloaded
from adaptive_engine.services.engine_process import frames, messages
from adaptive_engine.services.internal import engine_request
from adaptive_engine.types import ChatMessage, Delta, Image, Timings, TokenLogprob, Usage, uuid7
from adaptive_engine.wire.chat import ResponseFormat
from unit.services.test_engine_process import asked


def test_a_frame_is_whole_whatever_pieces_it_comes_in() -> None:
    huge = 10**40
    sent = b"".join(frames.message({"type": "a", "n": huge}, b"\0pixels")) + frames.deltas([[7, 1, "hé"]])
    reader = frames.FrameReader()
    found = [frame for at in range(len(sent)) for frame in reader.feed(sent[at : at + 1])]
    assert found == [frames.Frame({"type": "a", "n": huge}, b"\0pixels"), frames.Frame([[7, 1, "hé"]])]
    assert list(reader.feed(sent)) == found
    with pytest.raises(frames.BadFrame):
        list(reader.feed(b"GET / HTTP/1.1\r\n"))


def test_a_request_arrives_as_it_was_sent() -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"maximum": 10**30, "minimum": float("-inf")}},
        "x-own": [1.5, None],
    }
    sent = engine_request(
        asked(
            temperature=0.5,
            n=3,
            stop=["a", "b"],
            logprobs=True,
            top_logprobs=2,
            session_id=uuid7(),
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        )
    )
    pictures = [Image.of(2, 1, b"abcdef"), Image.of(1, 1, b"xyz")]
    turns = [*sent.turns, ChatMessage("user", ("See ", pictures[0], " and ", pictures[1]), "ann")]
    sent = dataclasses.replace(sent, turns=turns)
    (frame,) = frames.FrameReader().feed(b"".join(frames.message(*messages.request_message(sent))))
    assert messages.read_request(frame.content, frame.payload) == sent


def test_a_format_to_check_arrives_as_it_was_sent() -> None:
    project = asked().deployment.project
    schema = {"type": "json_schema", "json_schema": {"schema": {"const": float("inf")}, "strict": True}}
    for sent in ((ResponseFormat.model_validate(schema), project, 7), (None, project, None)):
        (frame,) = frames.FrameReader().feed(b"".join(frames.message(messages.check_message(*sent))))
        assert messages.read_check(frame.content) == sent


@pytest.mark.parametrize(
    "error",
    [
        ContextLengthExceeded(300, 256, "tiny"),
        Overloaded("Full.", code="project_overloaded", retry_after=7),
        FirstTokenTimeout(50, "it waited"),
        ModelOffline("Gone."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_as_it_was_raised(error: AdaptiveError) -> None:
    found = messages.read_error(messages.error_message(error))
    assert type(found) is type(error)
    assert (str(found), vars(found), found.body()) == (str(error), vars(error), error.body())


def test_a_defect_does_not_say_what_it_was_about() -> None:
    found = messages.read_error(messages.error_message(ValueError("a secret prompt")))
    assert (found.status, found.code) == (500, "internal_error")
    assert "secret" not in found.message


@pytest.mark.parametrize(
    "delta",
    [
        Delta("some text"),
        Delta("", logprobs=(TokenLogprob(b"\xc3", -0.5, ((b"\xc3", -0.5), (b"\xff\0", float("-inf")))),)),
        Delta("end", "length", Usage(3, 4, 1), Timings(1.0, 2.5, 3.0), (TokenLogprob(b"d", 0.0),)),
    ],
    ids=["text", "logprobs", "last"],
)
def test_a_delta_arrives_as_it_was_sent(delta: Delta) -> None:
    (frame,) = frames.FrameReader().feed(frames.deltas([messages.delta_entry(5, 9, delta)]))
    assert frame.content[0][:2] == [5, 9]
    assert messages.read_delta(frame.content[0]) == delta
