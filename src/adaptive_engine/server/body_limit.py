"""Limits of request bodies, as plain ASGI. What carries images may be larger, by no more than its images."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adaptive_engine.errors import AdaptiveError, Overloaded, PayloadTooLarge, RequestTimeout
from adaptive_engine.server.connections import within
from adaptive_engine.server.errors import send_error
from adaptive_engine.server.headers import header
from adaptive_engine.settings import Settings
from adaptive_engine.wire.chat import Message as ChatMessage

IMAGE_PATHS = frozenset({"/api/v1/chat/completions", "/api/v1/interactions", "/api/v1/comparison"})
"""Routes whose messages may have image parts."""
_MOST_LARGE = 8
"""Bodies beyond the limit of texts that may be on their way at the same time: each takes tens of megabytes."""
_BESIDE_BASE64 = 64
"""Characters of a data URI beside its base64."""


class BodyLimit:
    """Reads the whole body within a size and a time; the application finds it complete."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        images = settings.images
        self._most_text = settings.server.max_body_bytes
        self._most_images = images.max_images
        self._most = self._most_text + images.max_request_bytes * 4 // 3 + images.max_images * _BESIDE_BASE64
        self._timeout = settings.server.body_timeout_seconds
        self._large = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD", "OPTIONS"}:
            await self.app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except AdaptiveError as exc:
            await send_error(send, exc)
            return
        if body is None:
            return
        scope.setdefault("state", {})["body_bytes"] = len(body)
        # Kept no longer than until the application takes it.
        waiting = [body]
        del body

        async def replay() -> Message:
            if not waiting:
                return await receive()
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}

        await self.app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, or None when the client left before its end."""
        most = self._most if scope["path"] in IMAGE_PATHS else self._most_text
        declared = header(scope, b"content-length", "0")
        if _number(declared) > most:
            raise self._too_large(most)
        try:
            return await within(self._timeout, self._gather(receive, most))
        except TimeoutError as exc:
            raise RequestTimeout(
                f"The request body took longer than {self._timeout:g} s to arrive.", headers={"Connection": "close"}
            ) from exc

    async def _gather(self, receive: Receive, most: int) -> bytes | None:
        # Not a list of pieces: thousands of them would leave holes that the process keeps.
        arrived = bytearray()
        is_large, next_look = False, self._most_text
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                arrived += message.get("body", b"")
                if len(arrived) > most:
                    raise self._too_large(most)
                if len(arrived) > next_look:
                    # At once, and seldom again: what has no images is not to be waited for.
                    next_look = 2 * len(arrived)
                    self._require_small_text(arrived)
                if len(arrived) > self._most_text and not is_large:
                    self._admit_large()
                    is_large = True
                if not message.get("more_body", False):
                    break
        finally:
            self._large -= is_large
        if is_large:
            self._require_small_text(arrived)
        return bytes(arrived)

    def _admit_large(self) -> None:
        if self._large >= _MOST_LARGE:
            raise Overloaded("Too many requests with large images arrive at once. Try again.")
        self._large += 1

    def _require_small_text(self, arrived: bytearray) -> None:
        if len(arrived) - _bytes_of_uris(arrived, self._most_images) > self._most_text:
            raise _text_too_large(self._most_text)

    def _too_large(self, most: int) -> PayloadTooLarge:
        setting = "ADAPTIVE_SERVER__MAX_BODY_BYTES"
        if most > self._most_text:
            setting = f"ADAPTIVE_IMAGES__MAX_REQUEST_BYTES for images, {setting} for the rest"
        return PayloadTooLarge(f"The request body is larger than {most} bytes. The server's setting is {setting}.")


def _number(declared: str) -> int:
    """0 for what is none: what arrives is counted anyway."""
    return int(declared[:20]) if declared.isascii() and declared.isdigit() else 0


def require_small_text(request: Request, messages: Iterable[ChatMessage], settings: Settings) -> None:
    """Raises PayloadTooLarge when the body is too large without the images of its messages."""
    in_images = sum(len(part.uri) for message in messages for part in message.images)
    if request.state.body_bytes - in_images > settings.server.max_body_bytes:
        raise _text_too_large(settings.server.max_body_bytes)


def _bytes_of_uris(body: bytearray, most: int) -> int:
    """Of the first so many JSON strings that look like images. Costs nothing beside parsing them, and so keeps
    large bodies of anything else from being parsed.
    """
    end, found = 0, 0
    for _ in range(most):
        start = body.find(b'"data:image', end)
        if start < 0:
            break
        end = body.find(b'"', start + 1)
        if end < 0:
            # Its end has not arrived yet.
            return found + len(body) - start
        found += end - start
    return found


def _text_too_large(most: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The request body has more than {most} bytes beside its images. "
        "The server's setting is ADAPTIVE_SERVER__MAX_BODY_BYTES."
    )
