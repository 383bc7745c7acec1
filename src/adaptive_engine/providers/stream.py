"""One generation by a provider: tries, time limits and the circuit breaker around `Provider.generate`."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from typing import Any

from adaptive_engine.errors import AdaptiveError, FirstTokenTimeout, UpstreamBusy, UpstreamFailed, UpstreamTimeout
from adaptive_engine.providers.base import Call, Provider
from adaptive_engine.providers.breaker import Breaker, RetryBudget
from adaptive_engine.telemetry import tracing
from adaptive_engine.types import Delta, Timings, Usage

log = logging.getLogger(__name__)

# Seconds before the second try, doubled for each further one. A provider that says how long it wants to be left alone
# is obeyed up to _MAX_PAUSE; who would have to wait longer gets the error.
_FIRST_PAUSE = 0.05
_MAX_PAUSE = 5.0
_ALIVE = {
    "upstream_rate_limited",
    "upstream_auth_failed",
    "upstream_not_found",
    "upstream_redirect",
    "upstream_address_refused",
}


@dataclass(slots=True)
class Upstream:
    """An external model as this server uses it: what all its generations share."""

    provider: Provider
    breaker: Breaker
    budget: RetryBudget
    retries: int
    total_seconds: float
    model: str
    """Its key, for attempts."""
    vendor: str
    outcomes: Counter[str] = field(default_factory=Counter)
    """How its requests ended: `ok`, or the code of what went wrong."""


@dataclass(frozen=True, slots=True)
class FirstTokenLimit:
    """What a request allows until its first token."""

    milliseconds: int
    at: float
    """When it is over, on the loop's clock."""


@dataclass(slots=True)
class Attempt:
    """One request to a provider, or the refusal to make one."""

    model: str
    ms: float
    """Until the first delta, or the failure."""
    error: str | None = None
    """The code of what went wrong."""

    def as_dict(self) -> dict[str, Any]:
        return {"model": self.model, "ms": round(self.ms, 1), **({"error": self.error} if self.error else {})}


