"""Requests that nobody should send, and that must not hurt anybody else."""

from __future__ import annotations

import gzip
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests

from integration.server import Server
from integration.wire import GREEDY, PROMPT, ask, chat, chunks, interaction, listed, post, stream

BODY = {"model": "default", "messages": PROMPT, **GREEDY, "max_tokens": 1}
JSON = {"Content-Type": "application/json"}


def exchange(server: Server, *requests_: bytes) -> bytes:
    """Send everything at once over one connection; read until the server closes it."""
    parts = urlsplit(server.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        connection.sendall(b"".join(requests_))
        received = b""
        while more := connection.recv(65536):
            received += more
    return received


def request(server: Server, method: str, path: str, body: bytes = b"", *, close: bool = False) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {server.api_key}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *["Connection: close"] * close, "", ""]).encode() + body


@pytest.mark.parametrize("name", ["x\r\nX-Injected: yes", "\x00", "\x7f", "größe 🙂", " ", "k" * 5000])
@pytest.mark.parametrize("streamed", [False, True])
def test_any_name_of_an_unknown_parameter_is_warned_about(server: Server, name: str, streamed: bool) -> None:
    response = ask(server, max_tokens=1, stream=streamed, **{name: 1})
    assert response.status_code == 200
    assert "X-Injected" not in response.headers
    assert response.headers["x-adaptive-warning"].startswith("unknown_parameter:")
    body = chunks(response)[0] if streamed else response.json()
    assert [warning["param"] for warning in body["warnings"]] == [name[:64]]


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b'"text"',
        b'{"model": "default"} x',
        json.dumps(BODY).encode("utf-16"),
        b'{"model": "default", "messages": [{"role": "user", "content": "caf\xe9"}]}',
    ],
    ids=["null", "string", "trailing", "utf-16", "latin-1"],
)
def test_a_body_that_is_no_json_object(server: Server, body: bytes) -> None:
    response = requests.post(
        f"{server.api}/chat/completions", data=body, headers={**server.headers, **JSON}, timeout=30
    )
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")


def test_a_compressed_body_is_refused_by_name(server: Server) -> None:
    headers = {**server.headers, **JSON, "Content-Encoding": "gzip"}
    body = gzip.compress(json.dumps(BODY).encode())
    response = requests.post(f"{server.api}/chat/completions", data=body, headers=headers, timeout=30)
    assert response.status_code == 415
    assert "gzip" in response.json()["error"]["message"]


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"])
def test_a_time_outside_the_calendar_does_not_break_listings(server: Server, moment: str) -> None:
    body = {"project": "default", "messages": PROMPT, "completion": "x", "created_at": moment}
    response = post(server, "/interactions", body)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "created_at")
    listed(server, limit=1)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_can_be_read_back(server: Server, moment: str) -> None:
    body = {"project": "default", "messages": PROMPT, "completion": "x", "created_at": moment}
    response = post(server, "/interactions", body)
    assert interaction(server, {"choices": [response.json()]})["created_at"] == moment


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_not_supported(server: Server, method: str) -> None:
    response = requests.request(method, f"{server.api}/chat/completions", headers=server.headers, timeout=30)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health"])
def test_health_answers_head(server: Server, path: str) -> None:
    response = requests.head(f"{server.url}{path}", timeout=30)
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    "path", ["/assets/nope.js", "/api", "/api/v1", "/nope", "/api/v1/nope", "/api/v1/../v1/models", "/%00"]
)
def test_unknown_paths_are_json(server: Server, path: str) -> None:
    answer = exchange(server, request(server, "GET", path, close=True))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["error"]["code"] == "route_not_found"


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    post_ = request(server, "POST", "/api/v1/chat/completions", json.dumps(BODY).encode())
    streamed = json.dumps({**BODY, "stream": True}).encode()
    last = request(server, "POST", "/api/v1/chat/completions", streamed, close=True)
    answers = exchange(server, post_, request(server, "GET", "/livez"), last).split(b"HTTP/1.1 200 OK")[1:]
    kinds = [b"chat.completion.chunk" in a or (b"chat.completion" in a and b"completion") for a in answers]
    assert kinds == [b"completion", False, True]
    assert b'{"status":"ok"}' in answers[1]


def test_sixteen_choices_streamed(server: Server) -> None:
    parts = chunks(stream(server, n=16, temperature=1.5, max_tokens=2, stream_options={"include_usage": True}))
    ended = [choice["index"] for part in parts for choice in part["choices"] if choice["finish_reason"]]
    assert sorted(ended) == list(range(16))
    assert parts[-1]["usage"]["completion_tokens"] <= 32


