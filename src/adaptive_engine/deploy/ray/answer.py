"""What a replica answers to one request, as it comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from adaptive_engine.engine.stream import TokenStream
from adaptive_engine.errors import AdaptiveError, EngineFailed, ModelOffline, Overloaded
from adaptive_engine.services.engine_process import messages
from adaptive_engine.services.engine_process.messages import Begun
from adaptive_engine.types import Delta

log = logging.getLogger(__name__)


class Response(Protocol):
    """What Ray Serve's handle returns for a generator of a replica."""

    def __aiter__(self) -> AsyncIterator[Any]: ...

    async def __anext__(self) -> Any: ...

    def cancel(self) -> None: ...


class ReplicaLost(EngineFailed):
    """The replica ended, or its machine did; others may answer."""

    def __init__(self, model_key: str) -> None:
        super().__init__(f"A replica of model '{model_key}' ended during this request.", code="replica_lost")


class Answer:
    """Reads one response in a task, which ends with it. Made where its streams will be read."""

    def __init__(self, model_key: str, response: Response, choices: int) -> None:
        self._model_key = model_key
        self._response = response
        self._streams = [TokenStream(self._cancel) for _ in range(choices)]
        self._begun: asyncio.Future[Begun] = asyncio.get_running_loop().create_future()
        self._given_up = False
        self._task = asyncio.create_task(self._read())

    @property
    def streams(self) -> Sequence[TokenStream]:
        """Of each choice."""
        return self._streams

    async def begun(self) -> Begun:
        """Raises what the engine has against the request, or what became of its replica."""
        try:
            return await self._begun
        except BaseException:
            self._give_up()
            raise

    def _cancel(self, stream: TokenStream) -> None:
        stream.phase = "done"
        if all(other.phase == "done" for other in self._streams):
            self._give_up()

    def _give_up(self) -> None:
        self._given_up = True
        # The replica hears of it by the response; the task only reads.
        self._response.cancel()
        self._task.cancel()

    async def _read(self) -> None:
        try:
            async for said in self._response:
                if self._begun.done():
                    self._hear(said)
                elif "error" in said:
                    raise messages.read_error(said["error"])
                else:
                    self._begun.set_result(messages.BEGUN.validate_python(said["result"]))
            # Nobody hears of this behind the last deltas.
            self._fail(ReplicaLost(self._model_key))
        except Exception as exc:
            if not self._given_up:
                self._fail(error_of(self._model_key, exc))

    def _hear(self, entries: list[Any]) -> None:
        for entry in entries:
            stream = self._streams[entry[0]]
            if stream.phase == "done":
                continue
            news = messages.read_entry(entry, stream)
            if isinstance(news, Delta):
                stream.deliver(news)
            elif news is not None:
                stream.fail(news)

    def _fail(self, error: AdaptiveError) -> None:
        """Tell whoever still waits."""
        if not self._begun.done():
            self._begun.set_exception(error)
        for stream in self._streams:
            if stream.phase != "done":
                stream.phase = "done"
                stream.fail(error)


def error_of(model_key: str, error: Exception) -> AdaptiveError:
    """What clients get for an error of Ray."""
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

    if isinstance(error, AdaptiveError):
        return error
    if isinstance(error, BackPressureError):
        return Overloaded(f"All replicas of model '{model_key}' are busy, and no more requests may wait for them.")
    if isinstance(error, RayActorError):
        return ReplicaLost(model_key)
    if isinstance(error, DeploymentUnavailableError):
        return ModelOffline(f"Model '{model_key}' does not run on the Ray cluster any more.")
    log.error("a request to a replica of %s failed", model_key, exc_info=error)
    return EngineFailed(f"The request failed unexpectedly on the way to a replica of model '{model_key}'.")
