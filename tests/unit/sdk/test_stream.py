from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptive_engine.sdk import (
    Adaptive,
    APIError,
    APITimeoutError,
    AsyncAdaptive,
    BadRequestError,
    InternalServerError,
    ServiceUnavailableError,
    StreamInterruptedError,
)
from unit.sdk.both import collect, each, result
from unit.sdk.scripted import DONE, Reply, ScriptedServer, answer, chunk, endless, error_body, event, stream

HELLO = [{"role": "user", "content": "Hello!"}]


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content for chunk in chunks if chunk.choices)


async def test_chunks_arrive_in_order(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=[event(chunk("Grüß ")), event(chunk("dich 🙂", "stop")), event(chunk(None)), DONE]))
    chunks = await collect(await result(client.chat.create(HELLO, stream=True, stream_include_usage=True)))
    assert text_of(chunks) == "Grüß dich 🙂"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens == 5
    assert server.last.body["stream"] is True
    assert server.last.body["stream_options"] == {"include_usage": True}


async def test_chunks_arrive_as_they_are_made(server: ScriptedServer, client) -> None:
    def frames() -> Iterator[bytes]:
        yield event(chunk("first"))
        in_time.append(arrived.wait(20))
        yield event(chunk("second"))
        yield DONE

    arrived, in_time = threading.Event(), list[bool]()
    server.replies(Reply(frames=frames()))
    async for _ in each(await result(client.chat.create(HELLO, stream=True))):
        arrived.set()
    assert in_time == [True]


async def test_connection_is_reused_after_a_stream(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=stream("a")))
    for _ in range(3):
        await collect(await result(client.chat.create(HELLO, stream=True)))
    assert server.connections == 1


async def test_finished_stream_stays_finished(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=stream("a"), headers={"x-request-id": "r1"}))
    answered = await result(client.chat.create(HELLO, stream=True))
    assert answered.request_id == "r1"
    await collect(answered)
    assert await collect(answered) == []
    await result(answered.close())


async def test_closing_tells_the_server(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=endless()))
    endless_stream = await result(client.chat.create(HELLO, stream=True))
    async for _ in each(endless_stream):
        await result(endless_stream.close())
    assert server.disconnected.wait(5)
    assert await collect(endless_stream) == []


def test_leaving_the_block_tells_the_server(server: ScriptedServer) -> None:
    server.replies(Reply(frames=endless()))
    with Adaptive(server.url, "key", "p") as client, client.chat.create(HELLO, stream=True) as chunks:
        next(chunks)
    assert server.disconnected.wait(5)


def test_dropped_stream_tells_the_server(server: ScriptedServer) -> None:
    server.replies(Reply(frames=endless()))
    client = Adaptive(server.url, "key", "p")
    gc.disable()
    try:
        for _ in client.chat.create(HELLO, stream=True):
            break
        assert server.disconnected.wait(5)
    finally:
        gc.enable()


async def test_cancelled_task_tells_the_server(server: ScriptedServer) -> None:
    async def read() -> None:
        async with AsyncAdaptive(server.url, "key", "p") as client:
            async for _ in await client.chat.create(HELLO, stream=True):
                started.set()

    server.replies(Reply(frames=endless()))
    started = asyncio.Event()
    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.disconnected.wait, 5)


async def test_dropped_async_stream_tells_the_server(server: ScriptedServer) -> None:
    server.replies(Reply(frames=endless()))
    client = AsyncAdaptive(server.url, "key", "p")
    async for _ in await client.chat.create(HELLO, stream=True):
        break
    assert await asyncio.to_thread(server.disconnected.wait, 5)


