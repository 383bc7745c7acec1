"""The page A/B tests: begin one, watch it, end it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import httpx2
import pytest
from playwright.sync_api import Page, expect

from adaptive_engine.sdk import Adaptive, ConflictError
from e2e.arms import register_tiny_model
from e2e.test_pages import violations
from integration.server import MODEL, Server

pytestmark = pytest.mark.unopened

PROJECT = "trial"
ARM = "challenger"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    """A project with two models."""
    register_tiny_model(server, ARM)
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": PROJECT, "name": "Trial"})
    with Adaptive(server.url, server.api_key, PROJECT) as client:
        for key in (MODEL, ARM):
            client.models.attach(key, wait=True)
        client.feedback.register_key("helpful", "bool")
        yield client


def test_a_test_is_begun_watched_and_cancelled(page: Page, client: Adaptive, axe: str) -> None:
    page.goto(f"/projects/{PROJECT}/ab-tests")
    expect(page.get_by_role("heading", name="No A/B test yet")).to_be_visible()
    page.get_by_role("button", name="Create A/B test").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("which")
    dialog.get_by_role("combobox", name="Models").click()
    for key in (MODEL, ARM):
        page.get_by_role("option", name=key).click()
    # The list stays open for more.
    page.keyboard.press("Tab")
    dialog.get_by_role("combobox", name="Metric").click()
    page.get_by_role("option", name="helpful").click()
    assert violations(page, axe) == []
    dialog.get_by_label("Traffic").fill("0")
    dialog.get_by_role("button", name="Begin").click()
    expect(dialog.get_by_label("Traffic")).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_text("The share of requests must be above 0 and at most 1.")).to_be_visible()
    dialog.get_by_label("Traffic").fill("50")
    dialog.get_by_role("button", name="Begin").click()

    expect(page.get_by_role("status").filter(has_text="Too early to say")).to_contain_text(f"{ARM} has 0")
    for key, value in ((MODEL, True), (ARM, False)):
        logged = client.interactions.create(
            [{"role": "user", "content": "Hello"}], "Hi.", model=key, ab_campaign="which"
        )
        client.feedback.log_metric(value, logged.completion_id, "helpful")
    page.reload()
    expect(page.get_by_role("status").filter(has_text="Too early to say")).to_contain_text(f"{ARM} has 1")
    assert violations(page, axe) == []
    page.get_by_role("button", name="Cancel test").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the test").click()
    expect(page.get_by_text("It was cancelled before it was decided.")).to_be_visible()
    assert client.ab_tests.get("which").status == "CANCELLED"
    page.get_by_role("link", name="Its interactions").click()
    expect(page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button")).to_have_count(2)


def test_a_verdict_is_told_in_words(page: Page, client: Adaptive, axe: str) -> None:
    client.ab_tests.create("clear", "helpful", [MODEL, ARM], min_scores=10)
    # It ends on the way, and takes no more.
    with suppress(ConflictError):
        for number in range(60):
            client.interactions.create(
                [{"role": "user", "content": f"Hello {number}"}],
                "Hi.",
                model=(MODEL, ARM)[number % 2],
                ab_campaign="clear",
                feedbacks=[{"metric": "helpful", "value": number % 2 == 0}],
            )
    page.goto(f"/projects/{PROJECT}/ab-tests/clear")
    expect(page.get_by_text("Decided")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text=MODEL)).to_be_visible()
    expect(page.get_by_role("button", name="Cancel test")).to_have_count(0)
    page.get_by_role("link", name="A/B tests").click()
    expect(page.get_by_role("region", name="A/B tests")).to_be_visible()
    assert violations(page, axe) == []
