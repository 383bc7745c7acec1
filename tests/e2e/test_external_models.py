"""Models that live elsewhere, and those that vLLM runs: registered, shown as what they are, changed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Page, expect

from adaptive_engine.sdk import Adaptive
from e2e.arms import register_vllm_model
from e2e.test_pages import violations
from e2e.visitor import ask, finished
from integration.server import Server

pytestmark = pytest.mark.unopened

PROJECT = "elsewhere"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": PROJECT, "name": "Elsewhere"})
    with Adaptive(server.url, server.api_key, PROJECT) as client:
        yield client


def test_an_external_model_is_added_answers_and_is_changed(page: Page, client: Adaptive, axe: str) -> None:
    page.goto(f"/projects/{PROJECT}/models")
    page.get_by_role("button", name="Add an external model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Provider").click()
    page.get_by_role("option", name="Fake").click()
    dialog.get_by_role("textbox", name="Model").fill("parrot")
    dialog.get_by_role("textbox", name="Name").fill("Parrot")
    dialog.get_by_label("Prompt").fill("2.5")
    dialog.get_by_label("Extra parameters").fill("{")
    expect(dialog.get_by_text("This is not JSON")).to_be_visible()
    expect(dialog.get_by_role("button", name="Add")).to_be_disabled()
    assert violations(page, axe) == []
    dialog.get_by_label("Extra parameters").fill('{"a": 1}')
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_label("Completion")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Completion").fill("10")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_have_count(0)
    row = page.get_by_role("region", name="Models of this project").locator("tbody tr")
    expect(row).to_contain_text(["parrot"])
    expect(row).to_contain_text(["online"])
    expect(row).to_contain_text(["fake, without a network"])

    page.goto(f"/projects/{PROJECT}/chat")
    ask(page, "Hello.")
    finished(page)

    page.goto(f"/projects/{PROJECT}/models/parrot")
    expect(page.get_by_text("2.5 of prompts, 10 of completions")).to_be_visible()
    expect(page.get_by_text("KV cache")).to_have_count(0)
    assert violations(page, axe) == []
    page.get_by_role("button", name="Change", exact=True).click()
    dialog.get_by_label("Completion").fill("12")
    dialog.get_by_label("Context").fill("1000")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("12 of completions")).to_be_visible()
    changed = client.models.get("parrot")
    assert changed.external is not None
    assert changed.external.prices is not None
    assert changed.external.extra_params == {"a": 1}
    assert changed.external.prices.completion == 12
    assert changed.context_length == 1000

    page.goto(f"/projects/{PROJECT}/metrics")
    expect(page.get_by_role("region", name="Tokens and costs")).to_contain_text("USD")


def test_what_a_provider_needs_is_told_at_its_field(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/models")
    page.get_by_role("button", name="Add an external model").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Provider").click()
    page.get_by_role("option", name=re.compile("Another with OpenAI")).click()
    dialog.get_by_role("textbox", name="Model").fill("llama")
    dialog.get_by_role("textbox", name="Name").fill("Llama")
    dialog.get_by_label("Endpoint").fill("http://169.254.169.254/v1")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.get_by_label("Endpoint")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Endpoint").fill("http://127.0.0.1:9/v1")
    secret = dialog.get_by_role("textbox", name="API key")
    secret.fill("not a key")
    dialog.get_by_role("button", name="Add").click()
    expect(secret).to_have_attribute("aria-invalid", "true")
    secret.fill("sk-secret-of-the-test")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog).to_have_count(0)

    # What is stored is not shown again, and goes to no other host.
    page.goto(f"/projects/{PROJECT}/models/llama")
    page.get_by_role("button", name="Change", exact=True).click()
    assert "sk-secret" not in page.content()
    dialog.get_by_label("Endpoint").fill("http://127.0.0.1:10/v1")
    dialog.get_by_role("button", name="Save").click()
    expect(secret).to_have_attribute("aria-invalid", "true")
    dialog.get_by_label("Remove the stored key").check()
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    changed = client.models.get("llama")
    assert changed.external is not None
    assert not changed.external.has_api_key


def test_fallbacks_are_models_of_the_project(page: Page, client: Adaptive) -> None:
    for key in ("first", "second", "third"):
        client.models.add_external(key.title(), key, provider="fake", key=key)
        client.models.attach(key, wait=True)
    page.goto(f"/projects/{PROJECT}/models/first")
    for key in ("third", "second"):
        page.get_by_role("combobox", name="Fallbacks").click()
        page.get_by_role("option", name=key).click()
    page.get_by_role("button", name="Save settings").click()
    expect(page.get_by_text("The settings are saved")).to_be_visible()
    deployment = client.models.get("first").deployment(PROJECT)
    assert deployment is not None
    assert deployment.settings is not None
    assert deployment.settings.fallbacks == ["third", "second"]


def test_a_model_of_vllm_is_shown_as_one(page: Page, server: Server, client: Adaptive) -> None:
    register_vllm_model(server, "qwen3-8b")
    client.models.add_to_project("qwen3-8b")
    page.goto(f"/projects/{PROJECT}/models/qwen3-8b")
    expect(page.get_by_text("vLLM, on this server")).to_be_visible()
    # vLLM finds the room for its cache itself.
    expect(page.get_by_label("KV cache")).to_have_count(0)
    longest = page.get_by_label("Longest conversation")
    longest.fill("50000")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(longest).to_have_attribute("aria-invalid", "true")
    longest.fill("20000")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved", exact=True)).to_be_visible()
    expect(longest).not_to_have_attribute("aria-invalid", "true")
    assert client.models.get("qwen3-8b").compute_config.max_seq_len == 20000
