from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adaptive_engine.registry.vllm import VllmModel
from adaptive_engine.vllm.command import VllmOptions
from adaptive_engine.vllm.server import VllmServer

STANDIN = f"{sys.executable} -I -S {Path(__file__).parents[2] / 'vllm_standin.py'}"
SECONDS = 30
MakeServer = Callable[..., VllmServer]


def wait_for(what: Callable[[], object], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def is_alive(pid: int) -> bool:
    """Not as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> list[int]:
    """Of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


def model(*behaviours: str) -> VllmModel:
    arguments = tuple(word for behaviour in behaviours for word in ("--standin", behaviour))
    return VllmModel(1, "tiny", "Tiny", "org/tiny", arguments, ("TextGeneration",), 0, 0)


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Starts the stand-in as a model's vLLM; what it was told to do are its arguments."""
    made: list[VllmServer] = []
    # Servers that other tests share.
    before = set(children(os.getpid()))

    def make(*behaviours: str, command: str = STANDIN, **options: float) -> VllmServer:
        limits = VllmOptions(command, **{"start_seconds": 20, "health_seconds": 20, "stop_seconds": 5, **options})
        made.append(VllmServer(model(*behaviours), limits, tmp_path / "vllm.log", threading.Lock()))
        made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()
    for server in made:
        server.join()
    assert not any(is_alive(pid) for pid in children(os.getpid()) if pid not in before)
