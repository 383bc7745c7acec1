from __future__ import annotations

import json

import pytest
from client import Piece, read_answer

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(text: str = "", **fields: object) -> bytes:
    content = {"choices": [{"delta": {"content": text}}], **fields}
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def chunk(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


END = chunk(event("", usage={"prompt_tokens": 7, "completion_tokens": 3})) + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def test_an_answer_is_read_with_the_times_at_which_text_came() -> None:
    pieces: list[Piece] = [
        (1.0, HEAD),
        (2.0, chunk(event(""))),
        (3.0, chunk(event("Once")) + chunk(event(" upon"))),
        (4.0, chunk(b": ping\n\n")),
        (5.0, chunk(event(" a")) + END),
    ]
    answer = read_answer(0.5, pieces)
    assert answer.text == "Once upon a"
    assert answer.arrivals == (3.0, 5.0)
    assert answer.ttft == 2.5
    assert answer.ended == 5.0
    assert (answer.prompt_tokens, answer.completion_tokens) == (7, 3)


def test_an_event_counts_when_its_last_byte_is_there() -> None:
    raw = HEAD + chunk(event("Once")[:20]) + chunk(event("Once")[20:]) + END
    answer = read_answer(0.0, [(float(number), raw[number : number + 1]) for number in range(len(raw))])
    ended = len(HEAD + chunk(event("Once")[:20]) + chunk(event("Once")[20:])) - len(b"\r\n") - 1
    assert answer.text == "Once"
    assert answer.arrivals == (float(ended),)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "closed the connection"),
        (b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"error": "busy"}', "busy"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "did not stream"),
        (HEAD + chunk(event("Once")), "cut off"),
        (HEAD + chunk(b'data: {"error": "the engine failed"}\n\n'), "the engine failed"),
    ],
)
def test_anything_but_a_whole_answer_is_an_error(raw: bytes, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        read_answer(0.0, [(1.0, raw)])


def test_an_answer_without_text_has_no_first_token() -> None:
    with pytest.raises(RuntimeError, match="without text"):
        _ = read_answer(0.0, [(1.0, HEAD + END)]).ttft
