from __future__ import annotations

from playwright.sync_api import Page, expect

from e2e.test_pages import violations
from e2e.visitor import Visitor, ask, composer, finished, script_model, sign_in
from integration.server import Server


def test_a_key_opens_the_project_and_is_out_of_scripts_reach(visitor: Visitor, server: Server) -> None:
    page = visitor.page
    sign_in(page, server.api_key)
    assert page.url == f"{server.url}/projects/default/chat"
    assert page.evaluate("document.cookie") == ""
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert server.api_key not in stored
    page.reload()
    expect(composer(page)).to_be_visible()


def test_a_wrong_key_is_told_with_the_request(visitor: Visitor) -> None:
    page = visitor.page
    page.goto("/projects/default/chat")
    page.get_by_label("API key", exact=True).fill("not-a-key-of-this-server")
    page.get_by_role("button", name="Sign in").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The API key is not valid")
    expect(alert).to_contain_text("req-")


def sign_in_again(page: Page, key: str) -> None:
    dialog = page.get_by_role("dialog", name="Sign in again")
    dialog.get_by_label("API key", exact=True).fill("not-a-key-of-this-server")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The API key is not valid")
    dialog.get_by_label("API key", exact=True).fill(key)
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog).to_have_count(0)


def test_who_is_signed_out_meanwhile_signs_in_and_loses_nothing(page: Page, server: Server, axe: str) -> None:
    page.goto("/projects/default/settings")
    page.get_by_label("Description").fill("Changed.")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_role("dialog", name="Sign in again")).to_be_visible()
    assert violations(page, axe) == []
    page.keyboard.press("Escape")
    sign_in_again(page, server.api_key)
    expect(page).to_have_url(f"{server.url}/projects/default/settings")
    expect(page.get_by_label("Description")).to_have_value("Changed.")
    expect(page.get_by_role("alert")).to_contain_text("You were signed out. Do this again.")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("The project is saved")).to_be_visible()

    page.goto("/projects/default/settings?tab=users")
    page.get_by_role("button", name="Create user").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail address").fill("ada@sign-in.example")
    page.context.clear_cookies()
    page.get_by_role("button", name="Create", exact=True).click()
    sign_in_again(page, server.api_key)
    expect(page.get_by_label("E-mail address")).to_have_value("ada@sign-in.example")
    page.get_by_role("button", name="Create", exact=True).click()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("region", name="Users")).to_contain_text("ada@sign-in.example")


def test_a_question_outlives_the_cookie(page: Page, server: Server) -> None:
    page.context.clear_cookies()
    ask(page, "What did I ask?")
    sign_in_again(page, server.api_key)
    script_model(page, "This.")
    expect(page.get_by_role("log").get_by_text("What did I ask?")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("This.", exact=True)).to_be_visible()


def test_who_was_signed_out_may_leave(page: Page) -> None:
    page.context.clear_cookies()
    page.get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Leave this page").click()
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_nobody_is_led_elsewhere_by_signing_in(visitor: Visitor, server: Server) -> None:
    visitor.page.goto("/sign-in?next=/%5Cevil.example/")
    visitor.page.get_by_label("API key", exact=True).fill(server.api_key)
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(composer(visitor.page)).to_be_visible()


def test_a_chat_is_not_shown_to_the_next_who_signs_in(page: Page, server: Server) -> None:
    made = page.request.post("/api/v1/keys", headers=server.headers, data={"name": "other", "role": "inference"})
    script_model(page, "For nobody else.")
    ask(page, "A secret of mine.")
    finished(page)
    page.wait_for_url("**/chat/*")
    page.get_by_role("button", name="account").click()
    page.get_by_role("menuitem", name="Sign out").click()
    page.get_by_label("API key", exact=True).fill(made.json()["api_key"])
    page.get_by_role("button", name="Sign in").click()
    expect(composer(page)).to_be_visible()
    # Without loading the application anew.
    page.go_back()
    page.go_back()
    expect(page.get_by_role("heading", name="This chat is not in this browser")).to_be_visible()
    expect(page.get_by_text("A secret of mine.")).to_have_count(0)


def test_signing_out_ends_it(page: Page) -> None:
    page.get_by_role("button", name="account").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    page.goto("/projects/default/chat")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
