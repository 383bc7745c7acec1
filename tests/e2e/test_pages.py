"""What holds for every page: accessible in light and dark, and quick to load."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from adaptive_engine.server.web import BUILT
from e2e.visitor import Visitor, ask, finished, script_model

FIRST_LOAD_BYTES = 350_000
"""Of script, compressed, before the chat can be used."""


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core calls serious or critical, by rule and element."""
    page.evaluate(axe)
    # Half-faded colours are no one's design. What turns for ever, as a loader, is not waited for.
    page.evaluate(
        "Promise.all(document.getAnimations()"
        ".filter(animation => isFinite(animation.effect.getComputedTiming().endTime))"
        ".map(animation => animation.finished.catch(() => {})))"
    )
    found: Any = page.evaluate("axe.run()")
    return [
        f"{violation['id']}: {node['html'][:200]}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chat_is_accessible(page: Page, axe: str, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert violations(page, axe) == []
    script_model(page, "# Heading\n\nText with [a link](https://example.com), `code` and\n\n```python\nprint(1)\n```\n")
    ask(page, "Hello.")
    finished(page)
    assert violations(page, axe) == []
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_role("button", name="Simple object").click()
    expect(page.get_by_text("Enforced: every answer matches")).to_be_visible()
    assert violations(page, axe) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Share by link").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page, axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_signing_in_is_accessible(visitor: Visitor, axe: str, scheme: Any) -> None:
    visitor.page.emulate_media(color_scheme=scheme)
    visitor.page.goto("/sign-in")
    expect(visitor.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert violations(visitor.page, axe) == []


def test_the_first_load_is_small_and_comes_compressed(page: Page) -> None:
    loaded: list[str] = page.evaluate(
        "performance.getEntriesByType('resource').map(entry => new URL(entry.name).pathname)"
    )
    scripts = {path for path in loaded if path.endswith(".js")}
    assert scripts
    assert sum(len(gzip.compress((BUILT / path[1:]).read_bytes())) for path in scripts) <= FIRST_LOAD_BYTES
    assert all(re.fullmatch(r"/assets/[\w-]+\.js", path) for path in scripts)
    for path in scripts:
        answer = page.request.get(path, headers={"Accept-Encoding": "br"})
        assert answer.headers["content-encoding"] == "br"
