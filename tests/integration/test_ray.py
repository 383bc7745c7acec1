"""Two servers on one store, and two replicas of a model on a Ray cluster that both of them ask."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import pytest
import ray
import requests
from click.testing import Result
from ray.util import list_named_actors
from typer.testing import CliRunner

from adaptive_engine.cli.deploy import app
from adaptive_engine.deploy.ray import cluster
from adaptive_engine.deploy.ray.options import ReplicaOptions
from adaptive_engine.engine import EngineStats
from adaptive_engine.errors import NotFound
from adaptive_engine.registry import import_model
from adaptive_engine.services.engine_process.messages import NEWS
from adaptive_engine.settings import EngineSettings
from integration.processes import PATIENCE, until
from integration.server import MODEL, Server, place_model, start
from integration.wire import ask, chat, chunks, post, stream, streamed_text, streaming, text
from postgres import PostgresServer
from unit.registry.gguf_builder import model_metadata, model_tensors, write_gguf

LONG = 60_000
"""Tokens that take the small model longer than a test."""
NUMBERS = {"n": {"enum": [1, 22, 333]}}
SHAPE = {"type": "object", "properties": NUMBERS, "required": ["n"], "additionalProperties": False}
NUMBER = {"type": "json_schema", "json_schema": {"name": "number", "schema": SHAPE}}


def adaptive(*arguments: str, data_dir: Path) -> Result:
    """`adaptive deploy ray` of this process, which is part of the cluster."""
    environment = {"ADAPTIVE_DATA_DIR": str(data_dir), "ADAPTIVE_ENGINE__KV_CACHE_LEN": str(4 * LONG)}
    return CliRunner().invoke(app, ["ray", *arguments], env=environment)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a model of one layer and a long context."""
    directory = tmp_path_factory.mktemp("ray")
    metadata = model_metadata() | {"llama.context_length": 2 * LONG}
    import_model(write_gguf(directory / "long.gguf", metadata, model_tensors(metadata)), directory / "models", MODEL)
    return directory


@pytest.fixture(scope="module")
def address(data_dir: Path) -> Iterator[str]:
    """Of a cluster of this process, on which the model runs twice."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            "local",
            num_cpus=1,
            object_store_memory=80 * 2**20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
        try:
            engine = EngineSettings(kv_cache_len=4 * LONG)
            cluster.deploy(
                ReplicaOptions(
                    model=MODEL, models_dir=data_dir / "models", min_replicas=2, max_replicas=2, cpus=0.5, engine=engine
                )
            )
            yield ray.get_runtime_context().gcs_address
        finally:
            ray.shutdown()


@pytest.fixture(scope="module")
def servers(address: str, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    postgres = PostgresServer()
    try:
        postgres.create()
        with postgres.database() as url:
            env = {"ADAPTIVE_RAY__ADDRESS": address, "ADAPTIVE_DB__URL": url, "ADAPTIVE_APP__SECRET": "s" * 32}
            directories = [tmp_path_factory.mktemp("server") for _ in range(2)]
            for directory in directories:
                place_model(data_dir / "models" / MODEL, directory)
            with ThreadPoolExecutor() as threads:
                running = list(threads.map(lambda directory: start(directory, env=env, quick=True), directories))
            yield running
            assert [server.stop() for server in running] == [0, 0], running[0].log.read_text()
    finally:
        postgres.destroy()


@pytest.fixture
def server(servers: list[Server]) -> Server:
    return servers[0]


def replicas() -> list[EngineStats]:
    """What each replica has counted."""
    answers = cluster.handle(MODEL).broadcast("news").results(timeout_s=PATIENCE)
    found = [NEWS.validate_python(answer).stats for answer in answers]
    return [stats for stats in found if stats is not None]


def actors() -> set[str]:
    """Names of the replicas' actors."""
    names = {each["name"] for each in list_named_actors(all_namespaces=True)}
    return {name for name in names if name.startswith("SERVE_REPLICA::") and MODEL in name}


def long_prompt(word: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"{word}: " + "Name three colours of the sea. " * 3}]


def long_streams(server: Server, count: int, tokens: int) -> AbstractContextManager[list[Iterator[str]]]:
    return streaming(server, count, messages=long_prompt("sea"), max_tokens=tokens, ignore_eos=True)


def end_of(lines: Iterator[str]) -> str:
    """The error's code that a stream ends with, or `[DONE]`."""
    last = [line for line in lines if line][-1].removeprefix("data: ")
    return last if last == "[DONE]" else json.loads(last)["error"]["code"]


