"""One model that vLLM runs: started, watched, started again when it ends, ended."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from pathlib import Path

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.registry.vllm import VllmModel
from adaptive_engine.types import ModelMemory, ModelState
from adaptive_engine.vllm import client, start_log
from adaptive_engine.vllm.client import Address, NotServing
from adaptive_engine.vllm.command import HOST, VllmOptions, command_of, environment_of
from adaptive_engine.vllm.process import Process, begin_log

log = logging.getLogger(__name__)

# Seconds before another start, doubled for each failure in a row.
_FIRST_PAUSE, _MAX_PAUSE = 1.0, 300.0
# One that ran for so long had not failed before.
_STEADY_SECONDS = 300.0
_FIRST_LOOK, _MAX_LOOK = 0.05, 1.0
_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Running:
    """A vLLM that answers."""

    address: Address
    max_model_len: int
    """Most tokens of prompt and answer together; 0: it does not say."""
    memory: ModelMemory | None
    cache_tokens: int | None
    """That fit into its KV cache."""


@dataclass(frozen=True, slots=True)
class Status:
    state: ModelState
    reason: str | None = None
    """Why it does not answer."""
    running: Running | None = None


class VllmServer:
    """Runs from `start` to `stop`, in a thread of its own. Any thread may call it."""

    def __init__(
        self,
        model: VllmModel,
        options: VllmOptions,
        log_file: Path,
        turn: threading.Lock,
        *,
        max_model_len: int | None = None,
        after: Sequence[VllmServer] = (),
    ) -> None:
        """`turn` is held while one starts: what vLLM finds free of its device's memory is measured then. It starts when
        those of `after` have ended, which held that memory.
        """
        self.model = model
        self.log_file = log_file
        self._options = options
        self._turn = turn
        self._max_model_len = max_model_len
        self._after = after
        self._stopping = threading.Event()
        self._status = Status("PENDING", "It is being started.")
        self._usage = 0.0
        self._process: Process | None = None
        self._thread = threading.Thread(target=self._run, name=f"vllm-{model.key}", daemon=True)
        self.failed = False
        """Its last start came to nothing; there will be another."""
        self.settled: Future[None] = Future()
        """Done when it answers for the first time, or has failed to. Never fails itself."""

    @property
    def status(self) -> Status:
        return Status("OFFLINE") if self.stopping else self._status

    @property
    def cache_usage(self) -> float:
        """The share of the KV cache that was in use when it was looked at last."""
        return self._usage

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    @property
    def ended(self) -> bool:
        """It was stopped, and all its processes are gone."""
        return self.stopping and not self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let it end. Does not wait."""
        self._stopping.set()
        self._settle()
        process = self._process
        if process is not None:
            process.end()

    def join(self) -> None:
        """Return when it has ended, with all its processes."""
        self._thread.join()

    def _run(self) -> None:
        for other in self._after:
            other.join()
        failures = 0
        before = ""
        while not self.stopping:
            self._status = Status(
                "PENDING", f"It is being started again. {before}" if before else "It is being started."
            )
            began = time.monotonic()
            online, problem = self._serve()
            if self.stopping:
                return
            self.failed = not online
            failures = 1 if online and time.monotonic() - began > _STEADY_SECONDS else failures + 1
            pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _MAX_PAUSE)
            before = f"{problem} Its log is {self.log_file}."
            log.error("vLLM of model %s: %s It is started again in %g s", self.model.key, problem, pause)
            # One that has answered will most likely do so again.
            state: ModelState = "PENDING" if online else "ERROR"
            self._status = Status(state, f"{before} It is started again after {pause:g} s.")
            self._settle()
            self._stopping.wait(pause)

    def _serve(self) -> tuple[bool, str]:
        """One run of vLLM: whether it answered, and why it ended."""
        online = False
        address = Address(_free_port(), secrets.token_urlsafe(32))
        while not self._turn.acquire(timeout=0.2):
            if self.stopping:
                return False, ""
        try:
            try:
                process = self._start(address)
            except (InvalidRequest, OSError) as exc:
                return False, exc.message if isinstance(exc, InvalidRequest) else f"It cannot be started: {exc}."
            problem = self._wait_until_it_answers(process, address)
        finally:
            self._turn.release()
        if problem is None:
            online = True
            problem = self._watch(process, address)
        self._status = Status("PENDING", f"{problem or 'vLLM has ended.'} It is being cleared away.")
        how = process.wait()
        return online, problem or self._explain(how)

    def _start(self, address: Address) -> Process:
        command = command_of(self._options, self.model, address.port, self._max_model_len)
        begin_log(self.log_file)
        log.info("vLLM of model %s is started", self.model.key)
        process = Process(command, environment_of(address.api_key), self.log_file, self._options.stop_seconds)
        self._process = process
        if self.stopping:
            # `stop` may have looked for a process before there was one.
            process.end()
        return process

    def _wait_until_it_answers(self, process: Process, address: Address) -> str | None:
        """None when it does. Otherwise why not; empty where the process has ended and nothing else is known."""
        deadline = time.monotonic() + self._options.start_seconds
        pause, last = _FIRST_LOOK, ""
        while not process.ended(min(pause, max(0.0, deadline - time.monotonic()))):
            try:
                length = client.max_model_len(address, self.model.key, _LOOK_SECONDS)
            except NotServing as exc:
                last = str(exc)
            else:
                said = start_log.report(self.log_file, _weights_bytes(self.model))
                running = Running(address, length, said.memory, said.cache_tokens)
                self.failed = False
                self._status = Status("ONLINE", None, running)
                self._settle()
                log.info("vLLM of model %s answers", self.model.key)
                return None
            if time.monotonic() >= deadline:
                return f"vLLM was not ready within {self._options.start_seconds:g} s: {last}."
            pause = min(1.5 * pause, _MAX_LOOK)
        return ""

    def _watch(self, process: Process, address: Address) -> str:
        """Return why it cannot go on; empty where the process has ended."""
        limit = self._options.health_seconds
        healthy_at = time.monotonic()
        while not process.ended(limit / 10):
            if client.is_healthy(address, limit / 2):
                healthy_at = time.monotonic()
                self._usage = client.cache_usage(address, limit / 2)
            elif time.monotonic() - healthy_at >= limit:
                return f"vLLM has not answered /health for {limit:g} s."
        return ""

    def _explain(self, how: str) -> str:
        said = start_log.failure(self.log_file)
        return f"vLLM has ended ({how}){f': {said}' if said else '.'}"

    def _settle(self) -> None:
        with contextlib.suppress(InvalidStateError):
            self.settled.set_result(None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _weights_bytes(model: VllmModel) -> int:
    """0 where they are not on this disk."""
    return sum(file.stat().st_size for file in Path(model.source).glob("*.safetensors"))
