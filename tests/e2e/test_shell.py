"""What surrounds the pages."""

from __future__ import annotations

import re

import httpx2
from playwright.sync_api import Page, expect

from e2e.test_pages import violations
from e2e.visitor import Visitor, composer
from integration.server import Server


def test_a_new_key_works_and_is_shown_once(page: Page, server: Server) -> None:
    page.get_by_role("button", name="switch project").click()
    page.get_by_role("menuitem", name="Generate new API key").click()
    page.get_by_label("Name").fill("web-shop")
    page.get_by_role("button", name="Generate").click()
    key = page.get_by_role("dialog").locator("pre").first.inner_text()
    me = httpx2.get(f"{server.api}/me", headers={"Authorization": f"Bearer {key}"}).json()
    assert me["projects"].keys() == {"default"}
    assert "completion:create" in me["projects"]["default"]
    assert "interaction:read" not in me["projects"]["default"]
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert key not in page.content()


def test_a_project_is_made_and_one_that_is_archived_is_found_again(page: Page, axe: str) -> None:
    page.get_by_role("button", name="switch project").click()
    page.get_by_role("menuitem", name="Create project").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Kundenservice Köln")
    dialog.get_by_label("Key").fill("not a key")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_label("Key")).to_have_attribute("aria-invalid", "true")
    assert violations(page, axe) == []
    dialog.get_by_label("Key").fill("")
    dialog.get_by_role("button", name="Create").click()
    expect(page).to_have_url(re.compile("/projects/kundenservice-koln/models$"))
    expect(page.get_by_role("button", name="switch project")).to_contain_text("Kundenservice Köln")

    page.get_by_role("link", name="Chat", exact=True).click()
    expect(page.get_by_role("heading", name="No model to ask yet")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("button", name="Archive this project").click()
    page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    expect(page.get_by_role("button", name="Bring it back")).to_be_visible()
    page.goto("/projects/default/chat")
    page.get_by_role("button", name="switch project").click()
    page.get_by_role("menuitem", name="Kundenservice Köln").click()
    expect(page.get_by_role("button", name="Bring it back")).to_be_visible()
    expect(page.get_by_role("button", name="switch project")).to_contain_text("Kundenservice Köln")


def test_what_a_key_may_not_do_is_not_shown(visitor: Visitor, server: Server) -> None:
    page = visitor.page
    made = page.request.post(
        "/api/v1/keys", headers=server.headers, data={"name": "reader", "role": "read-only", "project": "default"}
    ).json()
    page.request.post("/api/v1/sign_in", headers={"Authorization": f"Bearer {made['api_key']}"})
    page.goto("/")
    expect(page.get_by_role("heading", name="This key may not ask models")).to_be_visible()
    expect(page.get_by_role("link", name="Chat")).to_have_count(0)
    page.get_by_role("button", name="switch project").click()
    expect(page.get_by_role("menuitem", name="Default")).to_be_visible()
    expect(page.get_by_role("menuitem", name="Generate new API key")).to_have_count(0)
    expect(page.get_by_role("menuitem", name="Create project")).to_have_count(0)


def test_commands_are_found_by_their_names(page: Page, axe: str) -> None:
    page.keyboard.press("Control+k")
    expect(page.get_by_placeholder("Type a command")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_placeholder("Type a command").fill("dark")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")


def test_a_chat_is_begun_from_anywhere(page: Page) -> None:
    page.goto("/projects/default/interactions")
    page.get_by_label("Answer contains").focus()
    page.keyboard.press("Control+Shift+O")
    expect(composer(page)).to_be_focused()


def test_a_page_that_cannot_be_loaded_says_so_in_the_application(page: Page, visitor: Visitor) -> None:
    page.route("**/assets/MetricsPage-*.js", lambda route: route.abort())
    page.get_by_role("link", name="Metrics").click()
    expect(page.get_by_role("alert")).to_contain_text("A part of the application could not be loaded")
    # React and the router write it down too.
    assert [error for error in visitor.errors if "Not loaded" not in error] == []
    visitor.errors.clear()
    page.unroute("**/assets/MetricsPage-*.js")
    page.get_by_role("button", name="Reload").click()
    expect(page.get_by_role("heading", name="Metrics", level=1)).to_be_visible()


def test_a_project_that_is_not_there_looks_like_a_foreign_one(page: Page, axe: str) -> None:
    page.goto("/projects/nothing/chat")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_role("link", name="Go to your project").click()
    expect(composer(page)).to_be_visible()


def test_pages_fit_a_small_screen(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    expect(page.get_by_role("button", name="Navigation", exact=True)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Navigation", exact=True).click()
    page.get_by_role("link", name="Chat", exact=True).click()
    expect(composer(page)).to_be_in_viewport()
