"""Show every page of the web application: `python scripts/screenshots.py [NAME...]`, into docs/screenshots/all.

Each state is made once, in front of a real server with the default model, and shown in light and dark, wide and narrow.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from adaptive_engine.registry import ensure_default_model  # noqa: E402
from e2e.visitor import ask, composer, finished  # noqa: E402
from integration.server import Server, start  # noqa: E402

TARGET = ROOT / "docs" / "screenshots" / "all"
WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}


def sign_in_page(page: Page) -> None:
    page.goto("/sign-in")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def chat_new(page: Page) -> None:
    settings = base64.urlsafe_b64encode(b'{"settings": [{"temperature": 0, "maxTokens": 120}]}').decode().rstrip("=")
    page.goto(f"/projects/default/chat?share={settings}")
    expect(composer(page)).to_be_visible()


def chat(page: Page) -> None:
    chat_new(page)
    ask(page, "What is the capital of France?")
    finished(page)
    ask(page, "Tell me one fact about it.")
    finished(page, 2)


def chat_markdown(page: Page) -> None:
    chat_new(page)
    ask(page, "Write a Python function that adds two numbers, in a code block.")
    finished(page)


def chat_json(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_role("button", name="Classification").click()
    page.keyboard.press("Escape")
    ask(page, "The room was clean and the breakfast was great.")
    finished(page)


def chat_compare(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Compare: add a column").click()
    page.get_by_role("button", name="Settings of this chat").last.click()
    page.get_by_label("System prompt").fill("You answer in one short sentence.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    ask(page, "Why is the sky blue?")
    finished(page, 2)


def chat_settings(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_role("button", name="Entity extraction").click()
    expect(page.get_by_text("Enforced: every answer matches")).to_be_visible()


def chat_schema(page: Page) -> None:
    chat_settings(page)
    page.get_by_text("Enforced: every answer matches").scroll_into_view_if_needed()


def chat_code(page: Page) -> None:
    chat_new(page)
    composer(page).fill("What is the capital of France?")
    page.get_by_role("button", name="View as code").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def chat_failed(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_label("System prompt").fill("word " * 12_000)
    page.keyboard.press("Escape")
    ask(page, "Hello.")
    expect(page.get_by_role("alert")).to_be_visible()


def commands(page: Page) -> None:
    chat_new(page)
    page.keyboard.press("Control+k")
    expect(page.get_by_placeholder("Type a command")).to_be_visible()


def new_key(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="switch project").click()
    page.get_by_role("menuitem", name="Generate new API key").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def not_found(page: Page) -> None:
    page.goto("/projects/nothing/chat")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


def interactions(page: Page) -> None:
    page.goto("/projects/default/interactions")
    expect(page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button").first).to_be_visible()


def interaction(page: Page) -> None:
    interactions(page)
    page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button").nth(1).click()
    expect(page.get_by_role("tab", name="Messages")).to_be_visible()


def interactions_grouped(page: Page) -> None:
    page.goto("/projects/default/interactions?group=prompt")
    expect(page.get_by_role("region", name="Interactions by prompt")).to_be_visible()


def metrics(page: Page) -> None:
    page.goto("/projects/default/metrics?span=24h")
    expect(page.locator("svg.recharts-surface").first).to_be_visible()


def ab_tests(page: Page) -> None:
    page.goto("/projects/default/ab-tests")
    expect(page.get_by_role("heading", name="No A/B test yet")).to_be_visible()


def models(page: Page) -> None:
    page.goto("/projects/default/models")
    expect(page.get_by_role("region", name="Models of this project")).to_be_visible()


def model(page: Page) -> None:
    models(page)
    page.get_by_role("region", name="Models of this project").get_by_role("link").first.click()
    page.get_by_role("combobox", name="Answers are").click()
    page.get_by_role("option", name="JSON of a schema").click()
    page.get_by_role("button", name="Classification").click()
    expect(page.get_by_text("Enforced: every answer matches")).to_be_visible()


def settings(page: Page) -> None:
    page.goto("/projects/default/settings")
    expect(page.get_by_label("Description")).to_be_visible()


def settings_keys(page: Page) -> None:
    page.goto("/projects/default/settings?tab=keys")
    expect(page.get_by_role("region", name="API keys")).to_be_visible()


def settings_roles(page: Page) -> None:
    page.goto("/projects/default/settings?tab=roles")
    expect(page.get_by_role("region", name="Roles")).to_be_visible()


STATES: tuple[Callable[[Page], None], ...] = (
    sign_in_page,
    chat_new,
    chat,
    chat_markdown,
    chat_json,
    chat_compare,
    chat_settings,
    chat_schema,
    chat_code,
    chat_failed,
    commands,
    new_key,
    not_found,
    interactions,
    interaction,
    interactions_grouped,
    metrics,
    ab_tests,
    models,
    model,
    settings,
    settings_keys,
    settings_roles,
)


_SETTLED = """async (scheme) => {
  if (document.documentElement.dataset.mantineColorScheme !== scheme) return false;
  await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})));
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  return true;
}"""
"""The page has its colours, and what moves into place has moved."""


def show(page: Page, name: str) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        for width, (columns, rows) in WIDTHS.items():
            page.set_viewport_size({"width": columns, "height": rows})
            page.wait_for_function(_SETTLED, arg=scheme)
            page.screenshot(path=TARGET / f"{name}-{scheme}-{width}.png")
    page.set_viewport_size({"width": 1440, "height": 900})


def take(server: Server, names: list[str]) -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(base_url=server.url, viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.request.post("/api/v1/sign_in", headers=server.headers)
        for state in STATES:
            name = state.__name__.removesuffix("_page")
            if not names or name in names:
                state(page)
                show(page, name)
                print(name)
        browser.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        ensure_default_model(Path(data_dir) / "models")
        server = start(Path(data_dir))
        try:
            take(server, sys.argv[1:])
        finally:
            server.stop()


if __name__ == "__main__":
    main()
