from __future__ import annotations

from playwright.sync_api import Page, expect

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


def test_who_is_signed_out_meanwhile_signs_in_and_goes_on(page: Page, server: Server) -> None:
    page.goto("/projects/default/settings")
    page.get_by_label("Description").fill("Changed.")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save").first.click()
    page.get_by_label("API key", exact=True).fill(server.api_key)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{server.url}/projects/default/settings")


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
