"""The internal models of a server whose engines run in another process."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

from adaptive_engine.engine import EngineStats
from adaptive_engine.engine.stream import Outbox, TokenStream
from adaptive_engine.errors import AdaptiveError, EngineFailed
from adaptive_engine.services.engine_process import frames, messages
from adaptive_engine.services.engine_process.connection import Connection
from adaptive_engine.services.engine_process.engine import RemoteEngine
from adaptive_engine.services.local_models import ModelStatus
from adaptive_engine.services.model_engines import ModelEngines
from adaptive_engine.settings import EngineSettings
from adaptive_engine.types import Model

log = logging.getLogger(__name__)

# So often a model may end the engine process while it is loaded; then it is left alone until it is deployed again.
_MOST_FATAL_LOADS = 2
_FATAL = "The engine process ended each time that it was being loaded. Deploy it again to have it tried once more."
_RECONNECT_SECONDS = 0.5
# An unloaded model is gone within a step, or the process is restarted.
_UNLOAD_SECONDS = 30


@dataclass(eq=False)
class _Mirrored:
    """A model that the engine process has, or is to have."""

    model: Model
    status: ModelStatus
    stats: EngineStats | None = None
    settled: Future[None] = field(default_factory=Future)
    since: int = 0
    """The number of the message that asked for it; the process's news before that are not about it."""
    leaving: bool = False
    fatal: bool = False
    """Loading it has ended the process too often."""

    def settle(self) -> None:
        if not self.settled.done():
            self.settled.set_result(None)


