"""An answer while it is being made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar

import httpx2
from pydantic import TypeAdapter

from adaptive_engine.sdk.errors import APITimeoutError, StreamInterruptedError
from adaptive_engine.sdk.parsing import Transcript
from adaptive_engine.sdk.payloads import decode_chunk
from adaptive_engine.wire.chat import ChatChunk

T = TypeVar("T")


class AsyncChatStream:
    """The chunks of one answer, in order. Leaving the `with` block, or `close()`, makes the server stop generating.

        async with await client.chat.create(messages, stream=True) as stream:
            async for chunk in stream:
                if chunk.choices:
                    print(chunk.choices[0].delta.content, end="")

    The iteration ends by itself only after a complete answer, which is stored by then. Otherwise it raises:
    StreamInterruptedError when the connection ended early, the APIStatusError that the server sent in the stream, or
    APITimeoutError when the server fell silent.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self._chunks = _read(response, self.request_id)
        self._transcript = Transcript()
        self._closed = False

    @property
    def request_id(self) -> str | None:
        """Finds the request in the server's log."""
        request_id: str | None = self._response.headers.get("x-request-id")
        return request_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatChunk:
        if self._closed:
            raise StopAsyncIteration
        chunk = await anext(self._chunks)
        self._transcript.add(chunk)
        return chunk

    async def parse(self, kind: type[T] | TypeAdapter[T], index: int = 0) -> T | None:
        """Read what is left of the stream, then give choice `index` as a `kind`: the class that was `response_format`.

        Its chunks, pieces of JSON, need not parse. Raises what the iteration raises, StreamInterruptedError for a
        stream that was closed early, and ResponseParseError or LengthFinishReasonError as `chat.parse` does.
        """
        async for _ in self:
            pass
        return self._transcript.parsed(kind, index, self.request_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Drop the connection if the answer is not complete; the iteration ends. Closing twice does nothing."""
        self._closed = True
        await self._response.aclose()

    close = aclose  # async only


# Not a method: the generator would keep its stream alive, and a stream that is dropped half-read would stay open.
async def _read(response: httpx2.Response, request_id: str | None) -> AsyncIterator[ChatChunk]:
    events = aiter(httpx2.EventSource(response))
    try:
        async for event in events:
            if event.data.startswith("[DONE]"):
                await _finish(events)
                return
            yield decode_chunk(event.data, request_id)
    except httpx2.TimeoutException as exc:
        raise APITimeoutError(
            "The stream was silent for longer than timeout_secs. The answer may be incomplete.", request_id=request_id
        ) from exc
    except httpx2.RequestError as exc:
        raise _interrupted(f"The connection broke ({exc})", request_id) from exc
    finally:
        await response.aclose()
    raise _interrupted("The stream ended without [DONE]", request_id)


async def _finish(events: AsyncIterator[httpx2.ServerSentEvent]) -> None:
    """Read the end of the body, so that the connection can serve the next request. The answer is already complete."""
    with suppress(httpx2.RequestError):
        async for _ in events:
            return


def _interrupted(what: str, request_id: str | None) -> StreamInterruptedError:
    return StreamInterruptedError(
        f"{what}. The answer may be incomplete and may not be stored; send the request again.", request_id=request_id
    )
