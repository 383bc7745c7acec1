"""Images in messages: found, checked, decoded, and as they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakSet

from adaptive_engine.errors import InvalidRequest, NotFound, Overloaded
from adaptive_engine.images import Decoded, Decoder, ImageLimits
from adaptive_engine.sandbox import SandboxBusy
from adaptive_engine.settings import ImageSettings
from adaptive_engine.store import Connection, images
from adaptive_engine.types import ChatMessage, Image, Model, StoredImage
from adaptive_engine.wire.chat import ImagePart, Message
from adaptive_engine.wire.images import DataUri, ImageRefused, data_uri, parse_data_uri

# How long (s) an image may wait for its turn to be decoded.
_LONGEST_WAIT = 15.0
_EXTENSIONS = {"image/jpeg": "jpg", "image/png": "png"}
# What most messages are made of, which need no serialiser.
_PLAIN = {"role", "content"}


class Place(NamedTuple):
    """Of a part of a message, in the request."""

    message: int
    part: int

    @property
    def path(self) -> str:
        return f"messages[{self.message}].content[{self.part}]"


def image_parts(messages: Sequence[Message]) -> Iterator[tuple[Place, ImagePart]]:
    for at, message in enumerate(messages):
        for part_at, part in enumerate(message.parts):
            if isinstance(part, ImagePart):
                yield Place(at, part_at), part


def require_sight(messages: Sequence[Message], model: Model) -> None:
    """Raises InvalidRequest for images that the model cannot see."""
    if "ImageUnderstanding" in model.capabilities:
        return
    for place, _ in image_parts(messages):
        raise InvalidRequest(
            f"Model '{model.key}' takes text only; it cannot see images. Models tagged Multimodal can.",
            code="modality_unsupported",
            param=place.path,
        )


class DecodedImages:
    """The decoded images of a request. As long as this is alive, they count as memory in use."""

    def __init__(self) -> None:
        self._decoded: dict[Place, Decoded] = {}
        self.waiting_bytes = 0
        """Of those that are not decoded yet."""

    def __bool__(self) -> bool:
        return bool(self._decoded)

    @property
    def bytes(self) -> int:
        return self.waiting_bytes + sum(len(each.image.pixels) + len(each.file) for each in self._decoded.values())

    def add(self, place: Place, decoded: Decoded) -> None:
        self._decoded[place] = decoded

    def chat_messages(self, messages: Sequence[Message]) -> list[ChatMessage]:
        """The request's messages as a model sees them."""
        return [
            ChatMessage(message.role, self._content(at, message), message.name) for at, message in enumerate(messages)
        ]

    def stored_messages(self, messages: Sequence[Message], project_id: UUID) -> list[dict[str, Any]]:
        """The same as they are stored and shown: with the path of each image instead of its bytes."""
        return [self._stored(at, message, project_id) for at, message in enumerate(messages)]

    def without_files(self, messages: Sequence[Message]) -> list[Message]:
        """The same, for who keeps them longer than the request is read: the images are here."""
        return [self._without_files(message) if message.images else message for message in messages]

    def uri(self, message: int, part: int) -> str:
        """The image at that place as a data URI, for who sends it on: what is stored, not what the client sent."""
        return data_uri(self._decoded[Place(message, part)].file)

    def files(self) -> tuple[StoredImage, ...]:
        """What is stored, each image once."""
        return tuple({_name(each): _stored_image(each) for each in self._decoded.values()}.values())

    def _content(self, at: int, message: Message) -> str | tuple[str | Image, ...]:
        if not message.images:
            return message.text()
        content: list[str | Image] = []
        for part_at, part in enumerate(message.parts):
            if isinstance(part, ImagePart):
                content.append(self._decoded[Place(at, part_at)].image)
            elif content and isinstance(content[-1], str):
                content[-1] += part.text
            else:
                content.append(part.text)
        return tuple(content)

    def _without_files(self, message: Message) -> Message:
        content = [_without_file(part) if isinstance(part, ImagePart) else part for part in message.parts]
        return message.model_copy(update={"content": content})

    def _stored(self, at: int, message: Message, project_id: UUID) -> dict[str, Any]:
        if isinstance(message.content, str) and message.model_fields_set <= _PLAIN:
            return {"role": message.role, "content": message.content}
        if not message.images:
            return message.model_dump(mode="json", exclude_none=True)
        content = [
            _image_part(self._decoded[Place(at, part_at)], project_id)
            if isinstance(part, ImagePart)
            else part.model_dump(mode="json")
            for part_at, part in enumerate(message.parts)
        ]
        rest = message.model_dump(mode="json", exclude_none=True, exclude={"role", "content"})
        return {"role": message.role, "content": content, **rest}


