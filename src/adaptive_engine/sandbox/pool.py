"""The side that asks: a pool of child processes, each started when it is needed."""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Literal

from adaptive_engine.privacy import child_environment

log = logging.getLogger(__name__)

Limit = Literal["time", "memory", "stack"]


class SandboxBusy(Exception):
    """There was no answer, for want of time or a process; that says nothing about the question."""


class LimitExceeded(Exception):
    """The question costs more than it may: its child is dead."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Limits:
    """What one question may cost."""

    cpu_seconds: float
    wall_seconds: float
    """With the wait for a child."""
    memory_bytes: int
    processes: int
    """Children, and so questions, at the same time."""


class Pool:
    """Children that run `python -m MODULE`, one question each at a time. Any thread may `ask`."""

    def __init__(self, module: str, limits: Limits) -> None:
        self._command = [sys.executable, "-m", module, str(limits.cpu_seconds), str(limits.memory_bytes)]
        self._limits = limits
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(limits.processes):
            self._idle.put(None)
        self._children: set[_Child] = set()
        self._closed = False

    def ask(self, question: bytes, payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """The answer to a line of JSON, and its payload. Raises SandboxBusy or LimitExceeded."""
        deadline = time.monotonic() + self._limits.wall_seconds
        try:
            child = self._idle.get(timeout=self._limits.wall_seconds)
        except queue.Empty:
            raise SandboxBusy from None
        try:
            if child is None or not child.alive:
                self._end(child)
                child = self._start()
            answer = child.ask(question, payload, deadline)
            if answer[0]["last"]:
                self._end(child)
                child = None
        except BaseException:
            self._end(child)
            child = None
            raise
        else:
            return answer
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """End all children; who waits for one gets SandboxBusy."""
        self._closed = True
        for child in list(self._children):
            child.kill()

    def _start(self) -> _Child:
        if self._closed:
            raise SandboxBusy
        try:
            child = _Child(self._command)
        except OSError as exc:
            log.error("a child process cannot be started: %s", exc)
            raise SandboxBusy from exc
        self._children.add(child)
        return child

    def _end(self, child: _Child | None) -> None:
        if child is not None:
            self._children.discard(child)
            child.end()


class _Child:
    def __init__(self, command: list[str]) -> None:
        self._killed = False
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(),
            # Ctrl-C in a terminal is the server's business; closing its input ends the child.
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin.fileno(), self._process.stdout.fileno()
        # A child that does not read must not hold up who writes.
        os.set_blocking(self._stdin, False)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, question: bytes, payload: bytes, deadline: float) -> tuple[dict[str, Any], bytes]:
        """Whatever it raises, the child cannot be asked again."""
        poll = select.poll()
        poll.register(self._stdin, select.POLLOUT)
        poll.register(self._stdout, select.POLLIN)
        waiting = [memoryview(payload), memoryview(b"%d %b\n" % (len(payload), question))]
        answer = _Answer()
        while not answer.whole:
            ready = poll.poll(1000 * max(deadline - time.monotonic(), 0))
            if not ready:
                raise SandboxBusy
            for descriptor, _ in ready:
                try:
                    if descriptor == self._stdout:
                        piece = os.read(self._stdout, 1 << 20)
                        if not piece:
                            raise self._died()
                        answer.add(piece)
                    else:
                        waiting[-1] = waiting[-1][os.write(self._stdin, waiting[-1]) :]
                        while waiting and not waiting[-1]:
                            waiting.pop()
                        if not waiting:
                            poll.unregister(self._stdin)
                except BrokenPipeError:
                    raise self._died() from None
        return answer.read()

    def kill(self) -> None:
        """From another thread than the one that asks."""
        self._killed = True
        self._process.kill()

    def end(self) -> None:
        """Kill it and free what it had."""
        self._process.kill()
        self._process.communicate()

    def _died(self) -> Exception:
        status = self._process.wait()
        if status == -signal.SIGVTALRM:
            return LimitExceeded("time")
        if status == -signal.SIGABRT:
            # Libraries written in Rust abort when they get no memory.
            return LimitExceeded("memory")
        if status in (-signal.SIGSEGV, -signal.SIGBUS):
            return LimitExceeded("stack")
        if not self._killed:
            log.error("a child process ended with status %d", status)
        return SandboxBusy()


class _Answer:
    """What has arrived of an answer."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._head = 0
        """The length of its first line, once that is there."""
        self._length = 0

    @property
    def whole(self) -> bool:
        return self._head > 0 and len(self._bytes) >= self._length

    def add(self, piece: bytes) -> None:
        self._bytes += piece
        if not self._head and b"\n" in piece:
            self._head = self._bytes.index(b"\n") + 1
            self._length = self._head + int(self._bytes.partition(b" ")[0])

    def read(self) -> tuple[dict[str, Any], bytes]:
        line = self._bytes[: self._head].partition(b" ")[2]
        return json.loads(line), bytes(memoryview(self._bytes)[self._head : self._length])
