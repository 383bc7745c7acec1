"""Child processes that look at schemas before this process does; see `worker.py` for what they do."""

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
from typing import Any

from adaptive_engine.grammar.schema.report import Normalised, Note, SchemaRefused

log = logging.getLogger(__name__)

_COMMAND = [sys.executable, "-m", "adaptive_engine.grammar.worker"]


class CheckerBusy(Exception):
    """The check did not come to its end, for want of time or a process; that is no verdict on the schema."""


class CannotValidate(Exception):
    """Whether an answer is valid cannot be said; the text says why."""


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """What the check of one schema may cost."""

    cpu_seconds: float = 0.5
    """More is refused. Of 11,305 public schemas, one takes longer to compile."""
    wall_seconds: float = 5.0
    memory_bytes: int = 1 << 30
    checkers: int = 2
    """Child processes, started when needed; some 50 MB each."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A schema that holds no surprises for the compiler."""

    normalised: Normalised
    unexpressed: str | None
    """Why nothing of it can be compiled, if that is so."""
    examples: tuple[str, ...]
    """Strings that match the patterns of the schema."""
    seconds: float
    """What the check took."""


class Checkers:
    """A pool of child processes. Any thread may call `check`; as many as there are checkers at a time get through."""

    def __init__(self, limits: CheckLimits | None = None) -> None:
        self._limits = limits or CheckLimits()
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(self._limits.checkers):
            self._idle.put(None)
        self._children: set[_Child] = set()
        self._closed = False

    def check(self, schema: str) -> Checked:
        """Check a schema in JSON. Raises SchemaRefused or CheckerBusy."""
        reply = self._ask(b'{"schema":%b}\n' % schema.encode())
        if refused := reply.get("refused"):
            raise SchemaRefused(**refused)
        checked = reply["checked"]
        notes = tuple(Note(**note) for note in checked["notes"])
        normalised = Normalised(checked["schema"], notes, tuple(checked["enforced"]))
        return Checked(normalised, checked["unexpressed"], tuple(checked["examples"]), reply["seconds"])

    def violation(self, schema: str, answer: str) -> str | None:
        """Where and why a finished answer breaks `schema`, None when it does not.

        Raises SchemaRefused when that takes too much to find out, CheckerBusy, or CannotValidate.
        """
        reply = self._ask(b'{"schema":%b,"answer":%b}\n' % (schema.encode(), json.dumps(answer).encode()))
        if reason := reply.get("unknown"):
            raise CannotValidate(reason)
        violation: str | None = reply["violation"]
        return violation

    def close(self) -> None:
        """End all child processes; who waits for one gets CheckerBusy."""
        self._closed = True
        for child in list(self._children):
            child.kill()

    def _ask(self, question: bytes) -> dict[str, Any]:
        deadline = time.monotonic() + self._limits.wall_seconds
        try:
            child = self._idle.get(timeout=self._limits.wall_seconds)
        except queue.Empty:
            raise CheckerBusy from None
        try:
            if child is None or not child.alive:
                self._end(child)
                child = self._start()
            reply = child.ask(question, deadline)
            if reply["last"]:
                self._end(child)
                child = None
        except BaseException:
            self._end(child)
            child = None
            raise
        else:
            return reply
        finally:
            self._idle.put(child)

    def _start(self) -> _Child:
        if self._closed:
            raise CheckerBusy
        try:
            child = _Child(self._limits)
        except OSError as exc:
            log.error("a schema checker cannot be started: %s", exc)
            raise CheckerBusy from exc
        self._children.add(child)
        return child

    def _end(self, child: _Child | None) -> None:
        if child is not None:
            self._children.discard(child)
            child.end()


class _Child:
    def __init__(self, limits: CheckLimits) -> None:
        self._limits = limits
        self._killed = False
        self._process = subprocess.Popen(
            [*_COMMAND, str(limits.cpu_seconds), str(limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
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

    def ask(self, question: bytes, deadline: float) -> dict[str, Any]:
        """One line and its answer. Whatever it raises, the child cannot be asked again."""
        poll = select.poll()
        poll.register(self._stdin, select.POLLOUT)
        poll.register(self._stdout, select.POLLIN)
        left, answer = memoryview(question), b""
        while not answer.endswith(b"\n"):
            ready = poll.poll(1000 * max(deadline - time.monotonic(), 0))
            if not ready:
                raise CheckerBusy
            for descriptor, _ in ready:
                try:
                    if descriptor == self._stdout:
                        piece = os.read(self._stdout, 1 << 16)
                        if not piece:
                            raise self._died()
                        answer += piece
                    else:
                        left = left[os.write(self._stdin, left) :]
                        if not left:
                            poll.unregister(self._stdin)
                except BrokenPipeError:
                    raise self._died() from None
        reply: dict[str, Any] = json.loads(answer)
        return reply

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
            reason = f"It takes more than {self._limits.cpu_seconds:g} s to compile"
        elif status == -signal.SIGABRT:
            # Compilers written in Rust abort when they get no memory.
            reason = f"It takes more than {self._limits.memory_bytes >> 20} MiB to compile"
        elif status in (-signal.SIGSEGV, -signal.SIGBUS):
            reason = "It leads the compiler too deep"
        else:
            if not self._killed:
                log.error("a schema checker ended with status %d", status)
            return CheckerBusy()
        return SchemaRefused("schema_too_complex", "", f"{reason}. Make it smaller or simpler.")
