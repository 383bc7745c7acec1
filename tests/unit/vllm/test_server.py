"""Supervision, with processes that fail in every way that can be told of. What plays vLLM is tests/vllm_standin.py."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from adaptive_engine.vllm import client, server
from unit.vllm.conftest import SECONDS, MakeServer, children, is_alive, wait_for


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a failure and the next start."""
    monkeypatch.setattr(server, "_FIRST_PAUSE", 0.02)


def processes(running: server.VllmServer) -> tuple[int, int]:
    """The guard and vLLM."""
    assert running._process is not None
    guard = running._process.pid
    (vllm,) = children(guard)
    return guard, vllm


def test_a_model_from_its_start_to_its_end(make_server: MakeServer) -> None:
    running = make_server()
    assert running.status.state == "PENDING"
    running.settled.result(SECONDS)
    status = running.status
    assert (status.state, status.reason) == ("ONLINE", None)
    assert status.running is not None
    assert (status.running.max_model_len, status.running.cache_tokens) == (2048, 46_592)
    assert status.running.memory is not None
    assert (status.running.memory.weights, status.running.memory.kv_cache) == (2**28, 2**30)
    guard, vllm = processes(running)
    # No secret is seen by those who list processes.
    assert status.running.address.api_key.encode() not in Path(f"/proc/{vllm}/cmdline").read_bytes()
    running.stop()
    assert running.status.state == "OFFLINE"
    running.join()
    assert not is_alive(guard)
    assert not is_alive(vllm)


def test_secrets_of_this_server_are_not_handed_on(make_server: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTIVE_APP__SECRET", "x" * 32)
    running = make_server()
    running.settled.result(SECONDS)
    assert b"ADAPTIVE_" not in Path(f"/proc/{processes(running)[1]}/environ").read_bytes()


def test_one_that_cannot_start_says_why_and_is_tried_again(make_server: MakeServer, tmp_path: Path) -> None:
    running = make_server("crash")
    running.settled.result(SECONDS)
    wait_for(lambda: running.status.state == "ERROR")
    assert running.status.reason is not None
    assert "status 1" in running.status.reason
    # The root, and not that something has failed.
    assert "ValueError: No available memory for the cache blocks." in running.status.reason
    assert str(tmp_path / "vllm.log") in running.status.reason
    assert "started again" in running.status.reason
    wait_for(lambda: (tmp_path / "vllm.log").read_text().count("--- started at") > 2)


def test_one_that_starts_at_the_second_time(make_server: MakeServer, tmp_path: Path) -> None:
    running = make_server(f"crash-once:{tmp_path / 'crashed'}")
    wait_for(lambda: running.status.state == "ONLINE")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_one_that_is_killed_is_started_again(make_server: MakeServer, number: signal.Signals) -> None:
    running = make_server()
    running.settled.result(SECONDS)
    before = running.status.running
    os.kill(processes(running)[1], number)
    wait_for(lambda: running.status.state == "PENDING")
    wait_for(lambda: running.status.reason and number.name in running.status.reason)
    wait_for(lambda: running.status.state == "ONLINE")
    after = running.status.running
    assert before is not None
    assert after is not None
    assert after.address.api_key != before.address.api_key


def test_one_whose_guard_is_killed_goes_with_it(make_server: MakeServer) -> None:
    running = make_server()
    running.settled.result(SECONDS)
    guard, vllm = processes(running)
    os.kill(guard, signal.SIGKILL)
    wait_for(lambda: not is_alive(vllm))
    wait_for(lambda: running._process is not None and running._process.pid != guard)
    wait_for(lambda: running.status.state == "ONLINE")
    assert is_alive(processes(running)[1])


def test_nothing_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    left = tmp_path / "left"
    code = f"""
import threading
from pathlib import Path
from adaptive_engine.vllm.command import VllmOptions
from adaptive_engine.vllm.server import VllmServer
from unit.vllm.conftest import STANDIN, model
server = VllmServer(model("litter:{left}"), VllmOptions(STANDIN), Path("{tmp_path}/vllm.log"), threading.Lock())
server.start()
server.settled.result()
print(server.status.state, flush=True)
server.join()
"""
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == "ONLINE\n"
        (guard,) = children(host.pid)
        processes = [guard, *children(guard), int(left.read_text())]
        assert len(processes) == 3
        host.kill()
    wait_for(lambda: not any(is_alive(pid) for pid in processes))


def test_what_it_leaves_behind_is_ended(make_server: MakeServer, tmp_path: Path) -> None:
    note = tmp_path / "left"
    running = make_server(f"litter:{note}")
    running.settled.result(SECONDS)
    left = int(note.read_text())
    assert is_alive(left)
    running.stop()
    running.join()
    assert not is_alive(left)


def test_one_that_does_not_stop_is_killed(make_server: MakeServer) -> None:
    running = make_server("stubborn", stop_seconds=0.05)
    running.settled.result(SECONDS)
    vllm = processes(running)[1]
    running.stop()
    running.join()
    assert not is_alive(vllm)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("hang", "nothing answers at its port"),
        ("wrong-port", "nothing answers at its port"),
        ("garbage", "does not speak HTTP"),
        ("keyless", "does not ask for its key"),
        ("another", "is not this vLLM"),
    ],
)
def test_one_that_does_not_answer_as_vllm_is_ended(make_server: MakeServer, behaviour: str, reason: str) -> None:
    running = make_server(behaviour, start_seconds=0.7)
    running.settled.result(SECONDS)
    wait_for(lambda: running.status.reason and reason in running.status.reason)
    assert "not ready within 0.7 s" in (running.status.reason or "")


