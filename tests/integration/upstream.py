"""An upstream in a thread of its own, for tests that speak to a real server of ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from faultserver import FaultServer


@contextmanager
def running_upstream(upstream: FaultServer | None = None) -> Iterator[FaultServer]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    upstream = upstream or FaultServer()
    asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(5)
    try:
        yield upstream
    finally:
        asyncio.run_coroutine_threadsafe(upstream.__aexit__(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


def idle(upstream: FaultServer) -> bool:
    """Whether it has nothing to do any more, within a second."""
    stopped = threading.Event()
    for _ in range(200):
        if not upstream.busy:
            return True
        stopped.wait(0.005)
    return False
