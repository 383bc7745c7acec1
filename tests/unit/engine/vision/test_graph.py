"""How the thread that encodes beside answers gives way to those of the language model."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from adaptive_engine.engine.vision.graph import _give_way


@pytest.mark.parametrize("server", [0, 10, 19])
def test_it_gives_way_in_a_server_that_gives_way_too(server: int) -> None:
    """To become less nice than the server, its thread would need a right that servers do not have."""

    def niceness() -> tuple[int, int]:
        me = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, me, max(server, os.getpriority(os.PRIO_PROCESS, me)))
        before = os.getpriority(os.PRIO_PROCESS, me)
        _give_way()
        return before, os.getpriority(os.PRIO_PROCESS, me)

    with ThreadPoolExecutor(1) as thread:
        before, after = thread.submit(niceness).result()
    assert after == min(before + 5, 19)
