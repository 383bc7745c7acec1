from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack

import pytest
from common import running
from machine import cpu_seconds, memory_mib, tree

READY = r"ready at (http://\S+)"
SERVER = "import signal; print('loading'); print('ready at http://127.0.0.1:1', flush=True); signal.pause()"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_server_ends_with_its_block() -> None:
    with running([sys.executable, "-c", SERVER], READY) as server:
        assert server.url == "http://127.0.0.1:1"
        assert alive(server.pid)
    assert not alive(server.pid)


def test_a_server_ends_when_its_block_fails() -> None:
    stack = ExitStack()
    server = stack.enter_context(running([sys.executable, "-c", SERVER], READY))
    with pytest.raises(SystemExit), stack:
        sys.exit(143)
    assert not alive(server.pid)


def test_a_server_that_does_not_start_says_why() -> None:
    with (
        pytest.raises(RuntimeError, match="no such model"),
        running([sys.executable, "-c", "raise SystemExit('no such model')"], READY),
    ):
        pass


def test_a_tree_has_its_children_and_their_memory() -> None:
    with running([sys.executable, "-c", SERVER], READY) as server:
        assert {os.getpid(), server.pid} <= set(tree(os.getpid()))
        assert memory_mib([server.pid]) > 1
        assert memory_mib([server.pid], "VmHWM") >= memory_mib([server.pid])
    assert memory_mib([server.pid]) == 0


def test_what_a_child_used_counts_when_it_has_ended() -> None:
    before = cpu_seconds([os.getpid()])
    work = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", work], check=True)
    # The kernel counts in hundredths of a second.
    assert cpu_seconds([os.getpid()]) - before >= 0.28