def test_what_runs_on_the_cluster_is_changed_and_listed(address: str, data_dir: Path) -> None:
    before = actors()
    options = ("--address", address, "--min-replicas", "2", "--max-replicas", "3", "--cpus", "0.5")
    changed = adaptive(MODEL, *options, "--target-requests", "50", data_dir=data_dir)
    assert actors() == before, "replicas that run already are started anew, and lose their sessions"
    assert changed.stdout == f"Model '{MODEL}' runs on the cluster with 2 replicas.\n"
    listed = adaptive("--address", address, data_dir=data_dir)
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["MODEL", "STATE", "REPLICAS", "MESSAGE"],
        [MODEL, "RUNNING", "2"],
    ]
    unknown = adaptive("nothing", "--remove", "--address", address, data_dir=data_dir)
    assert isinstance(unknown.exception, NotFound)
    assert "'nothing' does not run on the cluster" in unknown.exception.message


def test_servers_answer_with_the_replicas(servers: list[Server]) -> None:
    for server in servers:
        assert requests.get(f"{server.url}/readyz", timeout=5).json() == {"status": "ok", "problems": []}
    answers = [chat(server, max_tokens=20, logprobs=True) for server in servers]
    assert text(answers[0]) == text(answers[1]) != ""
    parts = chunks(stream(servers[1], max_tokens=20))
    assert streamed_text(parts) == text(answers[0])
    shown = requests.get(f"{servers[0].api}/admin/models/{MODEL}", headers=servers[0].headers, timeout=5).json()
    assert (shown["state"], shown["memory"]["kv_cache_used"]) == ("ONLINE", 0)
    two = chat(server, n=2, temperature=1, seed=3, max_tokens=20)
    assert [choice["index"] for choice in two["choices"]] == [0, 1]


def test_answers_match_a_schema(server: Server) -> None:
    answers = [chat(server, response_format=NUMBER, temperature=1, seed=seed, max_tokens=40) for seed in range(4)]
    assert {json.loads(text(answer))["n"] for answer in answers} <= {1, 22, 333}


def test_what_an_engine_refuses_is_refused_as_it_says(server: Server) -> None:
    refused = ask(server, messages=[{"role": "user", "content": "x" * (2 * LONG + 1)}])
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    wrong = {"name": "wrong", "strict": True, "schema": {"type": "object", "minProperties": "two"}}
    refused = ask(server, response_format={"type": "json_schema", "json_schema": wrong})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"].startswith("response_format")
    report = post(server, "/structured/validate", {"model": "default", "schema": SHAPE})
    assert report.ok, report.text


def test_a_session_finds_its_replica_from_either_server(servers: list[Server]) -> None:
    before = [stats.finished for stats in replicas()]
    for number in range(8):
        session, messages = str(uuid4()), long_prompt(f"session {number}")
        for turn in range(3):
            answer = chat(servers[turn % 2], messages=messages, session_id=session, max_tokens=20)
            cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
            assert (cached > 0) == (turn > 0), f"turn {turn} of session {number}"
            messages = [*messages, {"role": "assistant", "content": text(answer)}, {"role": "user", "content": "And?"}]
    after = [stats.finished for stats in replicas()]
    assert sum(after) - sum(before) == 24
    assert all(count > 0 for count in after), "one replica has all sessions"


def test_a_client_that_leaves_frees_its_place(server: Server) -> None:
    before = sum(stats.cancelled for stats in replicas())
    with long_streams(server, 2, LONG):
        until(lambda: sum(stats.running for stats in replicas()) == 2, "the streams do not run")
    until(lambda: all(stats.running == 0 for stats in replicas()), "a replica generates for nobody")
    found = replicas()
    assert sum(stats.cancelled for stats in found) - before == 2
    assert all(stats.kv_blocks_used == 0 for stats in found)


def test_a_replica_is_killed_under_streams(servers: list[Server]) -> None:
    """Its streams end with an error that says so, the other's go on, and the next requests are answered."""
    killed = ray.get_actor(next(iter(actors())), namespace="serve")
    pid = ray.get(killed.__ray_call__.remote(lambda _: os.getpid()))
    with long_streams(servers[0], 8, 1500) as streams:
        os.kill(pid, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{pid}").exists(), "the replica lives on")
        answers = [ask(servers[number % 2], session_id=str(uuid4())) for number in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 8
        with ThreadPoolExecutor(len(streams)) as threads:
            ends = list(threads.map(end_of, streams))
    assert set(ends) == {"replica_lost", "[DONE]"}
    until(lambda: cluster.applications()[MODEL].replicas == 2, "no replica takes the place of the killed one")


def test_a_model_without_replicas_is_offline(address: str, servers: list[Server], data_dir: Path) -> None:
    removed = adaptive(MODEL, "--remove", "--address", address, data_dir=data_dir)
    assert removed.exit_code == 0, removed.output
    until(
        lambda: ask(servers[0]).json().get("error", {}).get("code") == "model_offline",
        "the model runs without replicas",
    )
    assert f"adaptive deploy ray {MODEL}" in ask(servers[0]).json()["error"]["message"]
