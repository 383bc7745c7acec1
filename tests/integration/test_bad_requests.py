"""Each mistake gets its documented answer, soon, in one shape."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from budgets import least
from integration.server import MODEL, Server

CHAT = "/chat/completions"
HELLO = [{"role": "user", "content": "Hello"}]
FAST = 0.1


def post(server: Server, data: Any, key: str | None = None, content_type: str = "application/json") -> Any:
    """The quickest of several: another program on the machine may have the processor for some of them."""
    headers = {"Authorization": f"Bearer {key or server.api_key}", "Content-Type": content_type}
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    replies = []

    def seconds() -> float:
        start = time.perf_counter()
        replies.append(requests.post(f"{server.api}{CHAT}", data=raw, headers=headers, timeout=20))
        return time.perf_counter() - start

    quickest = least(seconds, FAST)
    assert quickest < FAST, f"took {quickest:.3f} s"
    return replies[-1]


def chat(**changes: Any) -> dict[str, Any]:
    return {"model": "default", "messages": HELLO, "max_tokens": 4, **changes}


def deep(levels: int) -> bytes:
    return b'{"model":"default","messages":' + b"[" * levels + b"]" * levels + b"}"


MISTAKES: dict[str, tuple[Any, int, str, str | None]] = {
    "unknown project": (chat(model="nope"), 404, "project_not_found", "model"),
    "unknown model": (chat(model="default/nope"), 404, "model_not_found", "model"),
    "empty messages": (chat(messages=[]), 400, "invalid_request", "messages"),
    "no messages": ({"model": "default"}, 400, "invalid_request", "messages"),
    "unknown role": (chat(messages=[{"role": "wizard", "content": "x"}]), 400, "invalid_request", "messages[0].role"),
    "no content": (chat(messages=[{"role": "user"}]), 400, "invalid_request", "messages[0].content"),
    "content is a number": (
        chat(messages=[*HELLO, {"role": "user", "content": 7}]), 400, "invalid_request", "messages[1].content"),
    "unknown part": (
        chat(messages=[{"role": "user", "content": [{"type": "audio"}]}]), 400, "invalid_request",
        "messages[0].content[0]"),
    "temperature -1": (chat(temperature=-1), 400, "invalid_request", "temperature"),
    "temperature 1e400": (b'{"model":"default","messages":[{"role":"user","content":"x"}],"temperature":1e400}',
                          400, "invalid_request", "temperature"),
    "temperature NaN": (b'{"model":"default","messages":[{"role":"user","content":"x"}],"temperature":NaN}',
                        400, "invalid_request", "temperature"),
    "top_p 0": (chat(top_p=0), 400, "invalid_request", "top_p"),
    "max_tokens 0": (chat(max_tokens=0), 400, "invalid_request", "max_tokens"),
    "max_tokens 2^63": (chat(max_tokens=2**63), 400, "invalid_request", "max_tokens"),
    "n 10^9": (chat(n=10**9), 400, "invalid_request", "n"),
    "n 0": (chat(n=0), 400, "invalid_request", "n"),
    "seed 2^64": (chat(seed=2**64), 400, "invalid_request", "seed"),
    "too many stops": (chat(stop=["x"] * 10**5), 400, "invalid_request", "stop"),
    "stream is a word": (chat(stream="maybe"), 400, "invalid_request", "stream"),
    "session is no UUID": (chat(session_id="mine"), 400, "invalid_request", "session_id"),
    "labels are no text": (chat(labels={"a": {"b": 1}}), 400, "invalid_request", "labels.a"),
    "prompt too long": (chat(messages=[{"role": "user", "content": "word " * 9000}]), 400,
                        "context_length_exceeded", "messages"),
    "image for a text model": (
        chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "data:image/png;base64,AA"}]}]),
        400, "modality_unsupported", "messages[0].content[0]"),
    "schema without an envelope": (chat(response_format={"type": "json_schema"}), 400, "invalid_request",
                                   "response_format"),
    "envelope without a schema": (chat(response_format={"type": "json_schema", "json_schema": {"name": "x"}}),
                                  400, "invalid_request", "response_format.json_schema.schema"),
    "broken JSON": (b'{"model": "default", "mess', 400, "invalid_request", None),
    "empty body": (b"", 400, "invalid_request", None),
    "a list": (b"[]", 400, "invalid_request", None),
    "depth 1000": (deep(1000), 400, "invalid_request", None),
    "depth 100000": (deep(100_000), 400, "invalid_request", None),
    "lone surrogate": (b'{"model":"default","messages":[{"role":"user","content":"\\ud800"}]}',
                       400, "invalid_request", None),
    "20 MB": (b'{"model":"default","messages":[{"role":"user","content":"' + b"x" * 20_000_000 + b'"}]}',
              413, "payload_too_large", None),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_with_its_field_and_soon(server: Server, name: str) -> None:
    data, status, code, param = MISTAKES[name]
    reply = post(server, data)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["param"]) == (status, code, param), error
    assert error.keys() == {"message", "type", "param", "code"}
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]


def test_a_wrong_key_is_refused_and_nothing_is_stored(server: Server) -> None:
    reply = post(server, chat(labels={"case": "wrong-key"}), key="ad_wrong_key_wrong_key")
    assert reply.status_code == 401
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.json()["error"]["code"] == "invalid_api_key"
    listed = requests.get(
        f"{server.api}/interactions", params={"project": "default", "label": "case=wrong-key"}, headers=server.headers
    )
    assert listed.json()["data"] == []


def test_a_form_is_named_as_such(server: Server) -> None:
    reply = post(server, b"model=default", content_type="application/x-www-form-urlencoded")
    assert reply.status_code == 415
    assert "Content-Type: application/json" in reply.json()["error"]["message"]


def test_a_prompt_too_long_names_length_and_limit(server: Server) -> None:
    message = post(server, chat(messages=[{"role": "user", "content": "word " * 9000}])).json()["error"]["message"]
    assert "8192" in message
    assert "9031 tokens" in message


def test_a_model_key_alone_gets_a_hint(server: Server) -> None:
    message = post(server, chat(model=MODEL)).json()["error"]["message"]
    assert f"default/{MODEL}" in message


def test_unknown_paths_are_json_and_need_a_key(server: Server) -> None:
    assert requests.get(f"{server.url}/nope", timeout=5).status_code == 401
    reply = requests.get(f"{server.api}/nope", headers=server.headers, timeout=5)
    assert reply.status_code == 404
    assert reply.json()["error"]["code"] == "route_not_found"
    wrong_method = requests.get(f"{server.api}{CHAT}", headers=server.headers, timeout=5)
    assert wrong_method.status_code == 405
    assert wrong_method.json()["error"]["code"] == "method_not_allowed"


def test_all_routes_but_the_public_ones_need_a_key(server: Server) -> None:
    paths = requests.get(f"{server.url}/openapi.json", timeout=5).json()["paths"]
    public = {"/livez", "/readyz", "/health", "/version"}
    assert public <= paths.keys()
    for path in paths.keys() - public:
        for spelling in (path, f"/{path}", f"{path}/", path.replace("/api/v1", "/v1"), path.upper()):
            for method in ("GET", "POST", "PUT", "DELETE"):
                reply = requests.request(method, server.url + spelling, timeout=5)
                assert reply.status_code == 401, f"{method} {spelling}: {reply.status_code}"
