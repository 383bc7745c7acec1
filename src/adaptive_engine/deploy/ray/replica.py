"""One replica of a model: its engine in an actor of Ray Serve."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from adaptive_engine.deploy.ray.options import ReplicaOptions
from adaptive_engine.engine import TokenStream
from adaptive_engine.errors import AdaptiveError
from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.registry import ModelDirectory
from adaptive_engine.services.engine_jobs import EngineJobs, EngineRequest
from adaptive_engine.services.engine_process import messages
from adaptive_engine.services.engine_process.sent import SentStream
from adaptive_engine.services.engines import Engines
from adaptive_engine.services.structured import StructuredOutput
from adaptive_engine.types import Model, uuid7

log = logging.getLogger(__name__)


class EngineReplica:
    """Ray Serve makes one in each actor, and calls it on the actor's event loop."""

    def __init__(self, options: dict[str, Any]) -> None:
        """Loads the model. Raises what is wrong with it, which becomes the status of the application."""
        chosen = ReplicaOptions.model_validate(options)
        settings = chosen.engine.model_copy(update={"threads": chosen.threads})
        self._engines = Engines(chosen.models_dir, settings)
        self._schemas = Schemas()
        self._structured = StructuredOutput(self._schemas)
        directory = ModelDirectory.load(chosen.models_dir / chosen.model)
        manifest = directory.manifest
        self._model = Model(
            uuid7(),
            directory.key,
            directory.name,
            "internal",
            manifest.capabilities,
            manifest.context_length,
            manifest.created_at,
        )
        self._engines.load(self._model).result()
        self.check_health()

    def __del__(self) -> None:
        """Ray Serve calls this when it stops a replica in order."""
        self._engines.close()
        self._schemas.close()

    async def generate(self, request: dict[str, Any], pixels: bytes) -> AsyncIterator[Any]:
        """The request is begun: `{"result": messages.Begun}`, or `{"error": ...}` and nothing else. Then entries of
        `messages`, as many together as there are at that moment, until each choice has ended.
        """
        outgoing = _Outgoing()
        try:
            try:
                job = await self._jobs().job(self._read(request, pixels))
                job.start(outgoing.stream)
            except Exception as exc:
                if not isinstance(exc, AdaptiveError):
                    log.exception("a request failed in its replica")
                yield {"error": messages.error_message(exc)}
                return
            yield {"result": messages.begun_message(job)}
            while outgoing.more:
                yield await outgoing.take()
        finally:
            # Also when the caller is gone: Ray Serve cancels this.
            outgoing.cancel()

    async def inspect(self, schema: Any) -> Any:
        """See `ModelEngine.inspect`; errors as those of `generate`."""
        return await _answer(self._inspect(schema))

    async def check(self, asked: dict[str, Any]) -> Any:
        """See `ModelEngine.check`; `asked` is a `messages.check_message`."""
        return await _answer(self._check(asked))

    def news(self) -> Any:
        """`messages.ModelNews`."""
        key = self._model.key
        found = messages.ModelNews(self._model, self._engines.status(key), self._engines.stats(key))
        return messages.NEWS.dump_python(found, mode="json")

    def check_health(self) -> None:
        """Ray Serve replaces a replica for which this raises."""
        status = self._engines.status(self._model.key)
        if status.state != "ONLINE":
            raise RuntimeError(f"Model '{self._model.key}': {status.reason}")

    def record_autoscaling_stats(self) -> dict[str, float]:
        """What `autoscaling.py` knows of a replica beside its requests."""
        stats = self._engines.stats(self._model.key)
        return {"kv_cache_used": stats.kv_blocks_used / max(stats.kv_blocks_total, 1) if stats else 0.0}

    def _read(self, content: dict[str, Any], pixels: bytes) -> EngineRequest:
        request = messages.read_request(content, pixels)
        # It says how long ago: machines do not share this clock.
        return replace(request, arrived=time.perf_counter() + request.arrived)

    async def _inspect(self, schema: Any) -> Any:
        return (await self._jobs().inspect(schema)).model_dump(mode="json")

    async def _check(self, asked: dict[str, Any]) -> Any:
        checked = await self._jobs().check(*messages.read_check(asked))
        return messages.CHECK.dump_python(checked, mode="json")

    def _jobs(self) -> EngineJobs:
        return EngineJobs(self._engines.running(self._model.key), self._structured)


async def _answer(work: Any) -> Any:
    try:
        return {"result": await work}
    except AdaptiveError as exc:
        return {"error": messages.error_message(exc)}


class _Outgoing:
    """The entries of one request on their way. See `sent.Reader`."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._streams: dict[int, TokenStream] = {}
        self._entries: list[Any] = []
        self._arrived = asyncio.Event()

    def stream(self, on_cancel: Callable[[TokenStream], None]) -> TokenStream:
        number = next(self._numbers)
        self._streams[number] = stream = SentStream(on_cancel, number, self)
        return stream

    @property
    def more(self) -> bool:
        return bool(self._streams or self._entries)

    def put(self, entry: list[Any]) -> None:
        self._entries.append(entry)
        self._arrived.set()

    def forget(self, number: int) -> None:
        self._streams.pop(number, None)

    async def take(self) -> list[Any]:
        await self._arrived.wait()
        self._arrived.clear()
        entries, self._entries = self._entries, []
        return entries

    def cancel(self) -> None:
        for stream in list(self._streams.values()):
            stream.cancel()
