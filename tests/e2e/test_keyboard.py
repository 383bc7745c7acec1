"""The application without a mouse: every page, dialog and command by the keyboard alone."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from e2e.visitor import composer
from integration.server import MODEL

PAGES = (
    "chat",
    "interactions",
    "metrics",
    "ab-tests",
    "models",
    *(f"settings?tab={tab}" for tab in ("project", "keys", "graders", "shares", "users", "teams", "roles")),
)

DIALOGS = (
    "Attach a model",
    "Import a model",
    "Add an external model",
    "Create metric",
    "Create A/B test",
    "Log an interaction",
    "Export interactions",
    "Create grader",
    "Create user",
    "Create role",
    "Create project",
    "Generate new API key",
)

_FOCUSED = """() => {
  const focused = document.activeElement;
  if (!focused || focused === document.body) return null;
  // What is chosen with it stands for a radio button that is not drawn.
  const element = focused.matches('[type=radio]') ? document.querySelector(`label[for="${focused.id}"]`) : focused;
  const box = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  const isField = element.matches('input, textarea');
  return {
    name: `${element.tagName} ${element.getAttribute('aria-label') ?? element.textContent.slice(0, 60)}`,
    // Fields show it by their border.
    shown: isField || style.boxShadow !== 'none'
      || (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0),
    inSight: box.width > 0 && box.height > 0 && box.bottom > 0 && box.right > 0
      && box.top < innerHeight && box.left < innerWidth,
    inDialog: Boolean(element.closest('[role=dialog]')),
    isFirst: element.classList.contains('skip-link'),
  };
}"""


def focused(page: Page) -> dict[str, Any] | None:
    found: dict[str, Any] | None = page.evaluate(_FOCUSED)
    return found


def walk(page: Page, most: int = 250) -> list[dict[str, Any]]:
    """What Tab comes to, from the first thing of the page to the last."""
    page.evaluate("document.activeElement.blur(); document.querySelector('.skip-link').focus()")
    found = []
    while len(found) < most:
        page.keyboard.press("Tab")
        now = focused(page)
        # Behind the last thing is the browser's own.
        if now is None or now["isFirst"]:
            return found
        found.append(now)
    raise AssertionError(f"Tab does not come to an end: {[each['name'] for each in found[-5:]]}")


def command(page: Page, name: str) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_placeholder("Type a command")).to_be_focused()
    page.keyboard.insert_text(name)
    expect(page.get_by_role("dialog", name="Commands").locator("[data-selected]")).to_have_text(name)
    page.keyboard.press("Enter")
    expect(page.get_by_placeholder("Type a command")).to_have_count(0)


@pytest.mark.unopened
@pytest.mark.parametrize("path", PAGES)
def test_tab_comes_to_everything_that_can_be_used_and_shows_where_it_is(page: Page, path: str) -> None:
    page.goto(f"/projects/default/{path}")
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    steps = walk(page)
    assert [step["name"] for step in steps if not step["shown"]] == []
    assert [step["name"] for step in steps if not step["inSight"]] == []
    usable = page.locator("main").locator("button:visible:not(:disabled), a:visible, input:visible:not(:disabled)")
    assert len(steps) >= min(usable.count(), 5)


def test_every_dialog_opens_by_its_name_keeps_the_keyboard_and_gives_it_back(page: Page) -> None:
    expect(composer(page)).to_be_focused()
    for name in DIALOGS:
        command(page, name)
        dialog = page.get_by_role("dialog")
        expect(dialog).to_have_count(1)
        expect(dialog.locator(":focus")).to_have_count(1)
        for _ in range(3):
            page.keyboard.press("Shift+Tab")
            now = focused(page)
            assert now is not None, name
            assert now["inDialog"], name
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(page.locator("body:not(:has(:focus))")).to_have_count(0)


def test_a_dialog_that_a_menu_opened_gives_the_keyboard_back_to_the_menu(page: Page) -> None:
    page.goto("/projects/default/models")
    button = page.get_by_role("region", name="Models of this project").get_by_role("button", name="Actions for").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menu").locator(":focus")).to_have_count(1)
    # Whether the menu or its first item has the keyboard at first depends on how soon it is drawn.
    page.keyboard.press("ArrowDown")
    expect(page.locator('[role="menuitem"]:focus')).to_have_count(1)
    page.keyboard.press("Home")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("menuitem").last).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()


@pytest.mark.parametrize("typed", [MODEL[:1], MODEL[:4]])
def test_enter_takes_the_first_that_is_left_of_a_list(page: Page, typed: str) -> None:
    command(page, "Create grader")
    judge = page.get_by_role("dialog").get_by_role("combobox", name="Judge")
    judge.press_sequentially(typed)
    expect(page.get_by_role("option", name=MODEL)).to_be_visible()
    judge.press("Enter")
    expect(judge).to_have_value(MODEL)


def test_a_new_column_has_the_keyboard(page: Page) -> None:
    page.get_by_role("button", name="Compare: add a column").press("Enter")
    models = page.get_by_role("combobox", name="Model", exact=True)
    expect(models).to_have_count(2)
    expect(models.last).to_be_focused()


def test_the_palette_comes_to_every_page(page: Page) -> None:
    names = ("Interactions", "Metrics", "A/B tests", "Models", "Settings", "Chat")
    for name in names:
        command(page, f"Go to {name}")
        expect(page.get_by_role("link", name=name, exact=True)).to_have_attribute("aria-current", "page")
    for name in ("API keys", "Graders", "Shares", "Users", "Teams", "Roles", "Project"):
        command(page, f"Go to Settings: {name}")
        expect(page.get_by_role("tab", name=name, selected=True)).to_be_visible()
