"""A provider that is asked over HTTP, in any dialect."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from itertools import chain
from types import TracebackType

import orjson

from adaptive_engine.errors import (
    AdaptiveError,
    ContextLengthExceeded,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamRejected,
    UpstreamTimeout,
)
from adaptive_engine.providers.base import Call, Dialect, Profile, ProviderRequest, Refusal
from adaptive_engine.providers.http import HttpClient, Response
from adaptive_engine.providers.sse import EventReader
from adaptive_engine.types import Delta

# Of a provider's own words in an error of ours.
_MAX_QUOTED = 300
# Of an error's body; the rest is not read.
_MAX_ERROR_BYTES = 65_536
_MAX_RETRY_AFTER = 120
# Of all that one stream may send: more than any model writes.
_MAX_STREAM_BYTES = 256 << 20


class HttpProvider:
    """One external model."""

    def __init__(self, dialect: Dialect, profile: Profile, client: HttpClient, api_key: str | None) -> None:
        self.profile = profile
        self.address = client.address
        self._dialect = dialect
        self._client = client
        self._api_key = api_key
        self._reading = _Reading(self._quote)

    def call(self, request: ProviderRequest) -> Call:
        return self._dialect.call(request, self.profile, self._api_key)

    async def generate(self, call: Call, deadline: float) -> AsyncGenerator[Delta]:
        body = orjson.dumps(call.body)
        response = await self._client.post(call.path, call.headers, body, deadline, stream=call.stream)
        try:
            if response.status != 200:
                raise await self._refused(response)
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "text/event-stream":
                if not call.stream:
                    raise _garbage("a stream where one object was asked for")
                async for delta in self._stream(response):
                    yield delta
            else:
                raw = await response.read()
                with self._reading:
                    delta = self._dialect.answer(raw)
                yield delta
        finally:
            response.close()

    def close(self) -> None:
        self._client.close()

    async def _stream(self, response: Response) -> AsyncGenerator[Delta]:
        """One delta for all that arrived together: what comes in a burst goes on in a burst."""
        events, reader, size = EventReader(), self._dialect.reader(self.profile), 0
        while data := await response.chunk():
            size += len(data)
            if size > _MAX_STREAM_BYTES:
                raise _garbage(f"more than {_MAX_STREAM_BYTES} bytes")
            deltas: list[Delta] = []
            try:
                with self._reading:
                    for event in events.feed(data):
                        if (delta := reader.read(event)) is not None:
                            deltas.append(delta)
                            if delta.finish_reason is not None:
                                break
            except AdaptiveError:
                if deltas:
                    yield _joined(deltas)
                raise
            if deltas:
                delta = _joined(deltas)
                if delta.finish_reason is not None:
                    response.finish()
                    yield delta
                    return
                yield delta
        with self._reading:
            for event in events.rest():
                if (delta := reader.read(event)) is not None:
                    yield delta
                    if delta.finish_reason is not None:
                        return
            last = reader.finish()
        if last is None:
            raise UpstreamFailed(
                "The provider ended its stream in the middle of the answer.", code="upstream_incomplete", again=True
            )
        yield last

    async def _refused(self, response: Response) -> AdaptiveError:
        """The error for a status that is not 200. Not a word of a 401: it is between us and the provider."""
        status = response.status
        if status in (401, 403):
            return _key_refused(status)
        if 300 <= status < 400:
            return UpstreamFailed(
                f"The provider redirects ({status}), which is not followed. Register the endpoint that it points to.",
                code="upstream_redirect",
            )
        if status < 300:
            return _garbage(f"no answer (status {status})")
        refusal = await self._refusal(response)
        if refusal.key_refused:
            return _key_refused(status)
        says = f": {self._quote(refusal.message)}" if refusal.message else "."
        if refusal.context_exceeded:
            error = UpstreamRejected(f"The prompt is too long for the model{says}", param="messages")
            error.code = ContextLengthExceeded.default_code
            return error
        if refusal.filtered:
            return UpstreamRejected(
                f"The provider's content filter refuses the prompt{says}", code="content_filter", param="messages"
            )
        match status:
            case 400 | 413 | 422:
                return UpstreamRejected(f"The provider refuses the request ({status}){says}")
            case 404 | 405 | 410:
                return UpstreamFailed(
                    f"The provider has no such model or endpoint ({status}){says}", code="upstream_not_found"
                )
            case 408 | 504:
                return UpstreamTimeout(f"The provider gave up on the request ({status}){says}")
            case 429:
                wait = _retry_after(response)
                return UpstreamBusy(
                    f"The provider limits our requests ({status}){says}", code="upstream_rate_limited", wanted=wait
                )
            case 503 | 529:
                return UpstreamBusy(f"The provider is overloaded ({status}){says}", wanted=_retry_after(response))
        return UpstreamFailed(f"The provider failed ({status}){says}", again=status >= 500)

    async def _refusal(self, response: Response) -> Refusal:
        try:
            return self._dialect.refusal(await response.read(_MAX_ERROR_BYTES))
        except AdaptiveError:
            return Refusal()

    def _quote(self, text: str) -> str:
        """A provider's words, fit for logs and clients: short, one line, and never with the key in them."""
        if self._api_key:
            text = text.replace(self._api_key, "[key]")
            # Providers repeat a key's ends.
            for end in (self._api_key[:8], self._api_key[-4:]):
                if len(self._api_key) >= 16:
                    text = text.replace(end, "[key]")
        text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+", " ", text)
        return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


class _Reading:
    """A block in which whatever a dialect stumbles over is the provider's fault. One of it serves all answers."""

    def __init__(self, quote: Callable[[str], str]) -> None:
        self._quote = quote

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, AdaptiveError):
            error.message = self._quote(error.message)
            error.args = (error.message,)
        elif isinstance(error, (ValueError, KeyError, TypeError, IndexError, AttributeError)):
            raise _garbage("something else than the API that its endpoint was registered for") from error


def _joined(deltas: list[Delta]) -> Delta:
    if len(deltas) == 1:
        return deltas[0]
    last = deltas[-1]
    return Delta(
        "".join([delta.text for delta in deltas]),
        last.finish_reason,
        last.usage,
        logprobs=tuple(chain.from_iterable([delta.logprobs for delta in deltas])),
        reasoning="".join([delta.reasoning for delta in deltas]),
    )


def _key_refused(status: int) -> UpstreamFailed:
    return UpstreamFailed(
        f"The provider refuses this model's API key ({status}). An administrator can replace it: "
        "adaptive models update-external",
        code="upstream_auth_failed",
    )


def _retry_after(response: Response) -> int:
    """Seconds; dates are not worth a clock that agrees."""
    given = response.headers.get("retry-after", "")
    return min(int(given[:6]), _MAX_RETRY_AFTER) if given.isascii() and given.isdigit() else 0


def _garbage(what: str) -> UpstreamFailed:
    return UpstreamFailed(f"The provider sent {what}.", code="upstream_bad_response")
