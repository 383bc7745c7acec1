"""What the engine thread sends to one consumer on an asyncio loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from adaptive_engine.types import Delta


class TokenStream:
    """An async iterator of deltas. Ends after the delta with a `finish_reason`, or raises what went wrong.

    A slow reader costs no memory beyond its own text: deltas that wait are merged into one.
    """

    # For who reads answers of providers too: requests to one, and seconds of waiting for it.
    attempts: Final = ()
    waited: Final = None

    def __init__(self, on_cancel: Callable[[TokenStream], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self.completion_tokens = 0
        """Tokens generated so far; also true after a cancellation, as is the next."""
        self.cached_tokens = 0
        self.phase = "queue"
        """`queue`, `prefill`, `decode` or `done`: where a cancellation met the request."""
        self._on_cancel = on_cancel
        self._waiting: Delta | None = None
        self._error: BaseException | None = None
        self._reader: asyncio.Future[None] | None = None
        self._ended = False

    def __aiter__(self) -> TokenStream:
        return self

    async def __anext__(self) -> Delta:
        while self._waiting is None:
            if self._error is not None:
                self._ended = True
                raise self._error
            if self._ended:
                raise StopAsyncIteration
            self._reader = self.loop.create_future()
            await self._reader
        delta, self._waiting = self._waiting, None
        self._ended = delta.finish_reason is not None
        return delta

    def cancel(self) -> None:
        """Free everything the request holds within one step. Safe to call at any time, also after the end."""
        if self.phase != "done":
            self._on_cancel(self)

    def take_waiting(self) -> str:
        """Text that arrived and was not read. For who stops reading and wants to know how far it got."""
        waiting, self._waiting = self._waiting, None
        return waiting.text if waiting else ""

    def deliver(self, delta: Delta) -> None:
        """Called on the loop."""
        if self._waiting is not None:
            text, logprobs = self._waiting.text + delta.text, self._waiting.logprobs + delta.logprobs
            delta = Delta(text, delta.finish_reason, delta.usage, delta.timings, logprobs)
        self._waiting = delta
        self._wake()

    def fail(self, error: BaseException) -> None:
        """Called on the loop: the iterator raises `error` after the text that already arrived."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Outbox:
    """What a step has for its streams. It goes to each of their loops in one call."""

    def __init__(self) -> None:
        self._messages: dict[asyncio.AbstractEventLoop, list[tuple[TokenStream, Delta | BaseException]]] = {}

    def put(self, stream: TokenStream, message: Delta | BaseException) -> None:
        self._messages.setdefault(stream.loop, []).append((stream, message))

    def flush(self) -> None:
        for loop, messages in self._messages.items():
            try:
                loop.call_soon_threadsafe(_deliver, messages)
            except RuntimeError:
                # The loop is closed: nobody is left to read.
                for stream, _ in messages:
                    stream.cancel()
        self._messages = {}


def _deliver(messages: list[tuple[TokenStream, Delta | BaseException]]) -> None:
    for stream, message in messages:
        if isinstance(message, Delta):
            stream.deliver(message)
        else:
            stream.fail(message)
