"""Starts the engine process, sees that it lives, and starts it again."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from adaptive_engine.privacy import child_environment
from adaptive_engine.settings import EngineSettings, LogFormat, LogLevel

log = logging.getLogger(__name__)

# Until its first sign of life: it imports, on a machine that may have other things to do.
_START_SECONDS = 60.0
_MOST_BEATS_MISSED = 4
# What was stopped together with this process gets on together with it.
_GRACE_SECONDS = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0
# One that has lived for so long is started again at once.
_SOUND_SECONDS = 60.0
_END_SECONDS = 5.0


class EngineSupervisor:
    """Keeps one engine process running, in a thread. `start` before use, `close` at the end."""

    def __init__(
        self,
        models_dir: Path,
        settings: EngineSettings,
        log_format: LogFormat,
        log_level: LogLevel,
        on_start: Callable[[], None],
        on_end: Callable[[str], None],
    ) -> None:
        """`on_start` is called when a process can be connected to, `on_end` with why it is gone; both in the thread."""
        self._heartbeat = settings.heartbeat_seconds
        self._options = {
            "models_dir": str(models_dir),
            "settings": settings.model_dump(mode="json"),
            "log_format": log_format,
            "log_level": log_level,
            "beat_seconds": settings.heartbeat_seconds / _MOST_BEATS_MISSED,
            "parent": os.getpid(),
        }
        self._on_start = on_start
        self._on_end = on_end
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        # The process is killed when the thread that started it ends; so this one outlives it.
        self._thread = threading.Thread(target=self._run, name="engine-supervisor", daemon=True)

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None else None

    def start(self) -> None:
        self._thread.start()

    def connect(self) -> socket.socket | None:
        """A new connection to the process; None when there is none at this moment."""
        with self._lock:
            if self._control is None:
                return None
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    socket.send_fds(self._control, [b"\n"], [theirs.fileno()])
                except OSError:
                    ours.close()
                    return None
            return ours

    def close(self) -> None:
        """End the process. Blocks for seconds at most."""
        self._closing.set()
        self._hang_up()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while not self._closing.is_set():
            started = time.monotonic()
            reason = self._run_once()
            if self._closing.is_set():
                return
            pause = _FIRST_PAUSE if time.monotonic() - started > _SOUND_SECONDS else pause
            log.error("%s; it is started again in %g s", reason.rstrip("."), pause)
            self._on_end(f"{reason} It is being restarted.")
            self._closing.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _run_once(self) -> str:
        """From the start of a process to its end. Returns why it ended."""
        control, theirs = socket.socketpair()
        try:
            with theirs:
                process = self._spawn(theirs)
        except OSError as exc:
            control.close()
            return f"The engine process cannot be started: {exc.strerror}."
        with self._lock:
            self._control, self._process = control, process
        try:
            # Closed in this moment: it ends as its socket does.
            if self._closing.is_set():
                self._hang_up()
            else:
                self._on_start()
            reason = self._watch(control)
            if reason is not None:
                process.kill()
        except Exception:
            log.exception("the engine process is not watched any more")
            reason = "The engine process could not be watched."
        finally:
            self._hang_up()
            status = _end(process)
            self._process = None
        return reason or _reason(status)

    def _spawn(self, control: socket.socket) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "adaptive_engine.services.engine_process", str(control.fileno())]
        return subprocess.Popen(
            [*command, json.dumps(self._options)],
            stdin=subprocess.DEVNULL,
            pass_fds=[control.fileno()],
            # What it has to know of our settings, it is told.
            env=child_environment(),
            # Ctrl-C in a terminal is the server's business.
            start_new_session=True,
        )

    def _watch(self, control: socket.socket) -> str | None:
        """Return when the process is gone, or is to be: then why."""
        patience, overdue = _START_SECONDS, False
        while True:
            try:
                control.settimeout(_GRACE_SECONDS if overdue else patience)
                said = control.recv(4096)
            except TimeoutError:
                if overdue:
                    return f"The engine process was killed: it had shown no sign of life for {patience:g} s."
                overdue = True
                continue
            except OSError:
                # `close` has closed it.
                return None
            if not said:
                return None
            hung = said.strip().decode(errors="replace")
            if hung:
                return f"The engine process was killed because it does not get on: {hung.splitlines()[-1]}."
            patience, overdue = self._heartbeat, False

    def _hang_up(self) -> None:
        with self._lock:
            control, self._control = self._control, None
        if control is not None:
            # `_watch` may be reading.
            with suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)
            control.close()


def _end(process: subprocess.Popen[bytes]) -> int:
    """Its status. What does not end by itself is killed."""
    try:
        return process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _reason(status: int) -> str:
    if status >= 0:
        return f"The engine process has ended with status {status}."
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return f"The engine process was ended by {name}."