@dataclass(slots=True, eq=False)
class ProviderStream:
    """An async iterator of deltas, as the engine's `TokenStream` is one. It asks when it is read for the first time."""

    upstream: Upstream
    call: Call
    limit: FirstTokenLimit | None = None
    attempts: list[Attempt] = field(default_factory=list)
    phase: str = "queue"
    completion_tokens: int = 0
    cached_tokens: int = 0
    _source: AsyncGenerator[Delta] | None = None
    _waited: float = 0.0
    _asked_at: float | None = None
    _begun_at: float = 0.0
    _queue_ms: float = 0.0
    _ttft_ms: float = 0.0
    _reader: asyncio.Task[Any] | None = None
    _closing: asyncio.Task[None] | None = None
    _try_span: tracing.Try | None = None

    @property
    def waited(self) -> float:
        """Seconds in which there was nothing to do but to wait for the provider."""
        return self._waited + (0.0 if self._asked_at is None else time.perf_counter() - self._asked_at)

    def __aiter__(self) -> ProviderStream:
        return self

    async def __anext__(self) -> Delta:
        if self.phase == "done":
            raise StopAsyncIteration
        self._asked_at, self._reader = time.perf_counter(), asyncio.current_task()
        try:
            delta = await (self._begin() if self._source is None else anext(self._source))
            if delta.finish_reason is not None and self._source is not None:
                # Generators that are left at their last yield cost a task each, in which the loop closes them.
                await anext(self._source, None)
        except BaseException as exc:
            if self.phase == "decode" and _blames_provider(exc):
                self.upstream.breaker.failed(probing=False)
            self.phase = "done"
            self._end_span(exc.code if isinstance(exc, AdaptiveError) else "cancelled")
            raise
        finally:
            self._waited, self._asked_at, self._reader = self.waited, None, None
        return delta if delta.finish_reason is None else self._ended(delta)

    def cancel(self) -> None:
        """End the provider's work. Safe to call at any time, also after the end."""
        source, self._source = self._source, None
        self.phase = "done"
        self._end_span("cancelled")
        if self._reader is not None and self._reader is not asyncio.current_task():
            # It waits for the provider, and nobody waits for it.
            self._reader.cancel()
        elif source is not None:
            self._closing = asyncio.ensure_future(source.aclose())

    def take_waiting(self) -> str:
        """Nothing waits here: what is not read yet is with the provider."""
        return ""

    async def _begin(self) -> Delta:
        """The first delta, within the limit of the request."""
        if self.limit is None:
            return await self._try()
        try:
            async with asyncio.timeout_at(self.limit.at):
                return await self._try()
        except TimeoutError as exc:
            raise FirstTokenTimeout(self.limit.milliseconds, "the provider has not begun to answer") from exc

    async def _try(self) -> Delta:
        """Until the first delta is there, and only until then, a failure may be made good by another try."""
        upstream = self.upstream
        self._begun_at = time.perf_counter()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + upstream.total_seconds
        upstream.budget.request()
        while True:
            started = time.perf_counter()
            try:
                probing = upstream.breaker.admit()
            except UpstreamBusy as exc:
                self._attempted(0.0, exc.code)
                raise
            self.phase = "prefill"
            source = upstream.provider.generate(self._traced(), deadline)
            try:
                delta = await anext(source)
            except AdaptiveError as exc:
                log.warning("external model %s: %s", upstream.model, exc.message)
                self._attempted(time.perf_counter() - started, exc.code)
                if _blames_provider(exc):
                    upstream.breaker.failed(probing)
                else:
                    # It is there, and has looked at the request.
                    upstream.breaker.succeeded(0, probing)
                pause = self._pause(exc, probing)
                if pause is None or loop.time() + pause >= deadline:
                    raise
                await asyncio.sleep(pause)
            except BaseException:
                self._attempted(time.perf_counter() - started, "cancelled")
                upstream.breaker.undecided(probing)
                await source.aclose()
                raise
            else:
                now = time.perf_counter()
                self._attempted(now - started)
                # An answer in one piece begins when it is finished, however fast its provider is.
                upstream.breaker.succeeded(now - started if self.call.stream else 0, probing)
                self._source = source
                self.phase = "decode"
                self._queue_ms = 1000 * (started - self._begun_at)
                self._ttft_ms = 1000 * (now - self._begun_at)
                return delta

    def _attempted(self, seconds: float, error: str | None = None) -> None:
        upstream = self.upstream
        self.attempts.append(Attempt(upstream.model, 1000 * seconds, error))
        upstream.outcomes[error or "ok"] += 1
        if error is not None:
            self._end_span(error)
        elif self._try_span is not None:
            self._try_span.began()

    def _traced(self) -> Call:
        """The call, with the span that the provider's own shall be below, where somebody traces."""
        trace = tracing.current.get()
        if trace is None:
            return self.call
        upstream = self.upstream
        self._try_span = trace.ask(upstream.model, upstream.vendor, upstream.provider.address)
        return replace(self.call, headers={**self.call.headers, **self._try_span.headers})

    def _end_span(self, error: str | None, usage: Usage | None = None) -> None:
        if self._try_span is not None:
            self._try_span.end(error, usage)

    def _pause(self, error: AdaptiveError, probing: bool) -> float | None:
        """Seconds until the next try; None when there is none."""
        tries = len(self.attempts)
        again = isinstance(error, UpstreamBusy) or (isinstance(error, UpstreamFailed) and error.again)
        if not again or probing or tries > self.upstream.retries:
            return None
        pause = _FIRST_PAUSE * 2 ** (tries - 1) * random.uniform(0.5, 1.5)
        if isinstance(error, UpstreamBusy):
            if error.wanted > _MAX_PAUSE:
                return None
            pause = max(pause, error.wanted)
        return pause if self.upstream.budget.take() else None

    def _ended(self, delta: Delta) -> Delta:
        self.phase = "done"
        if delta.usage is not None:
            self.completion_tokens = delta.usage.completion_tokens
            self.cached_tokens = delta.usage.cached_tokens
        self._end_span(None, delta.usage)
        timings = Timings(self._queue_ms, self._ttft_ms, 1000 * (time.perf_counter() - self._begun_at))
        return Delta(delta.text, delta.finish_reason, delta.usage, timings, delta.logprobs, delta.reasoning)


def _blames_provider(error: BaseException) -> bool:
    """Whether this speaks of a provider that is down. Refusing one request, one key or one rate does not."""
    return isinstance(error, UpstreamFailed | UpstreamTimeout | UpstreamBusy) and error.code not in _ALIVE
