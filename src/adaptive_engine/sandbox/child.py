"""The side that answers, in a process of its own: `python -m MODULE CPU_SECONDS BYTES`.

One that takes more than CPU_SECONDS for a question is ended by the signal SIGVTALRM. Each answer says under `seconds`
what it took, and under `last` whether the process ends now.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Callable[[Any, bytes], tuple[dict[str, Any], bytes]]
"""From a question and its payload to the answer and its payload."""

# Below the server: its streams come first when there are not enough cores.
_NICE = 10
# Half of the smallest stack that threads of a server have, on any Linux with glibc.
_STACK_BYTES = 1 << 20


def serve(make_answer: Callable[[], Answer], arguments: list[str]) -> None:
    """Answer what comes in until it ends, within the limits of the command line. That of memory holds at once."""
    cpu_seconds, most_bytes = float(arguments[0]), int(arguments[1])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))
    os.nice(_NICE)
    # What is too deep for this stack must not be too deep for a thread of the server.
    threading.stack_size(_STACK_BYTES)
    worker = threading.Thread(target=_serve, args=(make_answer, cpu_seconds, most_bytes))
    worker.start()
    worker.join()


def _serve(make_answer: Callable[[], Answer], cpu_seconds: float, most_bytes: int) -> None:
    answer = make_answer()
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    while line := questions.readline():
        length, _, question = line.partition(b" ")
        payload = questions.read(int(length))
        signal.setitimer(signal.ITIMER_VIRTUAL, cpu_seconds)
        start = time.perf_counter()
        said, made = answer(json.loads(question), payload)
        seconds = time.perf_counter() - start
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        # Memory is rarely given back to the system; a fresh process is better.
        last = _resident_bytes() > most_bytes // 4
        answers.write(b"%d %b\n" % (len(made), json.dumps({**said, "seconds": seconds, "last": last}).encode()))
        answers.write(made)
        answers.flush()
        if last:
            return


def _resident_bytes() -> int:
    """Not getrusage's maximum: that begins with the parent's."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0  # Not Linux: the limit itself holds all the same.
