"""Images: asked about, looked at afterwards, asked about again, with a model that sees."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing

import httpx2
import numpy as np
import pytest
from PIL import Image as Pillow
from playwright.sync_api import Page, expect

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.sdk import Adaptive
from adaptive_engine.services import models
from adaptive_engine.store import Database
from e2e.visitor import ask, composer, finished
from integration.server import Server, place_model
from pictures import draw

pytestmark = pytest.mark.unopened

PROJECT = "gallery"


@pytest.fixture(scope="module")
def client(server: Server, vision_model_dir: ModelDirectory) -> Iterator[Adaptive]:
    """A project whose model sees."""
    place_model(vision_model_dir.path, server.data_dir)
    with closing(Database.open(server.data_dir / "adaptive.db")) as database, database.write() as connection:
        models.register(connection, vision_model_dir)
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": PROJECT})
    with Adaptive(server.url, server.api_key, PROJECT) as client:
        client.models.attach(vision_model_dir.key, wait=True)
        yield client


def test_what_is_no_image_is_not_taken(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/chat")
    for name, type_, content, said in (
        ("notes.txt", "text/plain", b"text", "is no JPEG, PNG, WebP or GIF image"),
        ("cut.png", "image/png", _picture()[:40], "is damaged"),
    ):
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Add images").click()
        chooser.value.set_files({"name": name, "mimeType": type_, "buffer": content})
        expect(page.get_by_text(f"{name} {said}")).to_be_visible()
    expect(page.get_by_alt_text("To be sent, 1")).not_to_be_visible()


def test_s103_an_image_is_answered_shown_and_replayed(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/chat")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add images").click()
    chooser.value.set_files({"name": "circle.png", "mimeType": "image/png", "buffer": _picture()})
    expect(page.get_by_alt_text("To be sent, 1")).to_be_visible()
    ask(page, "What is in the picture?")
    expect(finished(page)).to_contain_text("circle")

    page.goto(f"/projects/{PROJECT}/interactions")
    page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button").first.click()
    shown = page.get_by_alt_text("As it was sent")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    page.get_by_role("button", name="Replay in chat").click()
    expect(page.get_by_alt_text("Sent with the message")).to_be_visible()
    expect(composer(page)).to_be_visible()
    page.get_by_role("button", name="Regenerate").click()
    expect(finished(page)).to_contain_text("circle")
    sent = client.interactions.list().data[0].messages[0]
    assert sent["content"][1]["image_url"]["url"].startswith("/images/")


def _picture() -> bytes:
    target = io.BytesIO()
    shown = draw(np.random.default_rng(3), colour="red", shape="circle", count=1)
    Pillow.fromarray(shown.pixels).save(target, "PNG")
    return target.getvalue()
