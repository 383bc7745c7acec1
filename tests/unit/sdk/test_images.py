"""Pictures as parts of messages, and those of interactions."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from adaptive_engine import NotFoundError, image
from image_files import file, noise, plain, uri
from unit.sdk.both import result
from unit.sdk.scripted import Reply, ScriptedServer, answer, error_body


def opened(part: dict[str, Any]) -> Pillow.Image:
    return Pillow.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))


def test_a_picture_from_wherever_it_is(tmp_path: Path) -> None:
    data = file()
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    wanted = {"type": "image_url", "image_url": {"url": uri(data)}}
    assert image(path) == image(str(path)) == image(data) == image(uri(data)) == wanted
    assert image(data, detail="low")["image_url"] == {"url": uri(data), "detail": "low"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "GIF"])
def test_each_type_is_recognised(kind: str) -> None:
    assert image(file(kind=kind))["image_url"]["url"].startswith(f"data:image/{kind.lower()};base64,")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "HSV", "F", "I;16"])
def test_pil_images_of_any_mode(mode: str) -> None:
    made = opened(image(Pillow.new(mode, (3, 2))))
    assert (made.format, made.size) == ("PNG", (3, 2))


def test_pil_images_keep_what_they_can() -> None:
    drawn = noise(9, 7)
    assert opened(image(drawn)).tobytes() == drawn.tobytes()
    assert opened(image(Pillow.open(io.BytesIO(file(drawn, "JPEG"))))).format == "JPEG"


def test_what_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("text")
    with pytest.raises(ValueError, match=r"a\.png: .*JPEG, PNG, WebP, GIF"):
        image(path)
    with pytest.raises(ValueError, match="JPEG, PNG, WebP, GIF"):
        image(b"")
    with pytest.raises(ValueError, match="download the image first"):
        image("https://example.com/a.png")
    with pytest.raises(FileNotFoundError):
        image("nowhere.png")


async def test_the_file_of_a_picture(client: Any, server: ScriptedServer) -> None:
    data = file(plain())
    server.replies(Reply(content=data))
    assert await result(client.interactions.image("/images/p/a.png")) == data
    assert server.last.path == "/api/v1/images/p/a.png"
    server.replies(Reply(error_body("EntityNotFound: Image 'a.png' does not exist."), status=404))
    with pytest.raises(NotFoundError):
        await result(client.interactions.image("/images/p/a.png"))
    with pytest.raises(ValueError, match="no image of an interaction"):
        await result(client.interactions.image("https://example.com/a.png"))


async def test_a_picture_in_a_message(client: Any, server: ScriptedServer) -> None:
    server.replies(answer("A cat."))
    messages = [{"role": "user", "content": [{"type": "text", "text": "What?"}, image(file())]}]
    await result(client.chat.create(messages))
    assert server.last.body["messages"] == messages


@pytest.mark.parametrize("source", [None, 3, io.BytesIO(file())])
def test_what_is_no_picture_is_told_by_its_type(source: Any) -> None:
    with pytest.raises(ValueError, match=type(source).__name__):
        image(source)
