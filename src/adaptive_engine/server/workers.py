"""Several processes that take connections from one socket: started, watched, started again, and ended in order."""

from __future__ import annotations

import json
import logging
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from adaptive_engine.errors import Conflict
from adaptive_engine.services.engine_process.supervisor import EngineSupervisor
from adaptive_engine.settings import Settings

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0
# One that has lived for so long is started again at once.
_SOUND_SECONDS = 60.0
# Beyond the time in which running requests may finish.
_END_SECONDS = 15.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(eq=False)
class _Worker:
    number: int
    """From 0, one that no other has now."""
    process: subprocess.Popen[bytes]
    control: socket.socket
    started: float = field(default_factory=time.monotonic)
    assembled: bool = False
    ready: bool = False
    unread: bytes = b""


class Workers:
    """The workers of a server, and the engine process that they share. `run` in the main thread.

    Over a socket to each goes a line of JSON. To it: `{}` with a connection to the engine process, `engine_ended` with
    the reason, and `changed` when another has changed what requests address or who may do what. From it: `assembled`
    when it has the store in order, `ready`, `changed`, and `connect` when it has lost its connection. When the socket
    is closed, the worker ends.
    """

    def __init__(self, settings: Settings, listening: socket.socket, options: dict[str, Any]) -> None:
        """`options` are those of the command line, which workers do not find in the environment."""
        self._count = settings.server.workers
        self._drain_seconds = settings.server.drain_seconds
        self._listening = listening
        self._options = {**options, "parent": os.getpid()}
        self._siblings = settings.data_dir / "workers"
        self._workers: list[_Worker] = []
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._pause = _FIRST_PAUSE
        self._restart_at: list[float] = []
        self._new_key: str | None = None
        self._serving = False
        """All workers were ready once."""
        self._failed = False
        self._engine = EngineSupervisor(
            settings.models_dir,
            settings.engine,
            settings.log_format,
            settings.log_level,
            self._engine_started,
            self._engine_ended,
        )

    def run(self, on_ready: Callable[[str | None], None]) -> None:
        """Serve until SIGINT or SIGTERM; then running requests may finish, unless a second SIGINT comes.

        `on_ready` gets the text of a new admin key when one was made. Raises Conflict when no worker can be started.
        """
        # What a server that was killed has left is of no use.
        shutil.rmtree(self._siblings, ignore_errors=True)
        self._siblings.mkdir(mode=0o700)
        self._engine.start()
        try:
            with self._hearing_signals():
                # The first one migrates the store and makes what every installation has.
                self._start()
                self._serve(on_ready)
                self._end()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.wait()
            self._engine.close()
            shutil.rmtree(self._siblings, ignore_errors=True)

    def _serve(self, on_ready: Callable[[str | None], None]) -> None:
        while not self._signals:
            self._wait(min(self._restart_at, default=None))
            if self._failed:
                raise Conflict("A worker could not be started; it says why above.")
            now = time.monotonic()
            for due in [at for at in self._restart_at if at <= now]:
                self._restart_at.remove(due)
                self._start()
            if not self._serving and any(worker.assembled for worker in self._workers):
                for _ in range(self._count - len(self._workers) - len(self._restart_at)):
                    self._start()
                self._serving = not self._restart_at and all(worker.ready for worker in self._workers)
                if self._serving:
                    on_ready(self._new_key)

    def _end(self) -> None:
        """Let all workers finish what runs."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + self._drain_seconds + _END_SECONDS
        heard = 1
        while self._workers and time.monotonic() < deadline:
            self._wait(deadline)
            if len(self._signals) > heard and self._signals[-1] == signal.SIGINT:
                self._signal(signal.SIGINT)
            heard = len(self._signals)

    def _wait(self, until: float | None) -> None:
        """Until something happens, and see to what did."""
        for key, _ in self._selector.select(None if until is None else max(until - time.monotonic(), 0)):
            if key.data is None:
                key.fileobj.recv(4096)  # type: ignore[union-attr]
            else:
                self._read(key.data)

    def _read(self, worker: _Worker) -> None:
        try:
            data = worker.control.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._ended(worker)
            return
        *lines, worker.unread = (worker.unread + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            worker.assembled |= "assembled" in said
            if "ready" in said:
                worker.ready = True
                self._new_key = said["new_key"] or self._new_key
            if "connect" in said:
                self._connect(worker)
            if "changed" in said:
                for other in self._workers:
                    if other is not worker:
                        self._say(other, {"changed": True})

    def _start(self) -> None:
        control, theirs = socket.socketpair()
        # One that does not read, stopped or swapped out, must not hold up the others.
        control.setblocking(False)
        descriptors = [theirs.fileno(), self._listening.fileno()]
        taken = {worker.number for worker in self._workers}
        number = next(number for number in range(self._count) if number not in taken)
        options = json.dumps({**self._options, "siblings": str(self._siblings), "number": number})
        command = [sys.executable, "-m", "adaptive_engine.cli.worker", *map(str, descriptors), options]
        with theirs:
            # Ctrl-C in a terminal is this process's business.
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=descriptors, start_new_session=True)
        worker = _Worker(number, process, control)
        self._selector.register(control, selectors.EVENT_READ, worker)
        with self._lock:
            self._workers.append(worker)
            self._connect(worker)

    def _ended(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.remove(worker)
        self._selector.unregister(worker.control)
        worker.control.close()
        status = worker.process.wait()
        if not self._serving and not worker.ready:
            # It would not fare better the next time.
            self._failed = True
        if self._signals or self._failed:
            return
        if time.monotonic() - worker.started > _SOUND_SECONDS:
            self._pause = _FIRST_PAUSE
        log.error(
            "worker %d has ended with status %d; another is started in %g s", worker.process.pid, status, self._pause
        )
        self._restart_at.append(time.monotonic() + self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _engine_started(self) -> None:
        with self._lock:
            for worker in self._workers:
                self._connect(worker)

    def _engine_ended(self, reason: str) -> None:
        with self._lock:
            for worker in self._workers:
                self._say(worker, {"engine_ended": reason})

    def _connect(self, worker: _Worker) -> None:
        connection = self._engine.connect()
        if connection is not None:
            with connection, suppress(OSError):
                socket.send_fds(worker.control, [b"{}\n"], [connection.fileno()])

    def _say(self, worker: _Worker, content: dict[str, Any]) -> None:
        # One that is gone is noticed elsewhere; one that does not read finds changes itself, seconds after it goes on.
        with suppress(OSError):
            worker.control.sendall(json.dumps(content).encode() + b"\n")

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            worker.process.send_signal(number)

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, None)
        before = {number: signal.signal(number, lambda heard, _: self._signals.append(heard)) for number in _SIGNALS}
        signal.set_wakeup_fd(theirs.fileno())
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            ours.close()
            theirs.close()