class Images:
    """Decodes the images of requests. One per server; its coroutines belong to one event loop."""

    def __init__(self, settings: ImageSettings) -> None:
        self._settings = settings
        self._decoder = Decoder(ImageLimits(settings.max_bytes, settings.max_pixels, settings.max_edge))
        self._threads = ThreadPoolExecutor(self._decoder.processes, thread_name_prefix="decode-image")
        self._turns = asyncio.Semaphore(self._decoder.processes)
        self._live: WeakSet[DecodedImages] = WeakSet()

    async def read(self, messages: Sequence[Message]) -> DecodedImages:
        """One after the other, so that those of other requests come between.

        Raises InvalidRequest with the path of a part that is not taken, Overloaded when there is no time or memory.
        """
        decoded = DecodedImages()
        uris = self._uris(messages)
        if not uris:
            return decoded
        decoded.waiting_bytes = sum(len(uri.uri) for uri in uris.values())
        if sum(each.bytes for each in self._live) + decoded.waiting_bytes > self._settings.memory_bytes:
            raise Overloaded("Too many images are in work. Try again.")
        self._live.add(decoded)
        try:
            for place, uri in uris.items():
                decoded.add(place, await self._decode(place, uri))
                decoded.waiting_bytes -= len(uri.uri)
        except BaseException:
            # The traceback keeps it alive for a while, and with it what it counts.
            self._live.discard(decoded)
            raise
        return decoded

    def close(self) -> None:
        """Whoever still waits is refused."""
        self._decoder.close()
        self._threads.shutdown(cancel_futures=True)

    def _uris(self, messages: Sequence[Message]) -> dict[Place, DataUri]:
        """All that can be said without decoding, said."""
        uris: dict[Place, DataUri] = {}
        size = 0
        for place, part in image_parts(messages):
            if messages[place.message].role == "system":
                raise _refused(place, "image_in_system_message", "System messages have no images; the user's may.")
            if len(uris) == self._settings.max_images:
                raise _refused(place, "too_many_images", f"A request has at most {self._settings.max_images} images.")
            try:
                uris[place] = parse_data_uri(part.uri)
            except ImageRefused as exc:
                raise _refused(place, exc.code, exc.reason) from exc
            size += uris[place].size
            if size > self._settings.max_request_bytes:
                most = self._settings.max_request_bytes
                raise _refused(place, "image_too_large", f"The images of a request have at most {most} bytes together.")
        return uris

    async def _decode(self, place: Place, uri: DataUri) -> Decoded:
        try:
            async with asyncio.timeout(_LONGEST_WAIT):
                await self._turns.acquire()
        except TimeoutError:
            raise _busy() from None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._decoder.decode, uri)
        except ImageRefused as exc:
            raise _refused(place, exc.code, exc.reason) from exc
        except SandboxBusy as exc:
            raise _busy() from exc
        finally:
            self._turns.release()


def find(connection: Connection, project_id: UUID, name: str) -> StoredImage:
    """Raises NotFound."""
    found = images.get(connection, project_id, name)
    if found is None:
        raise NotFound(f"Image '{name}' does not exist.", code="image_not_found", param="filename")
    return found


def embedded(connection: Connection, project_id: UUID, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stored messages with data URIs in place of the URLs of their images. An image that is gone keeps its URL."""

    def part(given: dict[str, Any]) -> dict[str, Any]:
        if given["type"] != "image_url":
            return given
        found = images.get(connection, project_id, given["image_url"]["url"].rpartition("/")[2])
        return given if found is None else {"type": "image_url", "image_url": {"url": data_uri(found.data)}}

    return [
        message if isinstance(message["content"], str) else {**message, "content": [*map(part, message["content"])]}
        for message in messages
    ]


def _without_file(part: ImagePart) -> ImagePart:
    spelled = part.image_url
    empty = "" if isinstance(spelled, str) else spelled.model_copy(update={"url": ""})
    return part.model_copy(update={"image_url": empty})


def _refused(place: Place, code: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{place.path}: {reason}", code=code, param=place.path)


def _busy() -> Overloaded:
    return Overloaded("There was no time to decode the images. Try again.")


def _name(decoded: Decoded) -> str:
    return f"{decoded.image.digest.hex()}.{_EXTENSIONS[decoded.media_type]}"


def _image_part(decoded: Decoded, project_id: UUID) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"/images/{project_id}/{_name(decoded)}"}}


def _stored_image(decoded: Decoded) -> StoredImage:
    return StoredImage(_name(decoded), decoded.media_type, decoded.image.width, decoded.image.height, decoded.file)
