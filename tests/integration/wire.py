"""Requests by hand and what they leave behind, for tests that look at the wire itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import uuid4

import requests

from integration.processes import PATIENCE
from integration.server import Server

PROMPT = [{"role": "user", "content": "Name three colours."}]
GREEDY: dict[str, Any] = {"max_tokens": 6, "temperature": 0}


def post(server: Server, path: str, body: Any, **options: Any) -> requests.Response:
    """POST below /api/v1 with a valid key."""
    return requests.post(f"{server.api}{path}", json=body, headers=server.headers, timeout=30, **options)


def ask(server: Server, **fields: Any) -> requests.Response:
    """A short greedy chat of the default project; `fields` replace or add to its body, None removes."""
    body = {"model": "default", "messages": PROMPT, **GREEDY, **fields}
    return post(server, "/chat/completions", {name: value for name, value in body.items() if value is not None})


def chat(server: Server, **fields: Any) -> dict[str, Any]:
    """The body of an answer that must be a good one."""
    response = ask(server, **fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def text(answer: dict[str, Any]) -> str:
    content: str = answer["choices"][0]["message"]["content"]
    return content


def stream(server: Server, **fields: Any) -> requests.Response:
    """A finished stream: the whole event stream is in `content`."""
    response = ask(server, stream=True, **fields)
    assert response.status_code == 200, response.text
    return response


@contextmanager
def streaming(server: Server, count: int, **fields: Any) -> Iterator[list[Iterator[str]]]:
    """The lines of so many streams that run, of each of which the first was read."""
    body = {"model": "default", "messages": PROMPT, "stream": True, **fields}
    with ExitStack() as replies:
        streams = []
        for _ in range(count):
            reply = replies.enter_context(
                requests.post(
                    f"{server.api}/chat/completions", json=body, headers=server.headers, stream=True, timeout=PATIENCE
                )
            )
            assert reply.ok, reply.text
            streams.append(reply.iter_lines(decode_unicode=True))
        for lines in streams:
            assert next(lines).startswith("data: ")
        yield streams


def chunks(response: requests.Response) -> list[dict[str, Any]]:
    """The JSON of each event before [DONE], read without an SSE library."""
    events = response.content.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def streamed_text(parts: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for part in parts for choice in part["choices"]]
    return "".join(choice["delta"]["content"] for choice in choices if choice["index"] == index)


def stored(server: Server, completion_id: str) -> dict[str, Any] | None:
    """The interaction of a completion, or None where there is none."""
    response = requests.get(f"{server.api}/interactions/{completion_id}", headers=server.headers, timeout=30)
    assert response.status_code in (200, 404), response.text
    return response.json() if response.status_code == 200 else None


def interaction(server: Server, answer: dict[str, Any]) -> dict[str, Any]:
    """What is stored for the first choice of an answer."""
    found = stored(server, answer["choices"][0]["completion_id"])
    assert found is not None
    return found


def listed(server: Server, *labels: str, **filters: Any) -> list[dict[str, Any]]:
    """The interactions of the default project that match."""
    query = {"project": "default", "label": labels, **filters}
    response = requests.get(f"{server.api}/interactions", params=query, headers=server.headers, timeout=30)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["data"]
    return found


def is_uuid(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) is not None


def unique() -> str:
    """A label value that no other test uses."""
    return f"run {uuid4().hex[:12]}"
