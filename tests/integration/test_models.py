"""Several models in one server, loaded and unloaded while it runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.sdk import Adaptive, ConflictError, PermissionDeniedError, ServiceUnavailableError
from adaptive_engine.services import models as service
from adaptive_engine.services.keys import KeyRing, load_pepper
from adaptive_engine.store import Database, projects
from adaptive_engine.types import Project, now_ms, uuid7
from integration.commands import CommandLine
from integration.server import MODEL, Server, place_model, start
from integration.wire import PROMPT, ask, chat, interaction, post, text

ENVIRONMENT = {"ADAPTIVE_ENGINE__KV_CACHE_LEN": "8192", "ADAPTIVE_ENGINE__MEMORY_LIMIT_BYTES": str(2**30)}


@pytest.fixture(scope="module")
def data_dir(
    shallow_model_dir: ModelDirectory, small_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The shallow model under two keys, two of one tiny layer, which load at once, and two projects."""
    data_dir = tmp_path_factory.mktemp("models")
    place_model(shallow_model_dir.path, data_dir)
    imported = [
        place_model(shallow_model_dir.path, data_dir, "second"),
        place_model(small_model_dir.path, data_dir, "tiny"),
        place_model(small_model_dir.path, data_dir, "broken"),
    ]
    weights = data_dir / "models" / "broken" / "openvino_model.bin"
    # Others share the file.
    weights.unlink()
    weights.write_bytes(bytes(1000))
    with closing(Database.open(data_dir / "adaptive.db")) as database, database.write() as connection:
        service.ensure_default_project(connection)
        projects.create(connection, Project(uuid7(), "other", "Other", "", now_ms()))
        for directory in imported:
            service.register(connection, directory)
    return data_dir


@pytest.fixture(scope="module")
def server(data_dir: Path) -> Iterator[Server]:
    running = start(data_dir, env=ENVIRONMENT, quick=True)
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    with Adaptive(server.url, server.api_key, "default") as client:
        yield client


@pytest.fixture
def tiny(client: Adaptive) -> str:
    """A model online in `default` alone, with the server's settings."""
    client.models.terminate("tiny", force=True)
    client.models.update_compute_config("tiny", {"kv_cache_len": None, "max_seq_len": None})
    assert client.models.attach("tiny", wait=True).state == "ONLINE"
    return "tiny"


def state(client: Adaptive, model: str) -> str:
    found = client.models.get(model)
    assert found is not None
    return found.state


def admin(server: Server, method: str, path: str, body: Any = None) -> requests.Response:
    url = f"{server.api}/admin/models{path}"
    return requests.request(method, url, json=body, headers=server.headers, timeout=60)


def streaming(server: Server, model: str) -> Iterator[dict[str, Any]]:
    """The events of a long answer as they come; the first of them has come."""
    body = {"model": model, "messages": PROMPT, "stream": True, "max_tokens": 4000, "ignore_eos": True}
    response = post(server, "/chat/completions", body, stream=True)
    assert response.status_code == 200, response.text
    lines = (line for line in response.iter_lines(chunk_size=None) if line.startswith(b"data: {"))
    events = (json.loads(line.removeprefix(b"data: ")) for line in lines)
    next(events)
    return events


def test_what_is_registered_and_how_it_fares(client: Adaptive, data_dir: Path) -> None:
    found = {model.key: model for model in client.models.list_registered()}
    assert found.keys() == {MODEL, "second", "tiny", "broken"}
    default, second = found[MODEL], found["second"]
    assert default.memory is not None
    assert default.memory.weights >= max(file.stat().st_size for file in (data_dir / "models" / MODEL).iterdir())
    assert default.memory.kv_cache > 8192 * 800
    assert default.active_config is not None
    assert default.active_config.kv_cache_len == 8192
    assert [(d.project, d.is_default, d.desired_online) for d in default.deployments] == [("default", True, True)]
    assert (second.state, second.memory, second.active_config) == ("OFFLINE", None, None)
    assert client.models.get("nobody") is None


def test_a_model_is_loaded_and_terminated_beside_a_stream_of_another(server: Server, client: Adaptive) -> None:
    beside = streaming(server, f"default/{MODEL}")
    deployed = admin(server, "POST", "/second/deploy", {"project": "default"})
    assert (deployed.status_code, deployed.json()["state"]) == (202, "PENDING")
    # Deployed twice, it is loaded once.
    assert admin(server, "POST", "/second/deploy", {"project": "default"}).status_code == 202
    early = ask(server, model="default/second")
    assert (early.status_code, early.json()["error"]["code"]) == (503, "model_loading")
    assert early.headers["Retry-After"] == "3"
    assert "x-should-retry" not in early.headers
    assert client.models.deploy("second", wait=True).state == "ONLINE"
    answers = [chat(server, model=f"default/{key}", temperature=0) for key in (MODEL, "second")]
    assert [answer["choices"][0]["model"] for answer in answers] == [MODEL, "second"]
    assert text(answers[0]) == text(answers[1])

    running = streaming(server, "default/second")
    completion = next(running)
    terminated = client.models.terminate("second")
    assert (terminated.state, terminated.memory) == ("OFFLINE", None)
    last = list(running)[-1]
    assert last["error"]["code"] == "model_offline"
    assert "taken offline during this request" in last["error"]["message"]
    stored = interaction(server, completion)
    assert (stored["state"], stored["error"]["code"]) == ("error", "model_offline")
    late = ask(server, model="default/second")
    assert (late.status_code, late.headers["x-should-retry"]) == (503, "false")
    assert "adaptive models deploy second --project default" in late.json()["error"]["message"]
    assert client.models.terminate("second").state == "OFFLINE"
    assert "choices" in next(beside)


