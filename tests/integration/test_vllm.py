"""Models that vLLM runs, from the import to the last process. tests/vllm_standin.py plays vLLM."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from opentelemetry.trace import SpanKind

from adaptive_engine.cli.app import build
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.settings import ProviderSettings, VllmSettings
from adaptive_engine.vllm import server as supervision
from integration.gateway import MODEL, Gateway, running_gateway
from unit.server.test_traces import traced
from unit.vllm.conftest import STANDIN, children, is_alive, wait_for


def adaptive(*arguments: str) -> None:
    """Runs a command that has to succeed in this process."""
    with pytest.raises(SystemExit) as caught:
        build()(list(arguments), prog_name="adaptive")
    assert caught.value.code == 0


@pytest.fixture(scope="module")
def server(small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # Servers that other tests share.
    before = set(children(os.getpid()))
    data_dir, vllm = tmp_path_factory.mktemp("vllm"), VllmSettings(command=STANDIN, stop_seconds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervision, "_FIRST_PAUSE", 0.02)
        with running_gateway(data_dir, small_model_dir, ProviderSettings(), vllm) as running:
            yield running
    assert not any(is_alive(pid) for pid in children(os.getpid()) if pid not in before)


@pytest.fixture(scope="module")
def http(server: Gateway) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.api, headers=server.headers, timeout=20) as client:
        for project in ("one", "two"):
            client.post("/projects", json={"key": project, "name": project}).raise_for_status()
        yield client


Deploy = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def deploy(server: Gateway, http: httpx2.Client) -> Deploy:
    """Imports a model for vLLM and waits for what becomes of it. What it is told to do are its arguments."""

    def imported(key: str, *arguments: str, project: str = "one") -> dict[str, Any]:
        place = ("--data-dir", str(server.data_dir), "--key", key)
        adaptive("models", "import", "--engine", "vllm", "org/tiny", *place, "--", *arguments)
        answer = http.post(f"/admin/models/{key}/deploy", json={"project": project, "wait": True})
        shown = http.get(f"/admin/models/{key}").json()
        assert answer.status_code == (200 if shown["state"] == "ONLINE" else 503), answer.text
        return dict(shown)

    return imported


@pytest.fixture(scope="module")
def model(deploy: Deploy) -> str:
    """One that does what it should, in two projects."""
    for project in ("one", "two"):
        deploy("good", project=project)
    return "good"


def ask(http: httpx2.Client, model: str, content: str = "Count!", **fields: Any) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": content}], **fields}
    return http.post("/chat/completions", json=body)


def sent(http: httpx2.Client, model: str, **fields: Any) -> dict[str, Any]:
    """What vLLM was asked, but for the messages."""
    answer = ask(http, model, "echo", **fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.json()["choices"][0]["message"]["content"])
    return found


def test_it_is_a_model_like_any_other(http: httpx2.Client, model: str) -> None:
    answer = ask(http, f"one/{model}").json()
    assert answer["choices"][0]["message"]["content"] == "One two three four five, and then six and seven."
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 1
    streamed = ask(http, f"one/{model}", stream=True)
    assert streamed.text.endswith("data: [DONE]\n\n")
    stored = http.get(f"/interactions/{answer['choices'][0]['completion_id']}").json()
    assert (stored["state"], stored["model"]) == ("complete", model)
    shown = http.get(f"/admin/models/{model}").json()
    assert (shown["provider"], shown["external"], shown["context_length"]) == ("vllm", None, None)
    assert shown["active_config"] == {"kv_cache_len": 46_592, "max_seq_len": 2048}
    assert (shown["memory"]["weights"], shown["memory"]["kv_cache"]) == (2**28, 2**30)
    graphql = {"query": '{ model(idOrKey: "good") { isExternal providerName online computeConfig { kvCacheLen } } }'}
    found = http.post("/../graphql", json=graphql).json()["data"]["model"]
    assert found == {
        "isExternal": False,
        "providerName": "HARMONY",
        "online": "ONLINE",
        "computeConfig": {"kvCacheLen": 46_592},
    }


def test_what_vllm_is_asked(http: httpx2.Client, model: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    asked = sent(http, f"one/{model}", temperature=0.5, seed=7, ignore_eos=True, response_format=wanted)
    assert (asked["model"], asked["temperature"], asked["seed"]) == (model, 0.5, 7)
    assert (asked["priority"], asked["ignore_eos"]) == (0, True)
    assert asked["structured_outputs"] == {"json": schema}
    assert "response_format" not in asked


async def test_a_trace_says_who_was_asked(server: Gateway, model: str) -> None:
    async with traced(server.services) as traces:
        body = {"model": f"one/{model}", "messages": [{"role": "user", "content": "Count!"}]}
        assert (await traces.client.post("chat/completions", json=body)).status_code == 200
        (asked,) = (span for span in traces.finished() if span.kind == SpanKind.CLIENT)
    about = dict(asked.attributes or {})
    assert (about["gen_ai.provider.name"], about["server.address"]) == ("vllm", "127.0.0.1")


def test_each_project_has_a_salt_that_nobody_knows_or_sets(http: httpx2.Client, model: str, server: Gateway) -> None:
    one, two = sent(http, f"one/{model}"), sent(http, f"two/{model}")
    assert len(one["cache_salt"]) == 64
    assert one["cache_salt"] != two["cache_salt"]
    assert sent(http, f"one/{model}")["cache_salt"] == one["cache_salt"]
    given = ask(http, f"two/{model}", "echo", cache_salt=one["cache_salt"], priority=-5)
    body = given.json()
    asked = json.loads(body["choices"][0]["message"]["content"])
    assert (asked["cache_salt"], asked["priority"]) == (two["cache_salt"], 0)
    assert {warning["param"] for warning in body["warnings"]} >= {"cache_salt", "priority"}
    settings = http.patch(f"/projects/one/models/{model}", json={"settings": {"cache_salt": "x"}})
    assert (settings.status_code, settings.json()["error"]["param"]) == (400, "settings.cache_salt")
    plain = ask(http, f"one/{model}").json()
    stored = http.get(f"/interactions/{plain['choices'][0]['completion_id']}").text
    assert one["cache_salt"] not in stored


def test_a_prompt_that_is_too_long(http: httpx2.Client, model: str) -> None:
    refused = ask(http, f"one/{model}", "word " * 3000)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")


def test_structured_output_is_checked(http: httpx2.Client, model: str) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "integer"}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    answer = ask(http, f"one/{model}", response_format=wanted).json()
    assert "schema_violated" in [warning["code"] for warning in answer["warnings"]]


def test_one_that_ends_in_mid_answer_is_there_again(http: httpx2.Client, deploy: Deploy) -> None:
    deploy("mortal")
    last = ask(http, "one/mortal", "die", stream=True).text.strip().rpartition("data: ")[2]
    error = json.loads(last)["error"]
    assert (error["code"], "broke off" in error["message"]) == ("engine_failed", True)
    wait_for(lambda: http.get("/admin/models/mortal").json()["state"] == "PENDING")
    early = ask(http, "one/mortal")
    assert early.status_code == 200 or early.json()["error"]["code"] == "model_loading"
    assert ask(http, f"default/{MODEL}", max_tokens=1).status_code == 200
    wait_for(lambda: http.get("/admin/models/mortal").json()["state"] == "ONLINE")
    assert ask(http, "one/mortal").status_code == 200


def test_taken_offline_while_it_answers(http: httpx2.Client, deploy: Deploy) -> None:
    deploy("leaving")
    body = {"model": "one/leaving", "messages": [{"role": "user", "content": "endless"}], "stream": True}
    with http.stream("POST", "/chat/completions", json=body) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data: "))
        next(lines)
        off = http.patch("/admin/models/leaving/deployments/one", json={"desired_online": False})
        assert off.json()["state"] == "OFFLINE"
        error = json.loads(list(lines)[-1].removeprefix("data: "))["error"]
    assert (error["code"], "taken offline during" in error["message"]) == ("model_offline", True)
    late = ask(http, "one/leaving")
    assert (late.status_code, late.headers["x-should-retry"]) == (503, "false")
    back = http.post("/admin/models/leaving/deploy", json={"project": "one", "wait": True})
    assert (back.status_code, back.json()["state"]) == (200, "ONLINE")
    assert http.post("/admin/models/leaving/terminate").json()["state"] == "OFFLINE"


def test_one_that_cannot_start_is_an_error_of_its_own(server: Gateway, http: httpx2.Client, deploy: Deploy) -> None:
    shown = deploy("broken", "--standin", "crash")
    assert "No available memory for the cache blocks" in shown["reason"]
    ready = http.get(f"{server.url}/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "No available memory" in "".join(ready.json()["problems"])
    refused = ask(http, "one/broken")
    assert (refused.status_code, refused.json()["error"]["code"]) in ((503, "model_offline"), (503, "model_loading"))
    # Imported again with other arguments, it is another try.
    assert deploy("broken")["state"] == "ONLINE"
    http.post("/admin/models/broken/terminate")


def test_its_length_is_a_setting_and_its_cache_is_not(http: httpx2.Client, deploy: Deploy) -> None:
    deploy("short")
    refused = http.patch("/admin/models/short", json={"compute_config": {"kv_cache_len": 4096}})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "compute_config.kv_cache_len")
    changed = http.patch("/admin/models/short", json={"compute_config": {"max_seq_len": 100}}).json()
    assert changed["reload_needed"]
    http.post("/admin/models/short/terminate")
    again = http.post("/admin/models/short/deploy", json={"project": "one", "wait": True}).json()
    assert (again["active_config"]["max_seq_len"], again["reload_needed"]) == (100, False)
    http.post("/admin/models/short/terminate")
