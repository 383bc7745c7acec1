"""Which pictures requests may have, and what becomes of them."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from adaptive_engine.errors import InvalidRequest, Overloaded
from adaptive_engine.services import images as service
from adaptive_engine.services.images import DecodedImages, Images, require_sight
from adaptive_engine.services.notices import detail_notices, request_notices
from adaptive_engine.settings import ImageSettings
from adaptive_engine.types import Image, Model, now_ms, prompt_hash, uuid7
from adaptive_engine.wire.chat import ChatRequest, Message
from image_files import BLUE, asking, file, noise, padded, part, plain, uri

PROJECT = uuid7()


@pytest.fixture(scope="module")
def made() -> Iterator[Images]:
    made = Images(ImageSettings())
    yield made
    made.close()


@pytest.fixture
def images(made: Images, monkeypatch: pytest.MonkeyPatch) -> Images:
    """The same children for all tests, whose event loops differ."""
    monkeypatch.setattr(made, "_turns", asyncio.Semaphore(2))
    return made


def messages(given: list[dict[str, Any]]) -> list[Message]:
    return [Message.model_validate(each) for each in given]


async def refusal(images: Images, given: list[dict[str, Any]]) -> tuple[str | None, str | None]:
    with pytest.raises(InvalidRequest) as refused:
        await images.read(messages(given))
    assert refused.value.param is not None
    assert refused.value.message.startswith(refused.value.param)
    return refused.value.code, refused.value.param


async def test_texts_and_pictures_keep_their_order(images: Images) -> None:
    text = {"type": "text", "text": "Compare "}
    content = [text, text, part(), {"type": "text", "text": "with"}, part(file(plain(colour=BLUE)))]
    given = messages([{"role": "system", "content": "Be brief."}, {"role": "user", "content": content, "name": "Ada"}])
    system, asked = (await images.read(given)).chat_messages(given)
    assert (system.content, asked.name) == ("Be brief.", "Ada")
    assert asked.parts == ("Compare Compare ", rgb(plain()), "with", rgb(plain(colour=BLUE)))


def rgb(picture: Any) -> Image:
    return Image.of(picture.width, picture.height, picture.tobytes())


async def test_stored_messages_name_their_pictures(images: Images) -> None:
    given = messages(asking(part(), part(), text="Equal?"))
    pictures = await images.read(given)
    (stored,) = pictures.files()
    url = f"/images/{PROJECT}/{stored.name}"
    image = {"type": "image_url", "image_url": {"url": url}}
    assert pictures.stored_messages(given, PROJECT) == [
        {"role": "user", "content": [{"type": "text", "text": "Equal?"}, image, image]}
    ]
    size = (24).to_bytes(8, "big") + (16).to_bytes(8, "big")
    assert stored.name == hashlib.sha256(size + plain().tobytes()).hexdigest() + ".png"
    assert (stored.media_type, stored.width, stored.height) == ("image/png", 24, 16)


async def test_both_spellings_and_all_details_are_one_prompt(images: Images) -> None:
    url = uri(file())
    spellings: list[Any] = [url, {"url": url}, *({"url": url, "detail": detail} for detail in ("auto", "low", "high"))]
    hashes = set()
    for spelled in spellings:
        given = messages(asking({"type": "image_url", "image_url": spelled}))
        hashes.add(prompt_hash((await images.read(given)).stored_messages(given, PROJECT)))
    assert len(hashes) == 1
    other = messages(asking(part(file(plain(colour=BLUE)))))
    assert prompt_hash((await images.read(other)).stored_messages(other, PROJECT)) not in hashes


def test_what_has_no_effect_is_said() -> None:
    image = {
        "type": "image_url",
        "image_url": {"url": uri(file()), "detail": "low", "crop": 1},
        "cache_control": {"a": 1},
    }
    request = ChatRequest.model_validate({"model": "m", "messages": asking(image)})
    assert [notice.param for notice in [*request_notices(request), *detail_notices(request.messages)]] == [
        "messages[].content[].cache_control",
        "messages[].content[].image_url.crop",
        "messages[].content[].image_url.detail",
    ]


async def test_the_part_that_is_wrong_is_named(images: Images) -> None:
    given = [{"role": "user", "content": "Hi"}, *asking(part(), part(b"no picture"))]
    assert await refusal(images, given) == ("invalid_image", "messages[1].content[2]")


async def test_no_system_message_has_pictures(images: Images) -> None:
    for role in ("system", "developer"):
        assert await refusal(images, asking(part(), role=role)) == ("image_in_system_message", "messages[0].content[1]")
    given = messages(asking(part(), role="assistant"))
    assert (await images.read(given)).chat_messages(given)[0].images


async def test_eight_pictures_and_not_nine(images: Images) -> None:
    given = messages(asking(*[part()] * 8))
    assert len((await images.read(given)).chat_messages(given)[0].images) == 8
    assert await refusal(images, asking(*[part()] * 9)) == ("too_many_images", "messages[0].content[9]")


async def test_s58_the_limit_is_per_image(images: Images) -> None:
    two = messages(asking(part(padded(9 * 2**20)), part(padded(9 * 2**20))))
    assert len((await images.read(two)).files()) == 1
    too_large = part(padded(10 * 2**20 + 1))
    assert await refusal(images, asking(part(), too_large)) == ("image_too_large", "messages[0].content[2]")


async def test_all_pictures_of_a_request_together_have_a_limit(images: Images) -> None:
    ten = part(padded(10 * 2**20))
    assert await refusal(images, asking(ten, ten, ten, ten, part())) == ("image_too_large", "messages[0].content[5]")


REMOTE = [
    "http://127.0.0.1:{port}/a.png",
    "https://localhost:{port}/a.png",
    "http://169.254.169.254/latest/meta-data",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://0x7f.1:{port}/",
    "http://user@127.0.0.1:{port}/a.png",
    "//127.0.0.1:{port}/a.png",
    "ftp://127.0.0.1:{port}/a.png",
    "gopher://127.0.0.1:{port}/_GET",
    "file:///etc/passwd",
]


async def test_s56_nothing_is_fetched(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for url in REMOTE:
            given = asking({"type": "image_url", "image_url": {"url": url.format(port=port)}})
            assert await refusal(images, given) == ("remote_images_disabled", "messages[0].content[1]")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_model_without_eyes_refuses_pictures() -> None:
    blind, seeing = (
        Model(uuid7(), "m", "m", "internal", capabilities, 8192, now_ms())
        for capabilities in (("TextGeneration",), ("TextGeneration", "ImageUnderstanding"))
    )
    given = messages(asking(part()))
    with pytest.raises(InvalidRequest) as refused:
        require_sight(given, blind)
    assert (refused.value.code, refused.value.param) == ("modality_unsupported", "messages[0].content[1]")
    require_sight(given, seeing)
    require_sight(messages([{"role": "user", "content": "Hi"}]), blind)


async def test_pictures_count_as_memory_while_somebody_has_them(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = messages(asking(part(file(noise(200, 200)))))
    monkeypatch.setattr(images, "_settings", ImageSettings(memory_bytes=2**20))
    held = [await images.read(given) for _ in range(4)]
    assert 4 * 120_000 < sum(pictures.bytes for pictures in held) < 2**20

    async def fill() -> None:
        for _ in range(4):
            held.append(await images.read(given))

    with pytest.raises(Overloaded):
        await fill()
    held.clear()
    gc.collect()
    assert await images.read(given)


async def test_refused_pictures_do_not_count(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = messages(asking(part(file(noise(200, 200))[:-5000])))
    monkeypatch.setattr(images, "_settings", ImageSettings(memory_bytes=2**20))
    refusals = []
    for _ in range(8):
        with pytest.raises(InvalidRequest) as refused:
            await images.read(broken)
        # Somebody logs it: what its traceback holds stays.
        refusals.append(refused)
    assert await images.read(messages(asking(part(file(noise(100, 100))))))


async def test_requests_take_turns(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = images._decoder.decode

    def noted(given: Any) -> Any:
        decoded.append(given.uri)
        return decode(given)

    monkeypatch.setattr(images._decoder, "decode", noted)
    many, one = [uri(file(noise(10, 10, seed))) for seed in range(8)], uri(file())
    long = asyncio.create_task(images.read(messages(asking(*map(spelled, many)))))
    await asyncio.sleep(0)
    short = await images.read(messages(asking(spelled(one))))
    assert short
    assert decoded.index(one) < 4
    await long


def spelled(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": url}


async def test_who_waits_too_long_is_told(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_LONGEST_WAIT", 0.01)
    monkeypatch.setattr(images, "_turns", asyncio.Semaphore(0))
    with pytest.raises(Overloaded):
        await images.read(messages(asking(part())))


async def test_requests_without_pictures_cost_nothing(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_turns", asyncio.Semaphore(0))
    given = messages([{"role": "user", "content": [{"type": "text", "text": "Hi"}]}])
    pictures = await images.read(given)
    assert isinstance(pictures, DecodedImages)
    assert not pictures
    assert pictures.chat_messages(given)[0].content == "Hi"
    assert pictures.stored_messages(given, PROJECT) == [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
