"""The web application in a real browser: Chromium of this machine, one for all tests, before a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from adaptive_engine.registry import ModelDirectory
from adaptive_engine.server.web import BUILT
from e2e.visitor import Visitor, composer
from integration.server import Server, place_model, start

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

expect.set_options(timeout=20_000)


@pytest.fixture(scope="package")
def server(default_model_dir: ModelDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`adaptive serve` with its default settings and a directory to import from, and the application built."""
    assert (BUILT / "index.html").exists(), "build it first: python scripts/ui.py build"
    data_dir = tmp_path_factory.mktemp("server")
    place_model(default_model_dir.path, data_dir)
    running = start(data_dir, env={"ADAPTIVE_IMPORT_DIR": str(data_dir)})
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    assert CHROMIUM, "there is no Chromium here: apt install chromium"
    # Without a sandbox of its own: tests run as root in containers, where it cannot make one.
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
    yield browser
    browser.close()


@pytest.fixture
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    """A browser that nobody used before."""
    # What moves is waited for by every click.
    context = browser.new_context(base_url=server.url, viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def visitor(context: BrowserContext) -> Iterator[Visitor]:
    """Somebody who opens a page; what it should not have done fails the test."""
    visitor = Visitor(context)
    yield visitor
    visitor.behaved()


@pytest.fixture
def page(visitor: Visitor, server: Server, request: pytest.FixtureRequest) -> Page:
    """The chat of the default project, where an administrator has signed in; with `unopened`, only the latter."""
    visitor.page.request.post("/api/v1/sign_in", headers=server.headers)
    if not request.node.get_closest_marker("unopened"):
        visitor.page.goto("/projects/default/chat")
        expect(composer(visitor.page)).to_be_visible()
    return visitor.page


@pytest.fixture(scope="package")
def axe() -> str:
    """The text of axe-core."""
    path = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
    return path.read_text()
