"""The page Metrics: charts with their tables, and what scores are given on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Page, Route, expect

from adaptive_engine.sdk import Adaptive, NotFoundError
from e2e.test_pages import violations
from integration.server import MODEL, Server

pytestmark = pytest.mark.unopened

PROJECT = "measured"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    """A project with three answers, one failed request and a metric."""
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": PROJECT, "name": "Measured"})
    with Adaptive(server.url, server.api_key, PROJECT) as client:
        client.models.attach(MODEL, make_default=True, wait=True)
        client.feedback.register_key("helpful", "bool")
        for number in range(3):
            answer = client.chat.create([{"role": "user", "content": f"Hello {number}"}], max_tokens=2)
            client.feedback.log_metric(number > 0, answer.choices[0].completion_id, "helpful")
        yield client


def test_traffic_is_drawn_and_tabled(page: Page, client: Adaptive, axe: str) -> None:
    page.goto(f"/projects/{PROJECT}/metrics?span=24h")
    expect(page.locator("svg.recharts-surface").first).to_be_visible()
    page.get_by_role("button", name="Show table").first.click()
    expect(page.get_by_role("region", name="Answers as a table").locator("tbody tr")).to_contain_text(["3"])
    page.get_by_role("button", name="Show table").nth(1).click()
    times = page.get_by_role("region", name="Time to the first token as a table")
    expect(times.locator("thead")).to_contain_text("Timep50p95p99")
    expect(times.locator("tbody tr")).to_have_text([re.compile(r"([\d.]+ m?s){3}$")])
    by_model = page.get_by_role("region", name="Latency by model").locator("tbody tr")
    expect(by_model).to_have_text([re.compile(rf"{MODEL}30(.* m?s){{6}}")])
    assert violations(page, axe) == []


def test_traffic_is_counted_anew_when_asked(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/metrics?span=24h")
    expect(page.get_by_text("0 failed or were cut off")).to_be_visible()
    with pytest.raises(NotFoundError):
        client.chat.create([{"role": "user", "content": "Hello"}], model="nobody")
    client.chat.create([{"role": "user", "content": "Hello again"}], max_tokens=2)
    before = page.get_by_text(re.compile(r"^\d+ answered$")).inner_text()
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_text(before, exact=True)).to_have_count(0)
    expect(page.get_by_text(f"{int(before.split()[0]) + 1} answered")).to_be_visible()


def test_a_time_that_was_not_counted_whole_says_so(page: Page, client: Adaptive) -> None:
    def cut(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "searched_to": "2026-11-20T10:00:00Z"})

    page.route("**/traffic?*", cut)
    page.goto(f"/projects/{PROJECT}/metrics")
    expect(page.get_by_text("Counting took too long: only what was asked from Nov 20, 2026")).to_be_visible()


def test_a_metric_is_compared_by_model(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/metrics")
    page.get_by_role("combobox", name="Metric", exact=True).click()
    page.get_by_role("option", name="helpful").click()
    row = page.get_by_role("region", name="helpful by model").locator("tbody tr")
    expect(row).to_contain_text([f"{MODEL}0.667"])


def test_a_metric_is_created_changed_and_deleted(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/metrics")
    page.get_by_role("button", name="Create metric").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("latency")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_text("measured by the server itself")).to_be_visible()
    dialog.get_by_label("Key").fill("csat")
    dialog.get_by_label("Name").fill("Satisfaction")
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Edit Satisfaction").click()
    page.get_by_label("Description").fill("Whether customers were content.")
    page.get_by_role("button", name="Save").click()
    row = page.get_by_role("row").filter(has=page.get_by_text("csat", exact=True))
    expect(row).to_contain_text("Whether customers were content.")
    page.get_by_role("button", name="Delete Satisfaction").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Satisfaction")).to_have_count(0)


def test_no_traffic_says_so(page: Page, server: Server) -> None:
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": "quiet"})
    page.goto("/projects/quiet/metrics")
    expect(page.get_by_role("heading", name="No traffic in this time")).to_be_visible()
