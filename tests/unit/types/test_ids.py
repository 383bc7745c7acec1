from __future__ import annotations

import os
import threading
from uuid import RFC_4122, UUID

from adaptive_engine.types import now_ms, uuid7
from adaptive_engine.types.ids import made_at


def test_ids_say_when_they_were_made() -> None:
    before = now_ms()
    made = uuid7()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made_at(made) <= now_ms()


def test_no_two_are_equal_in_threads_and_processes() -> None:
    found: list[UUID] = []
    threads = [threading.Thread(target=lambda: found.extend([uuid7() for _ in range(2000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"".join(uuid7().bytes for _ in range(100)))
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        theirs = pipe.read()
    os.waitpid(child, 0)
    random = {made.bytes[6:] for made in [*found, *(uuid7() for _ in range(100))]}
    random |= {theirs[at + 6 : at + 16] for at in range(0, len(theirs), 16)}
    assert len(random) == 4 * 2000 + 200
