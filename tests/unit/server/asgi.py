"""A request as a server hands it over: no client library tidies its path, its method or its headers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

# Of the moment, and so of no interest in a comparison.
_PASSING = {"x-request-id", "openai-processing-ms"}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """Of a failure, which has this shape always."""
        body = self.json()
        assert body.keys() == {"error"}, body
        assert body["error"].keys() == {"message", "type", "param", "code"}, body
        assert self.headers["content-type"] == "application/json"
        found: dict[str, Any] = body["error"]
        return found

    @property
    def told(self) -> tuple[int, dict[str, str], bytes]:
        """All that a client could tell two answers apart by."""
        return self.status, {name: value for name, value in self.headers.items() if name not in _PASSING}, self.body


async def send(
    app: Any,
    method: str,
    target: str,
    body: bytes = b"",
    headers: Mapping[str, str | bytes] | None = None,
    key: str | None = None,
) -> Answer:
    """`target` is the path and the query as they stand in the request's first line."""
    path, _, query = target.partition("?")
    given: dict[str, str | bytes] = {"host": "localhost", **(headers or {})}
    if body:
        given = {"content-type": "application/json", "content-length": str(len(body)), **given}
    if key is not None:
        given["authorization"] = f"Bearer {key}"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.encode(), value if isinstance(value, bytes) else value.encode("latin-1"))
            for name, value in given.items()
        ],
        "server": ("localhost", 9000),
        "client": ("localhost", 1),
    }
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Any] = []

    async def receive() -> Any:
        if not waiting:
            # A client that stays.
            await asyncio.Event().wait()
        return waiting.pop()

    async def answer(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, answer)
    head, *rest = sent
    return Answer(
        head["status"],
        {name.decode(): value.decode("latin-1") for name, value in head["headers"]},
        b"".join(message.get("body", b"") for message in rest),
    )
