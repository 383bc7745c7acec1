"""What the engine process does: the messages of servers to engines, and back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

# The first request within a schema shall not wait for it.
import adaptive_engine.grammar.compiler  # noqa: F401
from adaptive_engine.engine import TokenStream
from adaptive_engine.errors import AdaptiveError
from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.services.engine_jobs import EngineJobs
from adaptive_engine.services.engine_process import frames, messages
from adaptive_engine.services.engine_process.sent import SentStream
from adaptive_engine.services.engines import Engines
from adaptive_engine.services.structured import StructuredOutput

if TYPE_CHECKING:
    from adaptive_engine.engine import Engine

log = logging.getLogger(__name__)

# What a server that reads nothing may leave unread before it is given up.
_MOST_UNREAD_BYTES = 64 * 2**20
_NEWS_SECONDS = 1.0


class Host:
    """The engines, and the servers that use them. Belongs to one event loop."""

    def __init__(self, make_engines: Callable[[Callable[[], None]], Engines]) -> None:
        """`make_engines` is given what the engines tell of changes."""
        self._loop = asyncio.get_running_loop()
        self.engines = make_engines(self._changed)
        self.schemas = Schemas()
        self.structured = StructuredOutput(self.schemas)
        self._servers: set[Server] = set()

    def accept(self) -> Server:
        return Server(self)

    def add(self, server: Server) -> None:
        self._servers.add(server)

    def discard(self, server: Server) -> None:
        self._servers.discard(server)

    def hung(self) -> str | None:
        """Why an engine does not get on, if one does not."""
        for key in self.engines.known():
            status = self.engines.status(key)
            if status.state == "ERROR" and self.engines.loaded(key) is not None:
                return f"model '{key}': {status.reason}"
        return None

    def tell(self) -> None:
        """Tell all servers how the models are."""
        news = []
        for key in self.engines.known():
            model, status = self.engines.model(key), self.engines.status(key)
            if model is not None:
                news.append(
                    messages.NEWS.dump_python(messages.ModelNews(model, status, self.engines.stats(key)), mode="json")
                )
        for server in self._servers:
            server.send({"type": "models", "seen": server.seen, "loading": self.engines.loading, "models": news})

    async def keep_telling(self) -> None:
        while True:
            await asyncio.sleep(_NEWS_SECONDS)
            self.tell()

    def _changed(self) -> None:
        self._loop.call_soon_threadsafe(self.tell)


class Server(asyncio.Protocol):
    """The connection of one server."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._reader = frames.FrameReader()
        self._transport: asyncio.Transport | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._streams: dict[int, TokenStream] = {}
        self._deltas: list[Any] = []
        self.seen = 0
        """The last of the server's messages that changes what is loaded."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._host.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._reader.feed(data):
                self._receive(frame.content, frame.payload)
        except Exception:
            # Nothing that follows can be trusted; the server connects anew with the next engine process.
            log.exception("a server does not speak the protocol of engine processes")
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.discard(self)
        for task in list(self._tasks.values()):
            task.cancel()
        for stream in list(self._streams.values()):
            stream.cancel()

    def send(self, content: dict[str, Any]) -> None:
        for piece in frames.message(content):
            self._write(piece)

    def put(self, entry: list[Any]) -> None:
        """Send it together with what else this turn of the loop brings."""
        if not self._deltas:
            asyncio.get_running_loop().call_soon(self._flush)
        self._deltas.append(entry)

    def forget(self, number: int) -> None:
        self._streams.pop(number, None)

    def _flush(self) -> None:
        entries, self._deltas = self._deltas, []
        self._write(frames.deltas(entries))

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MOST_UNREAD_BYTES:
            log.error("a server does not read what its engine process sends; its requests are given up")
            self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _receive(self, content: dict[str, Any], payload: bytes) -> None:
        engines = self._host.engines
        match content["type"]:
            case "read_ahead":
                engines.read_ahead(content["model"])
            case "load":
                model = messages.MODEL.validate_python(content["model"])
                engines.load(model)
                self.seen = content["id"]
                self._host.tell()
            case "unload":
                # At once, since a model that is loaded after this message is wanted.
                gone = engines.remove(content["model"])
                self._start(content["id"], self._end(content["model"], gone))
            case "generate":
                self._start(content["id"], self._generate(content, payload))
            case "cancel":
                self._cancel(content["id"], content["streams"])
            case "inspect":
                self._start(content["id"], self._inspect(content["model"], content["schema"]))
            case "check":
                self._start(content["id"], self._check(content))
            case unknown:
                raise frames.BadFrame(f"type {unknown}")

    def _start(self, number: int, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(self._answer(number, work))
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    async def _answer(self, number: int, work: Coroutine[Any, Any, Any]) -> None:
        try:
            answer = {"result": await work}
        except Exception as exc:
            if not isinstance(exc, AdaptiveError):
                log.exception("a request failed in the engine process")
            answer = {"error": messages.error_message(exc)}
        self.send({"type": "answer", "id": number, **answer})

    async def _generate(self, content: dict[str, Any], pixels: bytes) -> Any:
        request = messages.read_request(content["request"], pixels)
        job = await self._jobs(content["model"]).job(request)
        numbers = iter(content["streams"])

        def make(on_cancel: Callable[[TokenStream], None]) -> TokenStream:
            number = next(numbers)
            self._streams[number] = stream = SentStream(on_cancel, number, self)
            return stream

        try:
            job.start(make)
        except BaseException:
            for number in content["streams"]:
                self.forget(number)
            raise
        return messages.begun_message(job)

    def _cancel(self, number: int, streams: list[int]) -> None:
        """A request that is still being prepared, or that runs."""
        task = self._tasks.get(number)
        if task is not None:
            task.cancel()
        for each in streams:
            if each in self._streams:
                self._streams.pop(each).cancel()

    async def _end(self, model_key: str, gone: Engine | None) -> None:
        if gone is not None:
            vocabulary = await asyncio.to_thread(self._host.engines.end, model_key, gone)
            self._host.schemas.forget(vocabulary)

    async def _inspect(self, model_key: str, schema: Any) -> Any:
        return (await self._jobs(model_key).inspect(schema)).model_dump(mode="json")

    async def _check(self, content: dict[str, Any]) -> Any:
        checked = await self._jobs(content["model"]).check(*messages.read_check(content))
        return messages.CHECK.dump_python(checked, mode="json")

    def _jobs(self, model_key: str) -> EngineJobs:
        return EngineJobs(self._host.engines.running(model_key), self._host.structured)
