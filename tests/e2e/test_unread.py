"""What could not be read is told once, where it is missing, with a way to try again."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from integration.server import MODEL

REFUSAL = {"message": "The database is not reachable.", "type": "server_error", "code": "store"}


def refuse(route: Route) -> None:
    route.fulfill(status=500, json={"error": REFUSAL})


@pytest.mark.unopened
@pytest.mark.parametrize(
    ("path", "opens", "of", "said", "field", "offered"),
    [
        ("settings?tab=keys", "Create API key", "**/v1/roles", "Roles", "Role", "inference"),
        ("settings?tab=users", "Create user", "**/v1/teams", "Teams", "Team", "default"),
        ("settings?tab=graders", "Create grader", "**/v1/models?*", "Models", "Judge", MODEL),
        ("ab-tests", "Create A/B test", "**/v1/models?*", "Models", "Models", MODEL),
    ],
)
def test_what_a_dialog_would_offer(
    page: Page, path: str, opens: str, of: str, said: str, field: str, offered: str
) -> None:
    page.route(of, refuse)
    page.goto(f"/projects/default/{path}")
    page.get_by_role("button", name=opens).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text(f"{said} could not be read")
    expect(dialog.get_by_role("alert")).to_contain_text("The database is not reachable.")
    page.unroute(of)
    dialog.get_by_role("button", name="Try again").click()
    expect(dialog.get_by_role("alert")).to_have_count(0)
    dialog.get_by_role("combobox", name=field, exact=True).click()
    expect(page.get_by_role("option", name=offered, exact=False).first).to_be_visible()


def test_a_server_that_is_gone(page: Page) -> None:
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_role("link", name="Models").click()
    alert = page.get_by_role("alert")
    expect(alert.first).to_contain_text("The server cannot be reached")
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    expect(alert).to_have_count(1)
    page.unroute("**/api/**")
    page.get_by_role("button", name="Try again").click()
    expect(alert).to_have_count(0)
    expect(page.get_by_role("region", name="All models of the server")).to_be_visible()
