"""A command that does not outlive this process: the server's side of guard.py."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from adaptive_engine.vllm import guard

LOG_BYTES = 10 << 20
# What a guard takes to end what its command left behind.
_GUARD_SECONDS = 5.0


class Process:
    """One run of a command. `end` may be called by any thread, the others by the one that made it.

    Raises OSError where it cannot be started.
    """

    def __init__(self, command: list[str], environment: dict[str, str], log: Path, stop_seconds: float) -> None:
        self._stop_seconds = stop_seconds
        self._lock = threading.Lock()
        limits = [str(log), str(LOG_BYTES), str(stop_seconds)]
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *limits, *command],
            stdin=subprocess.PIPE,
            # Nothing is written to it: it ends when the guard does.
            stdout=subprocess.PIPE,
            env=environment,
            # Ctrl-C in a terminal is the server's business, which lets running requests finish first.
            start_new_session=True,
        )
        assert self._guard.stdout is not None
        self._end = select.poll()
        self._end.register(self._guard.stdout.fileno(), select.POLLIN)

    @property
    def pid(self) -> int:
        """Of the guard."""
        return self._guard.pid

    def ended(self, seconds: float) -> bool:
        """Whether it has, now or within so many seconds."""
        return bool(self._end.poll(1000 * max(seconds, 0)))

    def end(self) -> None:
        """Tell it to stop. Does not wait."""
        with self._lock, contextlib.suppress(OSError):
            assert self._guard.stdin is not None
            self._guard.stdin.close()

    def wait(self) -> str:
        """End it if it has not, and return how it ended, in words."""
        told = not self.ended(0)
        self.end()
        if not self.ended(self._stop_seconds + _GUARD_SECONDS):
            self._guard.kill()
        # Of a guard that was killed something may be left in its session. Before its number may be another's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        status = self._guard.wait()
        assert self._guard.stdout is not None
        self._guard.stdout.close()
        return "it was stopped" if told else _described(status)


def _described(status: int) -> str:
    number = -status if status < 0 else status - 128
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"it ended with status {status}"
    memory = ", as the system does when there is no memory left" if number == signal.SIGKILL else ""
    return f"it was killed by {name}{memory}"


def begin_log(log: Path) -> None:
    """Mark where the output of another run begins."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    when = time.strftime("%Y-%m-%d %H:%M:%S")
    guard.Log(log, LOG_BYTES).write(f"{START_MARK}{when} ---\n".encode())


START_MARK = "--- started at "