def test_terminated_while_it_is_loaded(server: Server, client: Adaptive) -> None:
    refusals: list[ServiceUnavailableError] = []

    def deploy_and_wait() -> None:
        try:
            client.models.deploy("second", wait=True)
        except ServiceUnavailableError as exc:
            refusals.append(exc)

    waiting = threading.Thread(target=deploy_and_wait)
    waiting.start()
    while state(client, "second") != "PENDING":
        pass
    assert client.models.terminate("second").state == "OFFLINE"
    waiting.join(30)
    assert "terminated meanwhile" in str(refusals[0])
    assert state(client, "second") == "OFFLINE"


def test_switched_off_in_one_project_only(server: Server, client: Adaptive, tiny: str) -> None:
    client.models.attach(tiny, project="other")
    off = client.models.update(tiny, desired_online=False)
    assert off.state == "ONLINE"
    assert {d.project: d.desired_online for d in off.deployments} == {"default": False, "other": True}
    assert ask(server, model=f"default/{tiny}").status_code == 503
    assert chat(server, model=f"other/{tiny}")
    # In its last project: nobody wants it in memory.
    assert client.models.update(tiny, desired_online=False, project="other").state == "OFFLINE"
    back = admin(server, "PATCH", f"/{tiny}/deployments/default", {"desired_online": True})
    assert back.json()["state"] == "PENDING"


def test_a_model_of_several_projects_is_terminated_by_force_only(client: Adaptive, tiny: str) -> None:
    client.models.attach(tiny, project="other")
    with pytest.raises(ConflictError, match="'default', 'other'") as caught:
        client.models.terminate(tiny)
    assert caught.value.code == "model_in_use"
    assert state(client, tiny) == "ONLINE"
    terminated = client.models.terminate(tiny, force=True)
    assert terminated.state == "OFFLINE"
    assert not any(d.desired_online for d in terminated.deployments)


def test_the_default_model_is_a_flag(server: Server, client: Adaptive, tiny: str) -> None:
    client.models.attach(tiny, wait=True, make_default=True)
    assert chat(server, model="default")["choices"][0]["model"] == tiny
    client.models.update(MODEL, is_default=True)
    assert chat(server, model="default")["choices"][0]["model"] == MODEL


