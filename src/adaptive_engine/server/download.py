"""A file that is made while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from adaptive_engine.server.connections import ClientLeft, send_within, while_read

_PIECE_BYTES = 64 * 1024


class Download(Response):
    """Sends chunks as a thread makes them, each when the reader has room for it.

    Stops with the client, or when it reads nothing for `send_timeout` seconds. A failure on the way cuts the
    connection: a file that ends in order is whole.
    """

    def __init__(self, chunks: Generator[bytes], *, media_type: str, filename: str, send_timeout: float) -> None:
        super().__init__(
            media_type=media_type,
            headers={"content-disposition": f'attachment; filename="{filename}"', "x-accel-buffering": "no"},
        )
        del self.headers["content-length"]
        self._chunks = chunks
        self._send_timeout = send_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_read(scope, receive, self._send_all(send))
        except ClientLeft:
            pass
        finally:
            self._chunks.close()

    async def _send_all(self, send: Send) -> None:
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while True:
            making = asyncio.ensure_future(asyncio.to_thread(next, self._chunks, None))
            try:
                chunk = await asyncio.shield(making)
            except asyncio.CancelledError:
                # A thread cannot be stopped; what it makes is soon made.
                await asyncio.wait({making})
                raise
            if chunk is None:
                break
            # In pieces: a slow reader has the time for each of them.
            for start in range(0, len(chunk), _PIECE_BYTES):
                piece = chunk[start : start + _PIECE_BYTES]
                await self._send(send, {"type": "http.response.body", "body": piece, "more_body": True})
        await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, message: Message) -> None:
        await send_within(self._send_timeout, send, message)
