"""The page Models: what is attached, whether it answers, and how."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Page, expect

from adaptive_engine.sdk import Adaptive
from e2e.arms import register_tiny_model
from e2e.test_pages import violations
from integration.server import MODEL, Server

pytestmark = pytest.mark.unopened

PROJECT = "workshop"
TINY = "pocket"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    """A project without models, on a server that has a second one."""
    register_tiny_model(server, TINY)
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": PROJECT, "name": "Workshop"})
    with Adaptive(server.url, server.api_key, PROJECT) as client:
        yield client


def test_a_model_is_attached_loaded_unloaded_and_detached(page: Page, client: Adaptive, axe: str) -> None:
    page.goto(f"/projects/{PROJECT}/models")
    expect(page.get_by_role("heading", name="No model in this project")).to_be_visible()
    page.get_by_role("button", name="Attach a model").click()
    page.get_by_role("dialog").get_by_label("Model").fill("nothing")
    page.get_by_role("button", name="Attach", exact=True).click()
    expect(page.get_by_role("dialog").get_by_text("is not registered")).to_be_visible()
    page.get_by_role("dialog").get_by_label("Model").fill(TINY)
    page.get_by_role("button", name="Attach", exact=True).click()
    table = page.get_by_role("region", name="Models of this project")
    expect(table.locator("tbody tr")).to_contain_text(["online"])
    expect(table.locator("tbody tr")).to_contain_text(["default"])
    assert violations(page, axe) == []
    table.get_by_role("button", name=f"Actions for {TINY}").click()
    page.get_by_role("menuitem", name="Take offline").click()
    expect(table.locator("tbody tr")).to_contain_text(["offline"])
    table.get_by_role("button", name=f"Actions for {TINY}").click()
    page.get_by_role("menuitem", name="Detach").click()
    page.get_by_role("dialog").get_by_role("button", name="Detach").click()
    expect(page.get_by_role("heading", name="No model in this project")).to_be_visible()


def test_settings_are_saved_and_told_where_they_are_wrong(page: Page, client: Adaptive, axe: str) -> None:
    client.models.attach(MODEL, wait=True)
    page.goto(f"/projects/{PROJECT}/models/{MODEL}")
    prompt = page.get_by_label("System prompt")
    prompt.fill("You help {{ shop")
    page.get_by_role("button", name="Save settings").click()
    expect(prompt).to_have_attribute("aria-invalid", "true")
    prompt.fill("You help {{ shop }}.")
    expect(page.get_by_text('"shop": …')).to_be_visible()
    page.get_by_label("Max tokens").fill("40")
    page.get_by_role("combobox", name="Answers are").click()
    page.get_by_role("option", name="JSON of a schema").click()
    page.get_by_role("button", name="Classification").click()
    expect(page.get_by_text("Enforced: every answer matches")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("The settings are saved")).to_be_visible()
    deployments = {deployment.project: deployment for deployment in client.models.get(MODEL).deployments}
    settings = deployments[PROJECT].settings
    assert settings is not None
    assert (settings.system_prompt, settings.max_tokens) == ("You help {{ shop }}.", 40)
    assert settings.response_format is not None
    assert settings.response_format.type == "json_schema"
    page.reload()
    page.get_by_role("combobox", name="Answers are").click()
    page.get_by_role("option", name="What requests ask for").click()
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("The settings are saved")).to_be_visible()
    page.reload()
    expect(page.get_by_role("combobox", name="Answers are")).to_have_value("What requests ask for, else free text")
