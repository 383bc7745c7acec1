"""Streams of an engine whose readers are in another process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from adaptive_engine.engine import TokenStream
from adaptive_engine.services.engine_process import messages
from adaptive_engine.types import Delta


class Reader(Protocol):
    """The way to the other process. Belongs to the loop on which streams are made."""

    def put(self, entry: list[Any]) -> None:
        """Send an entry of `messages`."""

    def forget(self, number: int) -> None:
        """The stream has ended; its last entry was put."""


class SentStream(TokenStream):
    """What an engine says to `reader` under `number`."""

    def __init__(self, on_cancel: Callable[[TokenStream], None], number: int, reader: Reader) -> None:
        self._number = number
        self._sent_to = reader
        super().__init__(on_cancel)

    @property
    def phase(self) -> str:
        return self._phase

    @phase.setter
    def phase(self, phase: str) -> None:
        self._phase = phase
        # Set by the engine's thread, when a place is found for the request.
        if phase == "prefill":
            self.loop.call_soon_threadsafe(self._admitted)

    def deliver(self, delta: Delta) -> None:
        self._sent_to.put(messages.delta_entry(self._number, self.completion_tokens, delta))
        if delta.finish_reason is not None:
            self._sent_to.forget(self._number)

    def fail(self, error: BaseException) -> None:
        self._sent_to.put(messages.failed_entry(self._number, self.completion_tokens, error))
        self._sent_to.forget(self._number)

    def _admitted(self) -> None:
        self._sent_to.put(messages.admitted_entry(self._number, self.cached_tokens))