def test_one_that_falls_silent_is_started_again(make_server: MakeServer, tmp_path: Path) -> None:
    sick = tmp_path / "sick"
    running = make_server(f"sick:{sick}", health_seconds=0.3)
    running.settled.result(SECONDS)
    vllm = processes(running)[1]
    sick.touch()
    wait_for(lambda: running.status.reason and "/health for 0.3 s" in running.status.reason)
    wait_for(lambda: not is_alive(vllm))
    sick.unlink()
    wait_for(lambda: running.status.state == "ONLINE")


def test_how_full_its_cache_is(make_server: MakeServer) -> None:
    running = make_server(health_seconds=0.5)
    wait_for(lambda: running.cache_usage == 0.25)


@pytest.mark.parametrize("behaviours", [(), ("hang",), ("crash",)])
def test_stopped_at_any_time_it_leaves_nothing(make_server: MakeServer, behaviours: tuple[str, ...]) -> None:
    running = make_server(*behaviours)
    wait_for(lambda: running._process)
    running.stop()
    running.join()
    assert running.settled.done()
    assert running.ended
    assert running._process is not None
    assert not is_alive(running._process.pid)


@pytest.mark.parametrize("command", ["/nowhere/vllm", "vllm '", ""])
def test_a_command_that_is_not_there(make_server: MakeServer, command: str) -> None:
    running = make_server(command=command)
    running.settled.result(SECONDS)
    assert running.status.state == "ERROR"
    assert "ADAPTIVE_VLLM__COMMAND" in (running.status.reason or "")


def test_arguments_that_vllm_does_not_have(make_server: MakeServer) -> None:
    running = make_server("crash", command=f"{sys.executable} -c 'import sys; sys.exit(\"vllm: error: no --x\")'")
    running.settled.result(SECONDS)
    assert "vllm: error: no --x" in (running.status.reason or "")


def test_its_log_is_kept_short_and_to_ourselves(make_server: MakeServer, tmp_path: Path) -> None:
    running = make_server("chatty")
    running.settled.result(SECONDS)
    log = tmp_path / "vllm.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert log.stat().st_size <= 10 << 20
    assert (tmp_path / "vllm.log.1").stat().st_size > 8 << 20


def test_only_its_own_key_opens_it(make_server: MakeServer) -> None:
    running = make_server()
    running.settled.result(SECONDS)
    assert running.status.running is not None
    address = client.Address(running.status.running.address.port, "guessed")
    with pytest.raises(client.NotServing, match="401"):
        client.max_model_len(address, "tiny", 5)
