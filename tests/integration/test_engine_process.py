"""The engine process is killed, freezes or hangs: what it answered ends with an error, and all else goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from adaptive_engine.registry import ModelDirectory
from integration.processes import engine_of, lives, until
from integration.server import MODEL, Server, place_model, start
from integration.wire import PROMPT, ask, post, streaming

STREAMS = 4
ENDLESS = {"max_tokens": 4000, "ignore_eos": True}
ECHO = {"key": "echo", "name": "Echo", "provider": "fake", "external_model_id": "echo"}


def readyz(server: Server) -> dict[str, Any]:
    body: dict[str, Any] = requests.get(f"{server.url}/readyz", timeout=5).json()
    return body


@pytest.fixture(scope="module")
def server(shallow_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("engine-process")
    place_model(shallow_model_dir.path, data_dir)
    env = {"ADAPTIVE_ENGINE__HEARTBEAT_SECONDS": "3", "ADAPTIVE_ENGINE__KV_CACHE_LEN": "8192"}
    running = start(data_dir, env=env, quick=True)
    added = post(running, "/admin/models/external", ECHO)
    assert added.ok, added.text
    assert post(running, "/admin/models/echo/deploy", {"project": "default"}).ok
    yield running
    assert running.stop() == 0, running.log.read_text()


def last_event(lines: Iterator[str]) -> dict[str, Any]:
    last = [line for line in lines if line][-1]
    event: dict[str, Any] = json.loads(last.removeprefix("data: "))
    return event


def require_answers_of_others(server: Server) -> None:
    assert requests.get(f"{server.url}/livez", timeout=1).ok
    answer = ask(server, model="default/echo", max_tokens=None)
    assert answer.json()["choices"][0]["message"]["content"] == PROMPT[0]["content"]
    listed = requests.get(f"{server.api}/interactions?project=default", headers=server.headers, timeout=5)
    assert listed.json()["data"]


def require_answer(server: Server) -> None:
    until(lambda: readyz(server)["status"] == "ok", "the model does not come back")
    answer = ask(server)
    assert answer.ok, answer.text


def test_killed_under_streams(server: Server) -> None:
    old = engine_of(server.process.pid)
    with streaming(server, STREAMS, **ENDLESS) as replies, ThreadPoolExecutor(STREAMS + 1) as threads:
        waiting = threads.submit(ask, server, **ENDLESS)
        os.kill(old, signal.SIGKILL)
        began = time.monotonic()
        errors = [event["error"] for event in threads.map(last_event, replies)]
        assert time.monotonic() - began < 2
        require_answers_of_others(server)
        assert {error["code"] for error in errors} == {"engine_restarted"}
        body = waiting.result()
        assert (body.status_code, body.json()["error"]["code"]) in [(500, "engine_restarted"), (503, "model_loading")]
    require_answer(server)
    assert engine_of(server.process.pid) != old
    assert server.logs("was ended by SIGKILL")
    found = requests.get(f"{server.api}/interactions", params={"project": "default"}, headers=server.headers).json()
    states = [row["state"] for row in found["data"] if (row["error"] or {}).get("code") == "engine_restarted"]
    assert len(states) >= STREAMS
    assert set(states) == {"error"}


def test_a_crash_tells_why_while_the_model_is_loaded_again(server: Server) -> None:
    os.kill(engine_of(server.process.pid), signal.SIGSEGV)
    until(lambda: readyz(server)["status"] != "ok", "the crash is not noticed")
    told = readyz(server)["problems"]
    assert not told or told[0].startswith(f"model '{MODEL}': ")
    refused = ask(server)
    assert refused.ok or refused.json()["error"]["code"] in ("model_loading", "engine_restarted")
    require_answers_of_others(server)
    require_answer(server)
    assert server.logs("was ended by SIGSEGV")


def test_frozen_under_streams(server: Server) -> None:
    frozen = engine_of(server.process.pid)
    with streaming(server, STREAMS, **ENDLESS) as replies, ThreadPoolExecutor(STREAMS) as threads:
        os.kill(frozen, signal.SIGSTOP)
        require_answers_of_others(server)
        assert {event["error"]["code"] for event in threads.map(last_event, replies)} == {"engine_restarted"}
    require_answer(server)
    assert not lives(frozen)
    assert server.logs("no sign of life")


def test_a_client_that_leaves_frees_its_place(server: Server) -> None:
    with streaming(server, 2, **ENDLESS):
        until(lambda: cache_used(server) > 0, "the requests have no cache")
    until(lambda: cache_used(server) == 0, "the cache of a request is kept for nobody")


def cache_used(server: Server) -> int:
    found = requests.get(f"{server.api}/admin/models/{MODEL}", headers=server.headers, timeout=5).json()
    used: int = found["memory"]["kv_cache_used"]
    return used


def test_no_process_outlives_a_server_that_is_killed(shallow_data_dir: Path) -> None:
    server = start(shallow_data_dir, quick=True)
    engine = engine_of(server.process.pid)
    with streaming(server, 1, **ENDLESS):
        server.stop(signal.SIGKILL)
        until(lambda: not lives(engine), "the engine process is an orphan")


def test_no_process_outlives_a_server_that_is_killed_while_it_is_frozen(shallow_data_dir: Path) -> None:
    server = start(shallow_data_dir, quick=True)
    engine = engine_of(server.process.pid)
    os.kill(engine, signal.SIGSTOP)
    server.stop(signal.SIGKILL)
    until(lambda: not lives(engine), "the engine process is an orphan")
