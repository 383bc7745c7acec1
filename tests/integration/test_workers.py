"""`adaptive serve --workers 2`: two processes on one socket, one store and one engine process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from adaptive_engine.registry import ModelDirectory
from integration.processes import children, engine_of, lives, until
from integration.server import Server, place_model, start
from integration.wire import ask, post, streaming
from unit.registry.gguf_builder import tiny_model

ECHO = {"key": "echo", "name": "Echo", "provider": "fake", "external_model_id": "echo"}
SLOW = ECHO | {"key": "slow", "extra_params": {"answer": "word " * 400, "delay_ms": 20}}


def workers(server: Server) -> list[int]:
    return children(server.process.pid, "adaptive_engine.cli.worker")


@pytest.fixture(scope="module")
def server(shallow_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data_dir = tmp_path_factory.mktemp("workers")
    place_model(shallow_model_dir.path, data_dir)
    (data_dir / "sources").mkdir()
    env = {"ADAPTIVE_ENGINE__KV_CACHE_LEN": "8192", "ADAPTIVE_IMPORT_DIR": str(data_dir / "sources")}
    running = start(data_dir, "--workers", "2", env=env, quick=True)
    for body in (ECHO, SLOW):
        added = post(running, "/admin/models/external", body)
        assert added.ok, added.text
        assert post(running, f"/admin/models/{body['key']}/deploy", {"project": "default"}).ok
    yield running
    mine = [*workers(running), engine_of(running.process.pid)]
    assert running.stop() == 0, running.log.read_text()
    assert not any(map(lives, mine))
    assert not list(data_dir.glob("*worker*"))


def test_both_share_one_engine_process(server: Server) -> None:
    assert len(workers(server)) == 2
    assert engine_of(server.process.pid)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: ask(server), range(4)))
    assert {answer.json()["choices"][0]["message"]["content"] for answer in answers} == {
        answers[0].json()["choices"][0]["message"]["content"]
    }
    assert requests.get(f"{server.url}/readyz", timeout=5).json() == {"status": "ok", "problems": []}


def test_what_one_has_changed_the_other_knows(server: Server) -> None:
    """Each request has a connection of its own, so it meets either of them."""
    for number in range(8):
        made = post(server, "/projects", {"key": f"p{number}", "name": f"P {number}"})
        assert made.ok, made.text

        def known(path: str = f"/projects/p{number}") -> bool:
            return all(requests.get(f"{server.api}{path}", headers=server.headers).ok for _ in range(6))

        # Told at once, but not before the answer.
        until(known, "the other worker was not told")


def test_each_lets_its_part_of_a_limit_through(server: Server) -> None:
    settings = {"limits": {"requests_per_minute": 100_000}}
    changed = requests.patch(f"{server.api}/projects/default", json={"settings": settings}, headers=server.headers)
    assert changed.ok, changed.text

    def limited() -> bool:
        answer = ask(server, model="default/echo", max_tokens=None)
        return answer.headers.get("x-ratelimit-limit-requests") == "50000"

    until(lambda: all(limited() for _ in range(4)), "half of the limit is not what each has")


def test_either_tells_the_metrics_of_both(server: Server) -> None:
    before = answers_of_both(server)
    for _ in range(8):
        assert ask(server, model="default/echo", max_tokens=None).ok
    # Whoever is asked says the same.
    assert {answers_of_both(server) for _ in range(6)} == {before + 8}


def answers_of_both(server: Server) -> float:
    """A worker that is late is left out."""
    found: dict[str, float] = {}

    def told() -> bool:
        found.clear()
        found.update(answers_by_worker(server))
        return set(found) == {"0", "1"}

    until(told, "one of them never tells")
    return sum(found.values())


def answers_by_worker(server: Server) -> dict[str, float]:
    text = requests.get(f"{server.url}/metrics", headers=server.headers, timeout=30).text
    found: dict[str, float] = {}
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "adaptive_request_success_total" and sample.labels["model_name"] == "echo":
                found[sample.labels["worker"]] = found.get(sample.labels["worker"], 0) + sample.value
            if sample.name == "process_resident_memory_bytes":
                found.setdefault(sample.labels["worker"], 0)
            if sample.name == "adaptive_engine_steps_total":
                assert "worker" not in sample.labels
    return found


def test_an_import_is_followed_at_either(server: Server) -> None:
    tiny_model(server.data_dir / "sources" / "tiny.gguf")
    begun = post(server, "/admin/imports", {"path": "tiny.gguf"}).json()

    def states_of_it() -> set[str | None]:
        path = f"{server.api}/admin/imports/{begun['id']}"
        return {requests.get(path, headers=server.headers, timeout=30).json().get("state") for _ in range(6)}

    until(lambda: states_of_it() == {"COMPLETED"}, "it does not end, or not for both")


def test_one_is_killed_under_streams(server: Server) -> None:
    """Its streams are cut off and their interactions closed; those of the other go on, and another takes its place."""
    killed, other = workers(server)
    with streaming(server, 12, model="default/slow") as streams:
        until(lambda: states(server).get("pending") == len(streams), "they are not on record")
        os.kill(killed, signal.SIGKILL)
        with ThreadPoolExecutor(len(streams)) as threads:
            ends = list(threads.map(end_of, streams))
    finished = ends.count("data: [DONE]")
    assert finished + ends.count("cut off") == len(streams)
    until(lambda: len(workers(server)) == 2, "no other takes its place")
    assert other in workers(server)
    assert killed not in workers(server)
    until(lambda: states(server).get("pending", 0) == 0, "what the dead one ran is not closed")
    assert states(server).get("aborted", 0) == len(streams) - finished
    assert ask(server).ok
    assert server.logs(f"worker {killed} has ended with status -9")


def end_of(lines: Iterator[str]) -> str:
    last = ""
    try:
        for line in lines:
            last = line or last
    except requests.exceptions.RequestException:
        return "cut off"
    return last


def states(server: Server) -> dict[str, int]:
    query = {"project": "default", "model": "slow", "limit": "100"}
    rows: list[dict[str, Any]] = requests.get(
        f"{server.api}/interactions", params=query, headers=server.headers
    ).json()["data"]
    found = [row["state"] for row in rows]
    return {state: found.count(state) for state in found}


def test_the_engine_process_is_killed(server: Server) -> None:
    engine = engine_of(server.process.pid)
    os.kill(engine, signal.SIGKILL)
    assert ask(server, model="default/echo", max_tokens=None).ok
    until(lambda: all(ask(server).ok for _ in range(4)), "the models do not come back")
    assert len(workers(server)) == 2


def test_nothing_outlives_a_server_that_is_killed(small_data_dir: Path) -> None:
    server = start(small_data_dir, "--workers", "2", quick=True)
    mine = [*workers(server), engine_of(server.process.pid)]
    assert len(mine) == 3
    os.kill(mine[0], signal.SIGSTOP)
    server.stop(signal.SIGKILL)
    until(lambda: not any(map(lives, mine)), "a process is an orphan")
    again = start(small_data_dir, quick=True)
    assert again.stop() == 0
    assert not list(small_data_dir.glob("*.worker"))


def test_workers_need_the_engine_process(small_data_dir: Path) -> None:
    with pytest.raises(AssertionError, match="ADAPTIVE_ENGINE__OWN_PROCESS"):
        start(small_data_dir, "--workers", "2", env={"ADAPTIVE_ENGINE__OWN_PROCESS": "false"}, quick=True)
