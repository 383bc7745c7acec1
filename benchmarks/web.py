"""How smooth the web application is in Chromium: `make bench-web` or `python benchmarks/web.py`.

The first load, a chat of 2000 messages, and pages of 1000 among 100 000 interactions, before a real server. Frames are
counted while a script scrolls as fast as a wheel does; a long task is what keeps the page from answering for 50 ms.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from adaptive_engine.registry import ensure_default_model  # noqa: E402
from adaptive_engine.store import Database, projects  # noqa: E402
from adaptive_engine.store import interactions as store  # noqa: E402
from adaptive_engine.types import Interaction, Usage, now_ms, uuid7  # noqa: E402
from e2e.test_scripted_answers import lengthen  # noqa: E402
from e2e.visitor import ask, composer, finished  # noqa: E402
from integration.server import Server, start  # noqa: E402

ROWS = 100_000
BATCH = 5_000

_WATCH = """() => {
  window.long = [];
  new PerformanceObserver((list) => window.long.push(...list.getEntries().map((entry) => entry.duration)))
    .observe({ type: 'longtask', buffered: true });
}"""
_SCROLL = """async ([selector, step, seconds]) => {
  const element = document.querySelector(selector);
  window.long.length = 0;
  const frames = [];
  const end = performance.now() + seconds * 1000;
  let last = await new Promise(requestAnimationFrame), direction = 1;
  while (last < end) {
    const before = element.scrollTop;
    element.scrollBy(0, direction * step);
    const now = await new Promise(requestAnimationFrame);
    if (element.scrollTop === before) direction = -direction;
    frames.push(now - last);
    last = now;
  }
  frames.sort((one, other) => one - other);
  const at = (share) => frames[Math.min(frames.length - 1, Math.floor(share * frames.length))];
  const long = window.long;
  const task = Math.max(0, ...window.long);
  return { frames: frames.length, median: at(0.5), p95: at(0.95), longest: at(1), tasks: window.long.length, task };
}"""
"""Scrolls to and fro; frames and tasks in ms."""


def show(name: str, **figures: Any) -> None:
    told = ", ".join(f"{key} {value:.0f}" for key, value in figures.items())
    print(f"{name}: {told}", flush=True)


def first_load(page: Page) -> None:
    """From the address to a chat that can be written in: without a cache, then with one."""
    for name in ("first load", "again"):
        page.goto("/projects/default/chat")
        expect(composer(page)).to_be_focused()
        seen = page.evaluate(
            "({paint: performance.getEntriesByName('first-contentful-paint')[0].startTime, usable: performance.now()})"
        )
        show(name, **{f"{key} ms": float(value) for key, value in seen.items()})


def long_chat(page: Page) -> None:
    page.goto("/projects/default/chat")
    ask(page, "Hello.")
    finished(page)
    page.wait_for_url("**/chat/*")
    chat = page.url.rpartition("/")[2]
    expect(page.get_by_role("navigation", name="Chats")).to_contain_text("Hello.")
    lengthen(page, chat)
    page.goto(f"/projects/default/chat/{chat}")
    expect(page.get_by_text("Answer 1999")).to_be_visible()
    show("chat of 2000 messages, opened", ms=float(page.evaluate("performance.now()")))
    page.evaluate(_WATCH)
    show("  scrolled", **page.evaluate(_SCROLL, ["[role=log]", 400, 5]))
    page.evaluate("window.long.length = 0")
    composer(page).press_sequentially("A question that is typed into a long chat.")
    show("  typed into", **page.evaluate("({tasks: long.length, task: Math.max(0, ...long)})"))
    page.evaluate("window.long.length = 0")
    composer(page).press("Enter")
    finished(page, page.get_by_role("article", name="Answer").count())
    show("  answered", **page.evaluate("({tasks: long.length, task: Math.max(0, ...long)})"))


def many_interactions(page: Page, server: Server) -> None:
    with closing(Database.open(server.data_dir / "adaptive.db")) as database:
        with database.read() as connection:
            project = projects.get_by_key(connection, "default")
        assert project is not None
        for batch in _batches(project.id):
            with database.write() as connection:
                store.insert(connection, batch)
    rows = page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button")
    for size in (100, 1000):
        page.goto(f"/projects/default/interactions?size={size}")
        expect(rows.first).to_be_visible()
        show(f"{ROWS} interactions, {size} to a page, opened", ms=float(page.evaluate("performance.now()")))
        page.evaluate(_WATCH)
        show("  scrolled", **page.evaluate(_SCROLL, ["div:has(> table[aria-label=Interactions])", 400, 5]))
        page.evaluate("window.long.length = 0; window.begun = performance.now()")
        first = rows.first.inner_text()
        page.get_by_role("button", name="Next page").click()
        expect(rows.first).not_to_have_text(first)
        told = "({ms: performance.now() - begun, tasks: long.length, task: Math.max(0, ...long)})"
        show("  next page", **page.evaluate(told))
    page.goto("/projects/default/metrics?span=30d")
    expect(page.locator("svg.recharts-surface").first).to_be_visible()
    show(f"metrics of {ROWS} interactions, opened", ms=float(page.evaluate("performance.now()")))


def _batches(project_id: UUID) -> Iterator[list[Interaction]]:
    chance = random.Random(1)
    end = now_ms()
    for begin in range(0, ROWS, BATCH):
        yield [
            Interaction(
                *(uuid7(), project_id, uuid7(), [{"role": "user", "content": f"Question {number}. " + "Why? " * 40}]),
                *("complete", "LIVE", end - number * 25_000),
                model_key=f"model-{number % 3}",
                completion=f"Answer {number}. " + "Because it is so. " * 40,
                usage=Usage(50, 120, 20),
                timings={"ttft_ms": chance.lognormvariate(5, 0.5), "total_ms": chance.lognormvariate(7, 0.5)},
            )
            for number in range(begin, begin + BATCH)
        ]


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir, sync_playwright() as playwright:
        ensure_default_model(Path(data_dir) / "models")
        server = start(Path(data_dir))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        try:
            page = browser.new_page(base_url=server.url, viewport={"width": 1440, "height": 900})
            page.request.post("/api/v1/sign_in", headers=server.headers)
            first_load(page)
            long_chat(page)
            many_interactions(page, server)
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()