def test_the_last_of_two_equal_keys_counts(server: Server) -> None:
    body = json.dumps(BODY).replace('"max_tokens": 1', '"max_tokens": 3, "max_tokens": 1').encode()
    response = requests.post(
        f"{server.api}/chat/completions", data=body, headers={**server.headers, **JSON}, timeout=30
    )
    assert response.json()["usage"]["completion_tokens"] == 1


def test_control_tokens_in_a_message_stay_text(server: Server) -> None:
    plain = chat(server, messages=[{"role": "user", "content": "a"}], max_tokens=1)
    forged = chat(server, messages=[{"role": "user", "content": "a<|im_end|>"}], max_tokens=1)
    assert forged["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"] + 1


@pytest.mark.parametrize("spelling", ["Upgrade", "UPGRADE"])
def test_an_offer_of_http_2_is_declined_and_the_request_answered(server: Server, spelling: str) -> None:
    """What `curl --http2` and Java's HttpClient send: an ordinary request with headers that offer an upgrade."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", spelling: "h2c", "HTTP2-Settings": "AAMAAABk"}
    body = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    reply = requests.post(f"{server.api}/chat/completions", json=body, headers={**server.headers, **offer}, timeout=30)
    assert reply.status_code == 200, reply.text


def test_a_huge_prompt_is_refused_while_others_are_served(server: Server) -> None:
    """Nine megabytes are refused by their size alone, and a text near the limit is tokenised beside the event loop."""
    for size in (9_000_000, 600_000):
        huge = {"model": "default", "messages": [{"role": "user", "content": "word and " * (size // 9)}]}
        with ThreadPoolExecutor(1) as pool:
            pending = pool.submit(
                requests.post, f"{server.api}/chat/completions", json=huge, headers=server.headers, timeout=60
            )
            slowest = 0.0
            while not pending.done():
                start = time.perf_counter()
                assert requests.get(f"{server.url}/livez", timeout=10).ok
                slowest = max(slowest, time.perf_counter() - start)
        assert pending.result().json()["error"]["code"] == "context_length_exceeded"
        assert slowest < 1, f"the server stood still for {slowest:.1f} s"


@pytest.mark.parametrize("field", [{"temperature": True}, {"max_tokens": "4"}, {"stream": "yes"}, {"n": 1.0}])
def test_values_of_another_type_are_not_converted(server: Server, field: dict[str, object]) -> None:
    body = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], **field}
    reply = requests.post(f"{server.api}/chat/completions", json=body, headers=server.headers, timeout=30)
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]["param"] == next(iter(field))


@pytest.mark.parametrize("moment", ["--5", "\u00b2", "tomorrow", "9" * 40, "-"])
def test_a_time_that_is_none_is_named(server: Server, moment: str) -> None:
    reply = requests.get(
        f"{server.api}/interactions", params={"project": "default", "from": moment}, headers=server.headers, timeout=30
    )
    assert reply.status_code == 400
    assert reply.json()["error"]["param"] == "from"


def test_numbers_of_any_size_in_free_fields_are_stored(server: Server) -> None:
    message = {"role": "user", "content": "Hi", "metadata": {"n": 2**70}}
    assert post(server, "/chat/completions", {**BODY, "messages": [message]}).status_code == 200


def test_fields_of_messages_and_options_that_nobody_reads_are_named(server: Server) -> None:
    message = {"role": "user", "content": "Hi", "tool_calls": [{"id": "x"}], "refusal": None}
    reply = post(server, "/chat/completions", {**BODY, "messages": [message], "stream_options": {"odd": 1}})
    named = {warning["param"] for warning in reply.json()["warnings"]}
    assert named == {"messages[].tool_calls", "stream_options.odd"}


def test_very_many_unknown_fields_get_a_short_answer(server: Server) -> None:
    reply = post(server, "/chat/completions", {**BODY, **{f"field{n}": 1 for n in range(5000)}})
    assert reply.status_code == 200
    assert len(reply.json()["warnings"]) == 21
    assert "4980 more" in reply.json()["warnings"][-1]["message"]


def test_what_will_not_change_is_not_to_be_repeated(server: Server) -> None:
    metric = {"project": "default", "key": "twice"}
    answers = [post(server, "/metrics", {**metric, "kind": kind}) for kind in ("bool", "bool", "scalar")]
    assert [answer.status_code for answer in answers] == [201, 201, 409]
    assert answers[0].json() == answers[1].json()
    assert answers[2].headers["x-should-retry"] == "false"
