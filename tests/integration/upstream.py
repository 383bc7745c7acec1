"""An upstream in a thread of its own, and its models registered at a server of ours."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from faultserver import WORDS, FaultServer

KEY = "sk-canary-0123456789abcdef-CANARY"
ANSWER = "".join(WORDS)
ASKED = [{"role": "user", "content": "What is the answer?"}]


@contextmanager
def running_upstream(upstream: FaultServer | None = None) -> Iterator[FaultServer]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    upstream = upstream or FaultServer()
    asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(5)
    try:
        yield upstream
    finally:
        asyncio.run_coroutine_threadsafe(upstream.__aexit__(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def idle(upstream: FaultServer) -> bool:
    """Whether it has nothing to do any more, within a second."""
    stopped = threading.Event()
    for _ in range(200):
        if not upstream.busy:
            return True
        stopped.wait(0.005)
    return False


class Models:
    """Registers each model of the upstream when it is first asked for, and deploys it."""

    def __init__(self, http: httpx2.Client, upstream: FaultServer) -> None:
        self._http = http
        self._upstream = upstream
        self._known: set[str] = set()

    def __call__(self, name: str, *, key: str | None = None, **given: Any) -> str:
        key = key or f"x-{name}"
        if key not in self._known:
            body = {"name": key, "provider": "openai_compatible", "external_model_id": name, "api_key": KEY}
            body |= {"endpoint": self._upstream.url, "key": key, **given}
            made = self._http.post("/admin/models/external", json=body)
            assert made.status_code == 201, made.text
            deployed = self._http.post("/projects/default/models", json={"model": key, "wait": True})
            assert deployed.status_code == 200, deployed.text
            self._known.add(key)
        return f"default/{key}"


def ask(http: httpx2.Client, model: str, **more: Any) -> httpx2.Response:
    return http.post("/chat/completions", json={"model": model, "messages": ASKED, **more})


def events(response: httpx2.Response) -> list[Any]:
    """The data of each event, JSON where it is; `[DONE]` as text."""
    found = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    return [event if event == "[DONE]" else json.loads(event) for event in found]


def row(http: httpx2.Client, model: str) -> dict[str, Any]:
    """The newest interaction of a model."""
    key = model.partition("/")[2]
    found: dict[str, Any] = http.get("/interactions", params={"project": "default", "model": key, "limit": 1}).json()
    newest: dict[str, Any] = found["data"][0]
    return newest
