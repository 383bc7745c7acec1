"""The page Chat, with answers of the real model."""

from __future__ import annotations

import base64
import json

import httpx2
import pytest
from playwright.sync_api import Page, expect

from adaptive_engine.sdk import Adaptive
from e2e.visitor import answers, ask, composer, finished
from integration.server import MODEL, Server

pytestmark = pytest.mark.unopened


def open_chat(page: Page, settings: str) -> None:
    shared = base64.urlsafe_b64encode(f'{{"settings": [{settings}]}}'.encode()).decode().rstrip("=")
    page.goto(f"/projects/default/chat?share={shared}")
    expect(composer(page)).to_be_visible()


@pytest.fixture
def page(page: Page) -> Page:
    """With settings that keep answers short, and the same in every run."""
    open_chat(page, '{"temperature": 0, "maxTokens": 32}')
    return page


def test_s102_a_question_is_answered_with_its_figures(page: Page, server: Server) -> None:
    page.get_by_role("combobox", name="Model").click()
    page.get_by_role("option", name=MODEL, exact=True).click()
    ask(page, "Name the capital of France.")
    answer = finished(page)
    expect(answer).to_contain_text("Paris")
    for figure in (MODEL, "tokens", "prompt ", "first token", "tokens/s"):
        expect(answer).to_contain_text(figure)

    ask(page, "And of Italy?")
    expect(finished(page, 2)).to_contain_text("cached")
    first, second = _interactions(server, "And of Italy?", "Name the capital of France.")
    assert first["session_id"] == second["session_id"]
    assert len(first["messages"]) == 3


def test_a_running_answer_is_stopped_and_what_came_of_it_stays(page: Page) -> None:
    open_chat(page, '{"temperature": 0}')
    ask(page, "Write a long story about the sea, with many chapters.")
    expect(answers(page).first).to_contain_text("sea", timeout=60_000)
    page.keyboard.press("Escape")
    answer = finished(page)
    expect(answer).to_contain_text("stopped")
    expect(answer).to_contain_text("sea")
    expect(page.get_by_role("button", name="Send")).to_be_visible()


def test_a_page_that_is_reloaded_in_mid_answer_keeps_the_chat(page: Page) -> None:
    open_chat(page, '{"temperature": 0}')
    ask(page, "Write a long story about a mountain, with many chapters.")
    expect(answers(page).first).to_contain_text("mountain", timeout=60_000)
    page.reload()
    expect(answers(page).first).to_contain_text("The page was closed while this came")
    expect(page.get_by_label("Messages")).to_contain_text("Write a long story about a mountain")
    expect(page.get_by_role("navigation", name="Chats")).to_contain_text("Write a long story about a mountain")


def test_edits_and_repeats_are_branches(page: Page, server: Server) -> None:
    ask(page, "Say the word apple.")
    finished(page)
    page.get_by_role("button", name="Regenerate").click()
    answer = finished(page)
    expect(answer).to_contain_text("2 / 2")
    answer.get_by_role("button", name="Previous version").click()
    expect(answers(page).first).to_contain_text("1 / 2")

    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Edit message").fill("Say the word cherry.")
    page.get_by_role("button", name="Send as a branch").click()
    finished(page)
    expect(page.get_by_label("Messages")).not_to_contain_text("apple.")
    (row,) = _interactions(server, "Say the word cherry.")
    assert len(row["messages"]) == 1
    page.get_by_role("button", name="Previous version").click()
    expect(page.get_by_label("Messages")).to_contain_text("Say the word apple.")
    assert len(_interactions(server, "Say the word apple.")) == 2


def test_s105_a_preset_is_checked_and_obeyed(page: Page) -> None:
    page.get_by_role("button", name="Settings of this chat").click()
    for preset in ("Classification", "Entity extraction", "Simple object"):
        page.get_by_role("button", name=preset).click()
        expect(page.get_by_role("status").filter(has_text="Enforced: every answer matches")).to_be_visible()
    schema = page.get_by_label("JSON schema")
    schema.fill('{"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}}')
    expect(page.get_by_role("status").filter(has_text="Partly enforced")).to_be_visible()
    schema.fill('{"type": "object", "properties": {"a": {"$ref": "#/nowhere"}}}')
    expect(page.get_by_role("status").filter(has_text="Refused")).to_contain_text("/properties/a")
    schema.fill('{"type": "obj')
    expect(page.get_by_text("This is no schema yet")).to_be_visible()

    page.get_by_role("button", name="Classification").click()
    page.keyboard.press("Escape")
    ask(page, "I love this place.")
    given = json.loads(finished(page).locator("pre").inner_text())
    assert given["label"] in {"positive", "neutral", "negative"}


def test_two_columns_get_the_same_message(page: Page, server: Server) -> None:
    page.get_by_role("button", name="Compare: add a column").click()
    page.get_by_role("button", name="Settings of this chat").last.click()
    page.get_by_label("System prompt").fill("You only answer in French.")
    labels = page.get_by_role("combobox", name="Labels")
    labels.fill("second")
    labels.press("Enter")
    expect(page.get_by_text("“second” is no label yet: write key=value")).to_be_visible()
    labels.fill("column=second")
    labels.press("Enter")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(composer(page)).to_have_attribute("placeholder", "Message to both columns")
    ask(page, "Name one colour of the rainbow.")
    finished(page, 2)
    rows = _interactions(server, "Name one colour of the rainbow.")
    assert len({row["session_id"] for row in rows}) == 2
    assert sorted(len(row["messages"]) for row in rows) == [1, 2]
    assert {"column": "second"} in [row["labels"] for row in rows]
    page.get_by_role("button", name="Remove this column").first.click()
    finished(page, 1)


def test_the_better_of_two_answers_is_a_preference(page: Page, server: Server) -> None:
    with Adaptive(server.url, server.api_key, "default") as client:
        if not any(metric.key == "better" for metric in client.feedback.list_keys()):
            client.feedback.register_key("better", kind="bool")
        client.projects.update("default", settings={"default_metric": "better"})
    page.reload()
    page.get_by_role("button", name="Compare: add a column").click()
    ask(page, "Name one animal of the sea.")
    finished(page, 2)
    better = answers(page).first.get_by_role("button", name="Better than the other")
    better.click()
    expect(better).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_text("Stored as a preference on better")).to_be_visible()
    found = httpx2.post(
        f"{server.api}/interactions/search",
        headers=server.headers,
        json={"project": "default", "filter": {"comparisons": {"metric": "better"}}},
    ).json()["data"]
    assert [row["messages"][-1]["content"] for row in found] == ["Name one animal of the sea."] * 2
    with Adaptive(server.url, server.api_key, "default") as client:
        client.projects.update("default", settings={"default_metric": None})
        client.feedback.delete_key("better")


def test_a_thumb_is_a_score_of_the_interaction(page: Page, server: Server) -> None:
    ask(page, "Say the word plum.")
    answer = finished(page)
    answer.get_by_role("button", name="Rate", exact=True).click()
    page.get_by_role("button", name="Create the metric").click()
    up = answer.get_by_role("button", name="Helpful: yes")
    up.click()
    expect(up).to_have_attribute("aria-pressed", "true")
    (row,) = _interactions(server, "Say the word plum.")
    assert [(score["metric"], score["value"]) for score in row["scores"]] == [("helpful", 1)]


def _interactions(server: Server, *prompts: str) -> list[dict]:  # type: ignore[type-arg]
    """Those whose last message is one of these, newest first."""
    found = httpx2.get(f"{server.api}/interactions", params={"project": "default"}, headers=server.headers).json()
    return [row for row in found["data"] if row["messages"][-1]["content"] in prompts]