def test_own_settings_take_effect_at_the_next_load(server: Server, client: Adaptive, tiny: str) -> None:
    changed = client.models.update_compute_config(tiny, {"kv_cache_len": 2048, "max_seq_len": 100})
    assert changed.reload_needed
    assert changed.active_config is not None
    assert changed.active_config.kv_cache_len == 8192
    assert client.models.update_compute_config(tiny, {"kv_cache_len": 1024}).compute_config.max_seq_len == 100
    client.models.terminate(tiny)
    loaded = client.models.attach(tiny, wait=True)
    assert loaded.active_config == loaded.compute_config
    assert not loaded.reload_needed
    long = ask(server, model=f"default/{tiny}", messages=[{"role": "user", "content": "word " * 40}])
    assert (long.status_code, long.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "holds 100" in long.json()["error"]["message"]


@pytest.mark.parametrize(
    ("config", "param", "way_out"),
    [
        ({"max_seq_len": 8193}, "compute_config.max_seq_len", "trained"),
        ({"max_seq_len": 2000, "kv_cache_len": 1000}, "compute_config.max_seq_len", "Raise kv_cache_len"),
        ({"kv_cache_len": 255}, "compute_config.kv_cache_len", "256"),
        ({"max_seq_len": "100"}, "compute_config.max_seq_len", "integer"),
        ({"tp": 2}, "compute_config.tp", "Extra inputs"),
    ],
)
def test_settings_that_cannot_be(server: Server, config: dict[str, Any], param: str, way_out: str) -> None:
    refused = admin(server, "PATCH", "/second", {"compute_config": config})
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == param
    assert way_out in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "param"),
    [
        ("GET", "/nobody", None, 404, "model"),
        ("POST", "/nobody/deploy", {"project": "default"}, 404, "model"),
        ("POST", "/tiny/deploy", {"project": "nowhere"}, 404, "project"),
        ("POST", "/tiny/deploy", {}, 400, "project"),
        ("POST", "/tiny/deploy", {"project": "default", "wait": "yes"}, 400, "wait"),
        ("POST", "/nobody/terminate", None, 404, "model"),
        ("PATCH", "/broken/deployments/other", {"desired_online": True}, 404, "model"),
        ("PATCH", "/tiny/deployments/default", {}, 400, "desired_online"),
        ("PATCH", "/tiny/deployments/default", {"is_default": False}, 400, "is_default"),
    ],
)
def test_mistakes_are_named(server: Server, method: str, path: str, body: Any, status: int, param: str) -> None:
    refused = admin(server, method, path, body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (status, param), refused.text


def test_a_model_that_does_not_fit_into_memory_is_refused(server: Server, client: Adaptive, tiny: str) -> None:
    client.models.terminate(tiny)
    client.models.update_compute_config(tiny, {"kv_cache_len": 20_000_000})
    with pytest.raises(ConflictError, match=r"needs 1526 MiB.*limit of 1024 MiB") as caught:
        client.models.deploy(tiny)
    assert caught.value.code == "memory_limit"
    found = client.models.get(tiny)
    assert found is not None
    assert (found.state, found.deployments[0].desired_online) == ("OFFLINE", False)


def test_a_damaged_model_is_an_error_of_its_own(server: Server, client: Adaptive) -> None:
    with pytest.raises(ServiceUnavailableError, match="is not the file that was imported"):
        client.models.deploy("broken", wait=True)
    found = client.models.get("broken")
    assert found is not None
    assert found.state == "ERROR"
    assert "import the model again" in (found.reason or "")
    ready = requests.get(f"{server.url}/readyz", timeout=10)
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert ready.json()["problems"] == [f"model 'broken': {found.reason}"]
    assert chat(server, model=f"default/{MODEL}", max_tokens=1)
    client.models.terminate("broken")
    assert requests.get(f"{server.url}/readyz", timeout=10).json() == {"status": "ok", "problems": []}


def test_only_an_unlimited_admin_key_may_do_all_this(server: Server, data_dir: Path) -> None:
    with closing(Database.open(data_dir / "adaptive.db")) as database:
        ring = KeyRing(database, load_pepper(data_dir))
        with database.read() as connection:
            project = projects.get_by_key(connection, "default")
        assert project is not None
        keys = [ring.create("app", "inference")[1], ring.create("lead", "admin", project.id)[1]]
    for key in keys:
        with (
            Adaptive(server.url, key, "default") as limited,
            pytest.raises(PermissionDeniedError, match="admin:manage_models"),
        ):
            limited.models.terminate("tiny")


def test_the_command_line_finds_the_server_by_its_data_directory(
    server: Server, client: Adaptive, adaptive: CommandLine, tiny: str
) -> None:
    assert "is online." in adaptive(server, "models", "deploy", tiny, "--project", "other")
    refused = adaptive(server, "models", "terminate", tiny, status=1)
    assert "Terminate it with force" in refused
    assert "The model is ONLINE" in adaptive(server, "models", "undeploy", tiny, "--project", "other")
    assert "runs as before" in adaptive(server, "models", "configure", tiny, "--kv-cache-len", "1024")
    shown = adaptive(server, "models", "show", tiny)
    assert "tiny: ONLINE" in shown
    assert "kv_cache_len  8192 (stored: 1024)" in shown
    assert "settings were changed since it was loaded" in shown
    assert "1 MiB of KV cache, 0 MiB of it in use" in shown
    assert "other (default, offline)" in shown
    listed = adaptive(server, "models", "list", "--url", server.url).splitlines()
    assert [line.split(maxsplit=1) for line in listed if line.startswith("tiny ")] == [
        ["tiny", "ONLINE, context 256, Text"]
    ]
    assert "offline in all projects" in adaptive(server, "models", "terminate", tiny)
    assert state(client, tiny) == "OFFLINE"
    told = adaptive(server, "models", "deploy", tiny, key="")
    assert "it was not told: No API key" in told
    assert "next start" in told


def test_what_was_offline_stays_offline_after_a_restart(small_data_dir: Path) -> None:
    first = start(small_data_dir, env=ENVIRONMENT, quick=True)
    with Adaptive(first.url, first.api_key, "default") as client:
        client.models.update_compute_config(MODEL, {"kv_cache_len": 1024})
        client.models.terminate(MODEL)
    assert first.stop() == 0
    again = start(small_data_dir, env=ENVIRONMENT, quick=True)
    with Adaptive(again.url, again.api_key, "default") as client:
        assert state(client, MODEL) == "OFFLINE"
        assert requests.get(f"{again.url}/readyz", timeout=10).json() == {"status": "ok", "problems": []}
        back = client.models.deploy(MODEL, wait=True)
        assert back.active_config is not None
        assert back.active_config.kv_cache_len == 1024
    assert again.stop() == 0


def test_a_server_whose_only_model_cannot_be_loaded_starts_and_says_so(shallow_data_dir: Path) -> None:
    server = start(shallow_data_dir, env={**ENVIRONMENT, "ADAPTIVE_ENGINE__MEMORY_LIMIT_BYTES": str(2**20)}, quick=True)
    ready = requests.get(f"{server.url}/readyz", timeout=10)
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
    assert "ADAPTIVE_ENGINE__MEMORY_LIMIT_BYTES" in ready.json()["problems"][0]
    assert ask(server).json()["error"]["code"] == "model_offline"
    assert server.stop() == 0
