"""The real vLLM, as it is built for CPUs, under our supervision: `make test-vllm`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from peers import dequantise

from adaptive_engine.cli.vllm_models import import_for_vllm
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.registry.catalog import DEFAULT_MODEL, fetch
from adaptive_engine.services.access import OPERATOR
from adaptive_engine.settings import ProviderSettings, VllmSettings
from integration.gateway import Gateway, running_gateway
from unit.providers.contract import SCHEMA, SchemaContract, Subject, asking, collect, text
from unit.vllm.conftest import children, is_alive, wait_for

VLLM = Path(__file__).parents[2] / ".venvs/vllm/bin"
MODEL = "smollm2"
# It compiles nothing, and has room for little.
ARGUMENTS = ["--enforce-eager", "--max-model-len", "1024", "--max-num-seqs", "8"]
SECONDS = 900


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model as vLLM takes it: the same weights, as numbers."""
    folder = tmp_path_factory.mktemp("weights") / "SmolLM2"
    dequantise(VLLM / "python", fetch(DEFAULT_MODEL), folder)
    return folder


@pytest.fixture(scope="module")
def server(
    weights: Path, small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        vllm = VllmSettings(command=str(VLLM / "vllm"), start_timeout_seconds=SECONDS)
        with running_gateway(tmp_path_factory.mktemp("real"), small_model_dir, ProviderSettings(), vllm) as running:
            import_for_vllm(running.data_dir, str(weights), MODEL, ARGUMENTS, None)
            yield running
    assert not any(is_alive(pid) for pid in children(os.getpid()) if b"guard.py" in command_line(pid))


@pytest.fixture(scope="module")
def http(server: Gateway) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.api, headers=server.headers, timeout=SECONDS) as client:
        for project in ("one", "two"):
            client.post("/projects", json={"key": project, "name": project}).raise_for_status()
            deployed = client.post(f"/admin/models/{MODEL}/deploy", json={"project": project, "wait": True})
            assert deployed.status_code == 200, deployed.text
        yield client


class TestContract(SchemaContract):
    @pytest.fixture
    def subject(self, server: Gateway, http: httpx2.Client) -> Subject:
        deployment = server.services.routing.deployment(OPERATOR, f"one/{MODEL}")
        return Subject(server.services.backends.vllm.get(deployment).provider, MODEL)

    async def test_gives_way_where_it_is_told_to(self, subject: Subject, stream: bool) -> None:
        request = asking(subject, stream=stream, extra={"priority": 1, "cache_salt": "salt"})
        assert text(await collect(subject, request)).strip()


def ask(http: httpx2.Client, project: str, content: str, **fields: Any) -> dict[str, Any]:
    body = {"model": f"{project}/{MODEL}", "messages": [{"role": "user", "content": content}], "temperature": 0}
    answer = http.post("/chat/completions", json={"max_tokens": 16, **body, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_what_is_known_of_it(http: httpx2.Client) -> None:
    shown = http.get(f"/admin/models/{MODEL}").json()
    assert (shown["state"], shown["provider"], shown["context_length"]) == ("ONLINE", "vllm", 8192)
    assert shown["active_config"]["max_seq_len"] == 1024
    assert shown["active_config"]["kv_cache_len"] > 10_000
    assert shown["memory"]["kv_cache"] == 2**30
    assert 200e6 < shown["memory"]["weights"] < 400e6


def test_structured_output(http: httpx2.Client) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
    answer = ask(http, "one", "Name a city as JSON.", response_format=wanted, max_tokens=100)
    assert answer["choices"][0]["schema_valid"] is True
    assert "warnings" not in answer


def test_a_project_does_not_see_what_another_has_cached(http: httpx2.Client) -> None:
    prompt = "Tell me about the following numbers: " + " ".join(map(str, range(100)))

    def cached(project: str) -> int:
        usage = ask(http, project, prompt)["usage"]
        return int((usage["prompt_tokens_details"] or {}).get("cached_tokens") or 0)

    assert cached("one") < 128
    assert cached("one") > 128
    assert cached("two") < 128
    assert cached("two") > 128


def test_what_is_generated_beyond_the_end(http: httpx2.Client) -> None:
    answer = ask(http, "one", "Say yes.", ignore_eos=True, max_tokens=60)
    assert answer["usage"]["completion_tokens"] == 60
    assert "warnings" not in answer


def test_a_prompt_that_is_too_long(http: httpx2.Client) -> None:
    body = {"model": f"one/{MODEL}", "messages": [{"role": "user", "content": "word " * 2000}]}
    refused = http.post("/chat/completions", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_killed_it_comes_back_and_leaves_nothing(server: Gateway, http: httpx2.Client) -> None:
    (guard,) = [pid for pid in children(os.getpid()) if b"guard.py" in command_line(pid)]
    (vllm,) = children(guard)
    engines = children(vllm)
    assert engines
    os.kill(vllm, signal.SIGKILL)
    body = {"model": f"one/{MODEL}", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}
    wait_for(lambda: http.get(f"/admin/models/{MODEL}").json()["state"] == "PENDING")
    refused = http.post("/chat/completions", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_loading")
    wait_for(lambda: http.get(f"/admin/models/{MODEL}").json()["state"] == "ONLINE", SECONDS)
    assert not any(is_alive(pid) for pid in (guard, vllm, *engines))
    assert http.post("/chat/completions", json=body).status_code == 200


def test_terminated_it_is_gone(server: Gateway, http: httpx2.Client) -> None:
    (guard,) = [pid for pid in children(os.getpid()) if b"guard.py" in command_line(pid)]
    processes = [guard, *children(guard)]
    processes += [child for process in processes[1:] for child in children(process)]
    assert http.post(f"/admin/models/{MODEL}/terminate", json={"force": True}).json()["state"] == "OFFLINE"
    server.services.backends.vllm.close()
    assert not any(is_alive(pid) for pid in processes)


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
