"""What holds for every page: accessible in light and dark, and quick to load."""

from __future__ import annotations

import gzip
import re
from typing import Any

from playwright.sync_api import Page, expect

from adaptive_engine.server.web import BUILT
from e2e.visitor import Visitor, ask, finished, script_model

FIRST_LOAD_BYTES = 350_000
"""Of script, compressed, before the chat can be used."""


def violations(page: Page, axe: str) -> list[str]:
    """What axe-core calls serious or critical, in light and in dark, by rule and element."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe)
    found = [f"{scheme}: {violation}" for scheme in ("light", "dark") for violation in _violations(page, scheme)]
    page.emulate_media(color_scheme="light")
    return found


def _violations(page: Page, scheme: Any) -> list[str]:
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("scheme => document.documentElement.dataset.mantineColorScheme === scheme", arg=scheme)
    # Half-faded colours are no one's design. What turns for ever, as a loader, is not waited for.
    page.evaluate(
        "Promise.all(document.getAnimations()"
        ".filter(animation => isFinite(animation.effect.getComputedTiming().endTime))"
        ".map(animation => animation.finished.catch(() => {})))"
    )
    # Without a list of all that is in order. Only colours differ between light and dark.
    rules = "" if scheme == "light" else ", runOnly: ['color-contrast']"
    found: Any = page.evaluate(f"axe.run({{resultTypes: ['violations']{rules}}})")
    return [
        f"{violation['id']}: {node['html'][:200]} {[check['message'] for check in node['any']]}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


def test_chat_is_accessible(page: Page, axe: str) -> None:
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


def test_signing_in_is_accessible(visitor: Visitor, axe: str) -> None:
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
