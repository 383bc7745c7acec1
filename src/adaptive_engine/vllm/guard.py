"""Runs a command and ends it, with all that it has started, when its own input ends.

    python guard.py LOG BYTES SECONDS COMMAND...

The server holds the other end of the input: a server that is gone, by kill -9 too, takes the command with it. What
the command writes goes into LOG, which becomes LOG.1 when it has BYTES, and LOG.1 becomes LOG.2. Ended, the command may
take SECONDS to stop by itself; then it is killed, and whatever it leaves behind as well. The exit status is the
command's, or 128 and the number of the signal that ended it, as in a shell.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

_KEPT = 2
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # of Linux' prctl(2)
_CANNOT_START = 127


class Log:
    """A file that is put aside when it is full. What cannot be written is lost: a full disk ends no model."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes

    def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size + len(data) > self._most_bytes:
                for number in range(_KEPT, 0, -1):
                    older = self._path if number == 1 else self._path.with_name(f"{self._path.name}.{number - 1}")
                    if older.exists():
                        older.replace(self._path.with_name(f"{self._path.name}.{number}"))
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, data)
            finally:
                os.close(descriptor)


class Guard:
    def __init__(self, log: Log, grace: float, command: list[str]) -> None:
        self._log = log
        self._grace = grace
        self._deadline: float | None = None
        """When a command that was told to end is killed."""
        self._status: int | None = None
        self._wake, wakes = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        # Not SIG_IGN, which the command would inherit. Ending the input is what ends a guard.
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        libc = ctypes.CDLL(None)
        libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Should the guard be killed, the command ends too.
            preexec_fn=lambda: libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0),
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout.fileno()
        os.set_blocking(self._output, False)

    def run(self) -> int:
        selector = selectors.DefaultSelector()
        for descriptor in (sys.stdin.fileno(), self._output, self._wake):
            selector.register(descriptor, selectors.EVENT_READ)
        while self._status is None:
            seconds = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            if self._deadline is not None and seconds == 0:
                break
            for key, _ in selector.select(seconds):
                data = os.read(key.fd, 65_536)
                if key.fd == self._output:
                    self._log.write(data)
                elif key.fd == sys.stdin.fileno() and not data:
                    self._deadline = time.monotonic() + self._grace
                    self._process.send_signal(signal.SIGTERM)
                if not data:
                    selector.unregister(key.fd)
            self._reap(os.WNOHANG)
        self._end_all()
        self._log_rest()
        assert self._status is not None
        code = os.waitstatus_to_exitcode(self._status)
        return code if code >= 0 else 128 - code

    def _reap(self, options: int) -> bool:
        """Take leave of children that have ended; the command's own become the guard's when it is gone."""
        while True:
            try:
                pid, status = os.waitpid(-1, options)
            except ChildProcessError:
                return False
            if pid == self._process.pid:
                self._status = status
                # What is waited for here is not there for `subprocess` to wait for.
                self._process.returncode = os.waitstatus_to_exitcode(status)
            if pid == 0 or not options:
                return True

    def _end_all(self) -> None:
        left = True
        while left:
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            left = self._reap(0)

    def _log_rest(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._output, 65_536):
                self._log.write(data)


def _children() -> list[int]:
    """Of this process, by /proc."""
    found, own = [], os.getpid()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                # The name in brackets may contain anything.
                fields = Path("/proc", entry, "stat").read_bytes().rpartition(b")")[2].split()
                if int(fields[1]) == own:
                    found.append(int(entry))
    return found


def main() -> int:
    log, most_bytes, seconds, *command = sys.argv[1:]
    try:
        guard = Guard(Log(Path(log), int(most_bytes)), float(seconds), command)
    except OSError as exc:
        Log(Path(log), int(most_bytes)).write(f"error: {command[0]}: {exc.strerror}\n".encode())
        return _CANNOT_START
    return guard.run()


if __name__ == "__main__":
    sys.exit(main())
