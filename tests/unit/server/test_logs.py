"""What the log says of a request."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import structlog

from adaptive_engine.server.app import create_app
from adaptive_engine.server.lifespan import Services
from adaptive_engine.telemetry.logging import _stderr, configure

ASKED = {"model": "default", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4, "ignore_eos": True}


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What was logged since the last call, as JSON."""
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    # Not `sys.stderr` itself, which pytest sets anew between a fixture and its test.
    monkeypatch.setattr("adaptive_engine.telemetry.logging.sys", SimpleNamespace(stderr=written))
    configure("json")

    def take() -> list[dict[str, Any]]:
        # What only informs may wait a moment.
        _stderr._flush_waiting()
        text = written.getvalue()
        written.seek(0)
        written.truncate()
        return [json.loads(line) for line in text.splitlines()]

    yield take
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def key(services: Services) -> str:
    services.engines.wait()
    return services.keys.create("application", "admin")[1]


def client_of(services: Services, **telemetry: Any) -> httpx2.AsyncClient:
    changed = services.settings.telemetry.model_copy(update=telemetry)
    settings = services.settings.model_copy(update={"telemetry": changed})
    app = create_app(dataclasses.replace(services, settings=settings))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server/api/v1")


async def test_a_slow_request_says_where_its_time_went(services: Services, key: str, logged: Lines) -> None:
    async with client_of(services, slow_request_seconds=1e-6) as client:
        body = {**ASKED, "n": 2, "stream": True}
        await client.post("chat/completions", json=body, headers={"x-api-key": key, "x-request-id": "slow-1"})
        await client.get("projects", headers={"x-api-key": key})
    chat, other = (line for line in logged() if line["event"] == "slow request")
    assert (chat["request_id"], chat["level"], other["choices"]) == ("slow-1", "warning", [])
    assert len(chat["choices"]) == 2
    for choice in chat["choices"]:
        assert choice.keys() == {"route_ms", "prepare_ms", "queue_ms", "prefill_ms", "decode_ms", "store_ms"}
        assert 0 < sum(choice.values()) <= chat["ms"] + 1


async def test_a_fast_request_is_a_line(services: Services, key: str, logged: Lines) -> None:
    for seconds in (30, 0):
        async with client_of(services, slow_request_seconds=seconds) as client:
            await client.get("projects", headers={"x-api-key": key})
            await client.get("http://server/readyz")
        (line,) = logged()
        assert (line["event"], line["path"], line["status"]) == ("request", "/api/v1/projects", 200)


async def test_a_defect_shows_no_key(
    services: Services, key: str, logged: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError(f"cannot use {key} here")

    monkeypatch.setattr(type(services.completions), "start", fail)
    app = create_app(services)
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://server/api/v1") as client:
        failed = await client.post("chat/completions", json=ASKED, headers={"x-api-key": key})
    assert failed.status_code == 500
    lines = logged()
    (defect,) = (line for line in lines if line["event"] == "unhandled error")
    assert "RuntimeError: cannot use [redacted] here" in defect["exception"]
    assert defect["request_id"] == failed.headers["x-request-id"]
    assert key not in json.dumps(lines) + failed.text


async def test_all_that_is_logged_for_a_request_has_its_id(services: Services, key: str, logged: Lines) -> None:
    """Also what the standard library's loggers say, in other tasks and in threads."""
    headers = {"x-api-key": key, "x-request-id": "mine-1"}
    secret = "sk-canary-of-a-provider"
    model = {"name": "broken", "provider": "fake", "external_model_id": "e", "api_key": secret}
    model |= {"extra_params": {"error": f"the key {secret} is not {key}"}}
    async with client_of(services) as client:
        made = await client.post("admin/models/external", json=model, headers=headers)
        assert made.status_code == 201, made.text
        await client.post("projects/default/models", json={"model": "broken", "wait": True}, headers=headers)
        asked = {**ASKED, "model": "default/broken", "n": 2, "ignore_eos": False}
        assert (await client.post("chat/completions", json=asked, headers=headers)).status_code == 502
    lines = logged()
    failures = [line for line in lines if line["event"].startswith("external model broken")]
    assert failures
    assert {line["request_id"] for line in lines} == {"mine-1"}
    assert all("the key [redacted] is not [redacted]" in line["event"] for line in failures)
    assert secret not in json.dumps(lines)