class EngineClient(ModelEngines[RemoteEngine]):
    """Mirrors what the engine process says of its models, so that nobody waits for it to be told.

    Whatever starts the process calls `attach` with a connection to it, each time.
    """

    def __init__(
        self,
        models_dir: Path,
        settings: EngineSettings,
        on_close: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_lost` is to see to another connection, if the process still lives."""
        super().__init__(models_dir, settings)
        self._on_close = on_close
        self._on_lost = on_lost
        self._closed = False
        self._attaching = threading.Lock()
        self._lock = threading.RLock()
        self._models: dict[str, _Mirrored] = {}
        self._fatal_loads: dict[str, int] = {}
        self._ahead: str | None = None
        self._loading: str | None = None
        self._connection: Connection | None = None
        self._latest: Connection | None = None
        self._numbers = itertools.count(1)
        self._replies: dict[int, Future[Any]] = {}
        self._streams: dict[int, TokenStream] = {}
        self._ended: str | None = "The engine process is being started."
        """Why no model answers while there is no connection, as far as that is known."""

    def attach(self, sock: socket) -> None:
        """Use this connection, and have all models loaded that are wanted. Not from a connection's thread."""
        with self._attaching:
            if self._latest is not None:
                # Whoever waits for it must have heard that it is gone.
                self._latest.close()
            self._latest = connection = Connection(sock, self._receive, self._lost)
            with self._lock:
                self._connection, self._ended = connection, None
                if self._ahead is not None:
                    self._send({"type": "read_ahead", "model": self._ahead})
                for mirrored in self._models.values():
                    if not mirrored.fatal:
                        self._request(mirrored)
            connection.start()

    def ended(self, reason: str) -> None:
        """Why the process is gone; it will be started again."""
        with self._lock:
            self._ended = reason
            for mirrored in self._models.values():
                if mirrored.status.state == "PENDING":
                    mirrored.status = self._pending(mirrored.model, self._ended)

    def read_ahead(self, model_key: str) -> None:
        with self._lock:
            self._ahead = model_key
            self._send({"type": "read_ahead", "model": model_key})

    def load(self, model: Model) -> Future[None]:
        with self._lock:
            known = self._models.get(model.key)
            if known is not None and known.status.state != "ERROR" and not known.leaving:
                return known.settled
            self._fatal_loads.pop(model.key, None)
            mirrored = self._models[model.key] = _Mirrored(model, self._pending(model, self._ended))
            if self._connection is not None:
                self._request(mirrored)
            return mirrored.settled

    def unload(self, model_key: str) -> None:
        with self._lock:
            content = {"type": "unload", "model": model_key}
            known = self._models.get(model_key)
            if known is None:
                if self._ahead == model_key:
                    self._ahead = None
                    self._send({**content, "id": next(self._numbers)})
                return
            known.leaving = True
            known.settle()
            try:
                gone = self.ask(content, lambda: self._gone(model_key, known))
            except EngineFailed:
                # With the process ended, so has the model.
                self._gone(model_key, known)
                return
        try:
            gone.result(_UNLOAD_SECONDS)
        except (AdaptiveError, TimeoutError) as exc:
            log.warning("model %s was not unloaded in order: %s", model_key, exc)
            self._gone(model_key, known)

    def loaded(self, model_key: str) -> RemoteEngine | None:
        known = self._models.get(model_key)
        return RemoteEngine(self, model_key) if known is not None and known.status.active is not None else None

    def status(self, model_key: str) -> ModelStatus:
        known = self._models.get(model_key)
        return ModelStatus("OFFLINE") if known is None or known.leaving else known.status

    def stats(self, model_key: str) -> EngineStats | None:
        known = self._models.get(model_key)
        return known.stats if known is not None and known.status.active is not None else None

    def settled(self, model_key: str) -> Future[None] | None:
        known = self._models.get(model_key)
        return known.settled if known else None

    def known(self) -> Iterable[str]:
        with self._lock:
            return list(self._models)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for mirrored in self._models.values():
                mirrored.settle()
            self._models.clear()
        self._on_close()
        with self._attaching:
            if self._latest is not None:
                self._latest.close()

    def ask(
        self, content: dict[str, Any], on_answer: Callable[[], None] = lambda: None, payload: bytes = b""
    ) -> Future[Any]:
        """Send a message that is answered. The result is the answer, or raises its error, or EngineFailed when there
        will be none; so does this, or Overloaded. `on_answer` is called in the reading thread, before what else the
        process says is read.
        """
        number = content.get("id") or next(self._numbers)
        answer: Future[Any] = Future()

        def settled(_: Future[Any]) -> None:
            self._replies.pop(number, None)
            on_answer()

        answer.add_done_callback(settled)
        with self._lock:
            if self._connection is None:
                raise self._failed()
            self._connection.require_room()
            self._replies[number] = answer
            self._send({**content, "id": number}, payload)
        return answer

    def open_streams(self, count: int) -> dict[int, TokenStream]:
        """By their numbers. Made where they will be read."""
        numbers = [next(self._numbers) for _ in range(count)]
        streams = {number: TokenStream(partial(self._cancel, number)) for number in numbers}
        with self._lock:
            self._streams.update(streams)
        return streams

    def next_number(self) -> int:
        return next(self._numbers)

    def give_up(self, number: int, streams: Sequence[int]) -> None:
        """Nobody waits for the answer to this request any more."""
        with self._lock:
            for each in streams:
                self._streams.pop(each, None)
            self._send({"type": "cancel", "id": number, "streams": list(streams)})

    def _cancel(self, number: int, stream: TokenStream) -> None:
        stream.phase = "done"
        self.give_up(0, [number])

    def _send(self, content: dict[str, Any], payload: bytes = b"") -> None:
        if self._connection is not None:
            self._connection.send(frames.message(content, payload))

    def _request(self, mirrored: _Mirrored) -> None:
        mirrored.since = next(self._numbers)
        mirrored.status = self._pending(mirrored.model, "It is being loaded.")
        if mirrored.settled.done():
            mirrored.settled = Future()
        model = messages.MODEL.dump_python(mirrored.model, mode="json")
        self._send({"type": "load", "id": mirrored.since, "model": model})

    def _receive(self, frame: frames.Frame) -> None:
        if isinstance(frame.content, list):
            self._deliver(frame.content)
        elif frame.content["type"] == "answer":
            answer = self._replies.get(frame.content["id"])
            # It is gone when nobody waits for it any more.
            if answer is not None and answer.set_running_or_notify_cancel():
                if "error" in frame.content:
                    answer.set_exception(messages.read_error(frame.content["error"]))
                else:
                    answer.set_result(frame.content["result"])
        elif frame.content["type"] == "models":
            self._mirror(frame.content)

    def _deliver(self, entries: list[Any]) -> None:
        outbox = Outbox()
        for entry in entries:
            stream = self._streams.get(entry[0])
            if stream is None:
                continue
            news = messages.read_entry(entry, stream)
            if stream.phase == "done":
                self._forget(entry[0])
            if news is not None:
                outbox.put(stream, news)
        outbox.flush()

    def _forget(self, number: int) -> None:
        with self._lock:
            self._streams.pop(number, None)

    def _mirror(self, news: dict[str, Any]) -> None:
        found = {each.model.key: each for each in map(messages.NEWS.validate_python, news["models"])}
        with self._lock:
            self._loading = news["loading"]
            for key, each in found.items():
                # One that it has and nobody here asked for, another server of this process did.
                known = self._models.setdefault(key, _Mirrored(each.model, each.status))
                if known.leaving or news["seen"] < known.since:
                    continue
                known.model, known.status, known.stats = each.model, each.status, each.stats
                if each.status.state != "PENDING":
                    self._fatal_loads.pop(key, None)
                    known.settle()
            for key, known in list(self._models.items()):
                if key not in found and not known.leaving and not known.fatal and news["seen"] >= known.since:
                    self._gone(key, known)

    def _gone(self, model_key: str, known: _Mirrored) -> None:
        with self._lock:
            if self._models.get(model_key) is known:
                del self._models[model_key]
            known.settle()

    def _lost(self) -> None:
        """In the reading thread: nothing comes over the connection any more."""
        with self._lock:
            self._connection = None
            self._ahead = None
            self._ended = self._ended or "The engine process has ended; it is being restarted."
            replies, streams = list(self._replies.values()), list(self._streams.values())
            self._streams.clear()
            fatal, self._loading = self._loading, None
            for key, mirrored in list(self._models.items()):
                if mirrored.leaving:
                    del self._models[key]
                elif key == fatal and self._is_fatal(key):
                    mirrored.fatal = True
                    mirrored.status = ModelStatus("ERROR", _FATAL)
                elif not mirrored.fatal:
                    mirrored.status = self._pending(mirrored.model, self._ended)
                mirrored.settle()
        for answer in replies:
            if answer.set_running_or_notify_cancel():
                answer.set_exception(self._failed())
        outbox = Outbox()
        for stream in streams:
            stream.phase = "done"
            outbox.put(stream, self._failed())
        outbox.flush()
        if not self._closed:
            again = threading.Timer(_RECONNECT_SECONDS, self._reconnect)
            again.daemon = True
            again.start()

    def _reconnect(self) -> None:
        """The process may only have given this connection up. One that was started again has made another by now."""
        if self._connection is None and not self._closed:
            self._on_lost()

    def _is_fatal(self, model_key: str) -> bool:
        """Whether it has ended the process too often, counting this time."""
        self._fatal_loads[model_key] = self._fatal_loads.get(model_key, 0) + 1
        return self._fatal_loads[model_key] >= _MOST_FATAL_LOADS

    def _pending(self, model: Model, reason: str | None) -> ModelStatus:
        return ModelStatus("PENDING", reason, self._estimate(model), loaded_from=model.compute_config)

    def _failed(self) -> EngineFailed:
        reason = "The engine process ended during this request; it is being restarted."
        return EngineFailed(reason, code="engine_restarted")
