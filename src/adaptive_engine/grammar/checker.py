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

    def check(self, schema: str) -> Checked:
        """Check a schema in JSON. Raises SchemaRefused or CheckerBusy."""
        deadline = time.monotonic() + self._limits.wall_seconds
        try:
            child = self._idle.get(timeout=self._limits.wall_seconds)
        except queue.Empty:
            raise CheckerBusy from None
        try:
            if child is None or not child.alive:
                child = _Child(self._limits)
            reply = child.ask(schema, deadline)
            if reply["last"]:
                child.end()
                child = None
        except BaseException:
            if child is not None:
                child.end()
            child = None
            raise
        finally:
            self._idle.put(child)
        if refused := reply.get("refused"):
            raise SchemaRefused(**refused)
        checked = reply["checked"]
        notes = tuple(Note(**note) for note in checked["notes"])
        normalised = Normalised(checked["schema"], notes, tuple(checked["enforced"]))
        return Checked(normalised, checked["unexpressed"], tuple(checked["examples"]), reply["seconds"])

    def close(self) -> None:
        """End the child processes. Waits for those that are busy, which is not long."""
        for _ in range(self._limits.checkers):
            child = self._idle.get()
            if child is not None:
                child.end()
        for _ in range(self._limits.checkers):
            self._idle.put(None)


class _Child:
    def __init__(self, limits: CheckLimits) -> None:
        self._limits = limits
        self._process = subprocess.Popen(
            [*_COMMAND, str(limits.cpu_seconds), str(limits.memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C in a terminal is the server's business; closing its input ends the child.
            start_new_session=True,
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, schema: str, deadline: float) -> dict[str, Any]:
        """One question and its answer. Whatever it raises, the child cannot be asked again."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(b'{"schema":' + schema.encode() + b"}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        answer = b""
        while not answer.endswith(b"\n"):
            readable, _, _ = select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0))
            if not readable:
                raise CheckerBusy
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            if not piece:
                raise self._died()
            answer += piece
        reply: dict[str, Any] = json.loads(answer)
        return reply

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _died(self) -> Exception:
        status = self._process.wait()
        if status == -signal.SIGVTALRM:
            reason = f"It takes more than {self._limits.cpu_seconds:g} s to compile"
        elif status == -signal.SIGABRT:
            # Compilers written in Rust abort when they get no memory.
            reason = f"It takes more than {self._limits.memory_bytes >> 20} MiB to compile"
        else:
            log.error("a schema checker ended with status %d", status)
            return CheckerBusy()
        return SchemaRefused("schema_too_complex", "", f"{reason}. Make it smaller or simpler.")
