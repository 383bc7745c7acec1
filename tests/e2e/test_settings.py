"""The page Settings: the project, its keys and shares, and the people of the server, as far as a key may."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from playwright.sync_api import Page, expect

from adaptive_engine.sdk import Adaptive
from e2e.test_pages import violations
from e2e.visitor import Visitor
from integration.server import MODEL, Server

pytestmark = pytest.mark.unopened


@pytest.fixture(scope="module")
def project(server: Server) -> str:
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": "office", "name": "Office"})
    return "office"


def open_tab(page: Page, project: str, tab: str) -> None:
    page.goto(f"/projects/{project}/settings?tab={tab}")
    expect(page.get_by_role("tab", selected=True)).to_be_visible()


def test_a_project_is_renamed_archived_and_brought_back(page: Page, project: str, axe: str) -> None:
    open_tab(page, project, "project")
    page.get_by_label("Name").fill("Front office")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="switch project")).to_contain_text("Front office")
    assert violations(page, axe) == []
    page.get_by_role("button", name="Archive this project").click()
    page.get_by_role("dialog").get_by_role("button", name="Archive").click()
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_role("button", name="Archive this project")).to_be_visible()


def test_a_key_is_created_shown_once_and_revoked(page: Page, project: str, server: Server, axe: str) -> None:
    open_tab(page, project, "keys")
    page.get_by_role("button", name="Create API key").click()
    page.get_by_role("dialog").get_by_label("Name").fill("till")
    page.get_by_role("combobox", name="Ends").click()
    page.get_by_role("option", name="In 30 days").click()
    assert violations(page, axe) == []
    page.get_by_role("button", name="Generate").click()
    key = page.get_by_role("dialog").locator("pre").first.inner_text()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert key not in page.content()
    assert violations(page, axe) == []
    page.get_by_role("button", name="Revoke till").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("button", name="Revoke till")).to_have_count(0)
    assert httpx2.get(f"{server.api}/me", headers={"Authorization": f"Bearer {key}"}).status_code == 401
    made = next(found for found in page.request.get("/api/v1/keys").json()["data"] if found["name"] == "till")
    assert made["project"] == project
    assert timedelta(29) < datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC) < timedelta(31)


def test_people_get_teams_roles_and_shares(page: Page, project: str, axe: str) -> None:
    open_tab(page, project, "teams")
    page.get_by_label("Key of a new team").fill("desk")
    page.get_by_role("button", name="Create team").click()
    expect(page.get_by_role("button", name="Delete desk")).to_be_visible()
    assert violations(page, axe) == []

    page.get_by_role("tab", name="Roles").click()
    page.get_by_role("button", name="Create role").click()
    page.get_by_role("dialog").get_by_label("Key").fill("clerk")
    page.get_by_role("checkbox", name="interaction:read").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Edit clerk")).to_be_visible()
    assert violations(page, axe) == []

    page.get_by_role("tab", name="Users").click()
    page.get_by_role("button", name="Create user").click()
    page.get_by_role("dialog").get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail address").fill("ada@example.com")
    page.get_by_role("combobox", name="Team", exact=True).click()
    page.get_by_role("option", name="desk").click()
    page.get_by_role("combobox", name="Role in it").click()
    page.get_by_role("option", name="clerk").click()
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    expect(page.get_by_role("dialog").locator("pre").first).to_be_visible()
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("region", name="Users")).to_contain_text("desk: clerk")
    assert violations(page, axe) == []
    page.get_by_role("button", name="New API key of Ada").click()
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("dialog").locator("pre").first).to_be_visible()
    page.get_by_role("button", name="Done").click()

    page.get_by_role("tab", name="Shares").click()
    page.get_by_role("combobox", name="Share with another team").click()
    page.get_by_role("option", name="desk").click()
    page.get_by_role("combobox", name="Role of desk").click()
    page.get_by_role("option", name="clerk").click()
    page.get_by_role("button", name="Save shares").click()
    expect(page.get_by_text("The shares are saved")).to_be_visible()
    assert violations(page, axe) == []
    page.reload()
    expect(page.get_by_role("combobox", name="Role of desk")).to_have_value("clerk")


def test_a_grader_is_created_and_rests(page: Page, project: str, server: Server, axe: str) -> None:
    httpx2.post(
        f"{server.api}/projects/{project}/models",
        headers=server.headers,
        json={"model": MODEL, "wait": True},
        timeout=60,
    )
    open_tab(page, project, "graders")
    page.get_by_role("button", name="Create grader").click()
    page.get_by_role("dialog").get_by_label("Key").fill("polite")
    page.get_by_label("Criteria").fill("The answer is polite.")
    page.get_by_role("combobox", name="Judge").click()
    page.get_by_role("option", name=MODEL).click()
    assert violations(page, axe) == []
    page.get_by_role("dialog").get_by_role("button", name="Create").click()
    enabled = page.get_by_role("switch", name="polite is enabled")
    expect(enabled).to_be_checked()
    enabled.press("Space")
    expect(enabled).not_to_be_checked()
    page.reload()
    expect(enabled).not_to_be_checked()

    page.get_by_role("button", name="Actions for polite").click()
    page.get_by_role("menuitem", name="Edit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Criteria").fill("The answer is friendly.")
    dialog.get_by_role("button", name="Add example").click()
    dialog.get_by_label("Question").fill("Hi")
    dialog.get_by_label("Answer").fill("Go away.")
    dialog.get_by_role("combobox", name="Verdict").click()
    page.get_by_role("option", name="Fail").click()
    dialog.get_by_label("Template").fill("no placeholder")
    assert violations(page, axe) == []
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_label("Template")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Template").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    with Adaptive(server.url, server.api_key, project) as client:
        grader = client.graders.get("polite")
    assert (grader.criteria, grader.template) == ("The answer is friendly.", None)
    assert [(example.input, example.output, example.score) for example in grader.examples] == [
        ("Hi", "Go away.", "FAIL")
    ]

    page.get_by_role("button", name="Actions for polite").click()
    page.get_by_role("menuitem", name="Judge stored interactions").click()
    dialog.get_by_role("button", name="Run").click()
    expect(page.get_by_text("0 interactions wait to be judged")).to_be_visible()


def test_a_reader_sees_and_changes_nothing(visitor: Visitor, server: Server, project: str) -> None:
    page = visitor.page
    made = page.request.post(
        "/api/v1/keys", headers=server.headers, data={"name": "reader", "role": "read-only", "project": project}
    ).json()
    page.request.post("/api/v1/sign_in", headers={"Authorization": f"Bearer {made['api_key']}"})
    page.goto(f"/projects/{project}/settings")
    expect(page.get_by_role("tab", name="Users")).to_have_count(0)
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    expect(page.get_by_role("button", name="Archive this project")).to_have_count(0)
    page.goto(f"/projects/{project}/models")
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    expect(page.get_by_role("button", name="Attach a model")).to_have_count(0)
    page.goto(f"/projects/{project}/metrics")
    expect(page.get_by_role("region", name="All metrics")).to_be_visible()
    expect(page.get_by_role("button", name="Create metric")).to_have_count(0)


@pytest.mark.parametrize("path", ["interactions", "metrics", "ab-tests", "models", "settings?tab=roles"])
def test_pages_fit_a_small_screen(page: Page, path: str) -> None:
    page.set_viewport_size({"width": 360, "height": 640})
    page.goto(f"/projects/default/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("path", ["metrics", "settings?tab=roles"])
def test_nothing_is_cut_off_on_a_small_screen(page: Page, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"/projects/default/{path}")
    badges = page.locator("table .mantine-Badge-label")
    expect(badges.first).to_be_visible()
    cut = "labels => labels.filter(label => label.scrollWidth > label.clientWidth).map(label => label.textContent)"
    assert badges.evaluate_all(cut) == []


def test_the_tabs_are_one_row_on_a_small_screen(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/projects/default/settings?tab=roles")
    expect(page.get_by_role("tab", name="Roles", selected=True)).to_be_in_viewport(ratio=1)
    assert page.get_by_role("tab").evaluate_all("tabs => new Set(tabs.map(tab => tab.offsetTop)).size") == 1
    page.get_by_role("tab", name="Roles").press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Project", selected=True)).to_be_in_viewport(ratio=1)
    page.set_viewport_size({"width": 1280, "height": 844})
    page.get_by_role("tab", name="Roles").click()
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("tab", name="Roles", selected=True)).to_be_in_viewport(ratio=1)
