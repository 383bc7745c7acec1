"""Who watches the engine process, with sockets in the place of processes."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

import pytest

from adaptive_engine.services.engine_process import supervisor
from adaptive_engine.services.engine_process.supervisor import EngineSupervisor
from adaptive_engine.settings import EngineSettings

SECONDS = 30


def supervised(models_dir: Path, ended: list[str] | None = None) -> EngineSupervisor:
    on_end = (lambda reason: None) if ended is None else ended.append
    return EngineSupervisor(models_dir, EngineSettings(heartbeat_seconds=1), "json", "info", lambda: None, on_end)


def watched(models_dir: Path, *said: bytes, hang_up: bool = True) -> str | None:
    """Why a process that says this is to be ended."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for each in said:
            theirs.sendall(each)
        if hang_up:
            theirs.shutdown(socket.SHUT_WR)
        return supervised(models_dir)._watch(ours)


def test_a_process_that_ends_by_itself_is_not_to_be_killed(tmp_path: Path) -> None:
    assert watched(tmp_path) is None
    assert watched(tmp_path, b"\n\n") is None


def test_one_that_is_closed_before_it_watches_ends_in_silence(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.close()
    assert supervised(tmp_path)._watch(ours) is None


def test_a_process_whose_engine_hangs_is_to_be_killed(tmp_path: Path) -> None:
    reason = watched(tmp_path, b"\n\nmodel 'tiny': a step has been running for more than 60 s\n", hang_up=False)
    assert reason == (
        "The engine process was killed because it does not get on: "
        "model 'tiny': a step has been running for more than 60 s."
    )


def test_a_process_without_a_sign_of_life_is_to_be_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_START_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "_GRACE_SECONDS", 0.01)
    reason = watched(tmp_path, hang_up=False)
    assert reason == "The engine process was killed: it had shown no sign of life for 0.01 s."


def test_a_process_that_was_stopped_together_with_this_one_may_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the time was over for both, and it speaks as soon as it can."""
    monkeypatch.setattr(supervisor, "_START_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "_GRACE_SECONDS", SECONDS)
    ours, theirs = socket.socketpair()
    with ours, theirs:

        class Late(socket.socket):
            def recv(self, *arguments: int) -> bytes:  # type: ignore[override]
                if self.gettimeout() == SECONDS:
                    theirs.sendall(b"\n")
                    theirs.shutdown(socket.SHUT_WR)
                return super().recv(*arguments)

        with Late(fileno=ours.detach()) as control:
            assert supervised(tmp_path)._watch(control) is None


def test_a_process_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE", 0.001)
    tried = threading.Event()
    ended: list[str] = []

    def refuse(*_: object, **__: object) -> subprocess.Popen[bytes]:
        if len(ended) == 2:
            tried.set()
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(supervisor.subprocess, "Popen", refuse)
    running = supervised(tmp_path, ended)
    running.start()
    assert tried.wait(SECONDS)
    running.close()
    assert running.connect() is None
    assert ended[0] == (
        "The engine process cannot be started: Resource temporarily unavailable. It is being restarted."
    )