async def test_error_before_the_stream_keeps_status_and_body(server: ScriptedServer, client) -> None:
    body = error_body("Too long.", type="invalid_request_error", param="messages", code="context_length_exceeded")
    server.replies(Reply(body, status=400, headers={"x-request-id": "r1"}))
    with pytest.raises(BadRequestError) as caught:
        await result(client.chat.create(HELLO, stream=True))
    assert caught.value.body == body
    assert caught.value.code == "context_length_exceeded"
    assert caught.value.request_id == "r1"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("server_error", InternalServerError),
        ("overloaded_error", ServiceUnavailableError),
        ("invalid_request_error", BadRequestError),
        (None, InternalServerError),
    ],
)
async def test_error_in_the_stream(server: ScriptedServer, client, kind: str | None, expected: type[APIError]) -> None:
    body = error_body("The engine failed.", type=kind, code="engine_failed")
    server.replies(Reply(frames=[event(chunk("so far")), event(body)]))
    chunks = await result(client.chat.create(HELLO, stream=True))
    seen = []
    with pytest.raises(expected, match=r"The engine failed\. .*incomplete") as caught:  # noqa: PT012 - the loop raises
        async for item in each(chunks):
            seen.append(item)
    assert text_of(seen) == "so far"
    assert caught.value.code == "engine_failed"
    assert caught.value.body == body


async def test_text_about_errors_is_no_error(server: ScriptedServer, client) -> None:
    text = 'write {"error": "x"}'
    server.replies(Reply(frames=stream(text)))
    assert text_of(await collect(await result(client.chat.create(HELLO, stream=True)))) == text


@pytest.mark.parametrize("complete", [True, False])
async def test_stream_without_its_end(server: ScriptedServer, client, complete: bool) -> None:
    server.replies(Reply(frames=[event(chunk("so far"))], complete=complete))
    chunks = await result(client.chat.create(HELLO, stream=True))
    with pytest.raises(StreamInterruptedError, match="may be incomplete"):
        await collect(chunks)
    assert len(server.received) == 1


async def test_event_that_is_no_chunk(server: ScriptedServer, client) -> None:
    server.replies(Reply(frames=[event("surprise"), DONE]))
    with pytest.raises(StreamInterruptedError, match="surprise"):
        await collect(await result(client.chat.create(HELLO, stream=True)))


async def test_silent_stream(server: ScriptedServer, make_client) -> None:
    def frames() -> Iterator[bytes]:
        yield event(chunk("so far"))
        time.sleep(1)
        yield DONE

    server.replies(Reply(frames=frames()))
    with pytest.raises(APITimeoutError, match="may be incomplete"):
        await collect(await result(make_client(timeout_secs=0.1).chat.create(HELLO, stream=True)))


async def test_server_that_does_not_stream(server: ScriptedServer, client) -> None:
    server.replies(answer())
    with pytest.raises(APIError, match="not with an event stream"):
        await result(client.chat.create(HELLO, stream=True))


@pytest.mark.parametrize(
    "prefix",
    [b"", b": ping\n\n", b"\n\n", b"event: message\n", b"id: 1\nretry: 5\n", b"unknown: x\n"],
)
@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
async def test_event_stream_syntax(server: ScriptedServer, client, prefix: bytes, newline: bytes) -> None:
    multi_line = event(chunk("text")).replace(b', "', b',\ndata: "').replace(b"data: {", b"data:{")
    content = (prefix + multi_line + b": ping\n\n" + DONE).replace(b"\n", newline)
    server.replies(Reply(frames=[content]))
    assert text_of(await collect(await result(client.chat.create(HELLO, stream=True)))) == "text"


CONTENT = b": ping\r\n\r\n" + b"".join(stream("Grüße ", "🙂", "日本", "\u2028\r\n")).replace(b"\n", b"\r\n")


@given(st.lists(st.integers(0, len(CONTENT)), max_size=40))
def test_any_split_of_the_bytes_gives_the_same_chunks(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(CONTENT)]
    pieces = [CONTENT[start:end] for start, end in itertools.pairwise(edges)]

    def handle(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=iter(pieces))

    http_client = httpx2.Client(transport=httpx2.MockTransport(handle), verify=False)
    client = Adaptive("http://h", "key", "p", http_client=http_client)
    assert text_of(list(client.chat.create(HELLO, stream=True))) == "Grüße 🙂日本\u2028\r\n"
