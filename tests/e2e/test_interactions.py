"""The page Interactions: found, looked at, changed, taken along, deleted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect

from adaptive_engine.sdk import Adaptive
from e2e.test_pages import violations
from e2e.visitor import composer, script_model
from integration.server import Server

pytestmark = pytest.mark.unopened

PROJECT = "logbook"
HOSTILE = "<img src=x onerror=\"alert('run')\"> [link](javascript:alert(1)) ![](http://example.com/a.png)"


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    """A project with 120 interactions that a program logged, one of them hostile."""
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": PROJECT, "name": "Logbook"})
    with Adaptive(server.url, server.api_key, PROJECT) as client:
        client.feedback.register_key("helpful", "bool")
        for number in range(119):
            client.interactions.create(
                [{"role": "user", "content": f"Question {number}"}],
                f"Answer {number}",
                labels={"env": "test" if number % 10 == 0 else "production"},
            )
        client.interactions.create(
            [{"role": "user", "content": HOSTILE}],
            HOSTILE,
            labels={"<b>key</b>": HOSTILE},
            user="mallory",
        )
        yield client


@pytest.fixture
def listed(page: Page, client: Adaptive) -> Page:
    page.goto(f"/projects/{PROJECT}/interactions")
    expect(rows(page).first).to_be_visible()
    return page


def rows(page: Page) -> Locator:
    return page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button")


def status(page: Page) -> Locator:
    return page.get_by_role("status").filter(has_text="of")


def test_filters_are_in_the_address(listed: Page, axe: str) -> None:
    expect(status(listed)).to_have_text("100 of 120")
    assert violations(listed, axe) == []
    listed.get_by_label("Answer contains").fill("answer 11")
    listed.get_by_label("Answer contains").press("Enter")
    expect(status(listed)).to_have_text("10 of 10")
    listed.get_by_role("button", name="More filters").click()
    listed.get_by_role("combobox", name="Labels").fill("env=test")
    listed.get_by_role("combobox", name="Labels").press("Enter")
    assert violations(listed, axe) == []
    listed.get_by_role("button", name="Apply").click()
    expect(status(listed)).to_have_text("1 of 1")
    expect(rows(listed)).to_contain_text("Answer 110")
    address = listed.url
    listed.goto("/projects/default/chat")
    listed.goto(address)
    expect(rows(listed)).to_contain_text("Answer 110")
    listed.get_by_role("button", name="Remove the filter label").click()
    expect(status(listed)).to_have_text("10 of 10")
    listed.get_by_role("button", name="Clear all filters").click()
    expect(status(listed)).to_have_text("100 of 120")


def test_a_text_of_several_words_is_typed(listed: Page) -> None:
    listed.get_by_role("button", name="More filters").click()
    listed.get_by_label("Prompt contains").press_sequentially("question 118 ")
    listed.get_by_role("button", name="Apply").click()
    expect(status(listed)).to_have_text("1 of 1")
    expect(rows(listed)).to_contain_text("Answer 118")


def test_pages_lead_both_ways_and_only_rows_in_sight_are_there(listed: Page) -> None:
    assert rows(listed).count() < 60
    expect(rows(listed).first).to_contain_text("<img src=x")
    listed.get_by_role("button", name="Next page").click()
    expect(status(listed)).to_have_text("20 of 120")
    expect(rows(listed).first).to_contain_text("Question 19")
    listed.get_by_role("button", name="Previous page").click()
    expect(rows(listed).first).to_contain_text("<img src=x")
    rows(listed).first.focus()
    listed.keyboard.press("ArrowDown")
    expect(rows(listed).nth(1)).to_be_focused()
    listed.keyboard.press("Enter")
    expect(listed.get_by_role("dialog", name="Interaction")).to_contain_text("Answer 118")


def test_hostile_texts_are_texts(listed: Page, axe: str) -> None:
    listed.goto(f"/projects/{PROJECT}/interactions?user=mallory")
    rows(listed).first.click()
    drawer = listed.get_by_role("dialog", name="Interaction")
    expect(drawer.get_by_text("<img src=x").first).to_be_visible()
    expect(drawer.locator("img")).to_have_count(0)
    assert drawer.locator("a[href^='javascript']").count() == 0
    drawer.get_by_role("tab", name="Scores and labels").click()
    expect(drawer).to_contain_text("<b>key</b>")
    assert violations(listed, axe) == []


def test_an_interaction_is_labelled_and_scored(listed: Page, client: Adaptive) -> None:
    listed.get_by_label("Answer contains").fill("Answer 77")
    listed.get_by_label("Answer contains").press("Enter")
    expect(status(listed)).to_have_text("1 of 1")
    rows(listed).first.click()
    drawer = listed.get_by_role("dialog", name="Interaction")
    drawer.get_by_role("tab", name="Scores and labels").click()
    drawer.get_by_placeholder("app=playground").fill("reviewed=yes")
    drawer.get_by_placeholder("app=playground").press("Enter")
    drawer.get_by_role("button", name="Save labels").click()
    expect(listed.get_by_text("The labels are saved")).to_be_visible()
    drawer.get_by_role("combobox", name="Metric").first.click()
    listed.get_by_role("option", name="helpful").click()
    drawer.get_by_role("combobox", name="Value").click()
    listed.get_by_role("option", name="Yes").click()
    drawer.get_by_label("Why").fill("It helped.")
    drawer.get_by_role("button", name="Add score").click()
    expect(drawer.get_by_text("helpful: 1")).to_be_visible()
    [found] = client.interactions.list({"labels": [{"key": "reviewed", "value": ["yes"]}]}).data
    assert found.completion == "Answer 77"
    assert found.labels["env"] == "production"
    assert [(score.metric, score.value, score.details) for score in found.scores] == [("helpful", 1, "It helped.")]


def test_a_session_has_outcomes(listed: Page, client: Adaptive, axe: str) -> None:
    listed.get_by_label("Answer contains").fill("Answer 88")
    listed.get_by_label("Answer contains").press("Enter")
    expect(status(listed)).to_have_text("1 of 1")
    rows(listed).first.click()
    drawer = listed.get_by_role("dialog", name="Interaction")
    drawer.get_by_role("tab", name="Scores and labels").click()
    outcomes = drawer.get_by_role("region", name="Outcomes of the session")
    outcomes.get_by_role("combobox", name="Metric").click()
    listed.get_by_role("option", name="helpful").click()
    outcomes.get_by_role("button", name="Add outcome").click()
    expect(outcomes.get_by_role("combobox", name="Value")).to_have_attribute("aria-invalid", "true")
    outcomes.get_by_role("combobox", name="Value").click()
    listed.get_by_role("option", name="No").click()
    outcomes.get_by_role("button", name="Add outcome").click()
    expect(outcomes.get_by_text("helpful: 0")).to_be_visible()
    assert violations(listed, axe) == []
    [found] = client.interactions.list({"filter": {"completion": {"eq": "Answer 88"}}}).data
    assert [(one.metric, one.value) for one in client.feedback.list_outcomes(found.session_id)] == [("helpful", 0)]
    assert found.scores == []


def test_a_grader_is_tried_on_an_answer(listed: Page, client: Adaptive) -> None:
    client.models.add_external("Judge", "judge", provider="fake", key="logbook-judge")
    client.models.attach("logbook-judge", wait=True)
    client.graders.create("polite", "The answer is polite.", "logbook-judge", enabled=False)
    rows(listed).nth(3).click()
    drawer = listed.get_by_role("dialog", name="Interaction")
    drawer.get_by_role("tab", name="Scores and labels").click()
    drawer.get_by_role("combobox", name="Try a grader").click()
    listed.get_by_role("option", name="polite").click()
    drawer.get_by_role("button", name="Judge").click()
    judgement = client.graders.judge("polite", listed.url.rpartition("open=")[2])
    words = {"PASS": "Pass", "FAIL": "Fail", "NA": "Not applicable"}[judgement.verdict]
    expect(drawer.get_by_role("status").filter(has_text=words)).to_be_visible()
    expect(drawer.get_by_text("Nobody has scored this answer yet.")).to_be_visible()


def test_an_interaction_is_logged_by_hand(page: Page, server: Server, axe: str) -> None:
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": "diary"})
    page.goto("/projects/diary/interactions")
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Log an interaction").click()
    dialog = page.get_by_role("dialog", name="Log an interaction")
    dialog.get_by_role("button", name="Log").click()
    expect(dialog.get_by_role("textbox", name="Prompt", exact=True)).to_be_focused()
    dialog.get_by_label("System prompt").fill("Be short.")
    dialog.get_by_role("textbox", name="Prompt", exact=True).fill("Where is my parcel?")
    dialog.get_by_role("textbox", name="Answer", exact=True).fill("On its way.")
    dialog.get_by_label("User").fill("ada")
    dialog.get_by_placeholder("app=playground").fill("app=shop")
    dialog.get_by_placeholder("app=playground").press("Enter")
    dialog.get_by_label("Session id").fill("not-an-id")
    dialog.get_by_role("button", name="Log").click()
    expect(dialog.get_by_label("Session id")).to_have_attribute("aria-invalid", "true")
    expect(dialog.get_by_label("Session id")).to_be_focused()
    assert violations(page, axe) == []
    dialog.get_by_label("Session id").fill("")
    dialog.get_by_role("button", name="Log").click()
    expect(page.get_by_role("dialog", name="Interaction", exact=True)).to_contain_text("On its way.")
    with Adaptive(server.url, server.api_key, "diary") as client:
        [found] = client.interactions.list().data
    assert [message["role"] for message in found.messages] == ["system", "user"]
    assert (found.completion, found.user, found.labels, found.source) == (
        "On its way.",
        "ada",
        {"app": "shop"},
        "OFFLINE",
    )


def test_a_replay_goes_on_with_the_conversation(listed: Page) -> None:
    rows(listed).nth(2).click()
    listed.get_by_role("button", name="Replay in chat").click()
    expect(composer(listed)).to_be_visible()
    expect(listed.get_by_role("article", name="Answer")).to_have_count(1)
    requests = script_model(listed, "And more.")
    composer(listed).fill("Go on.")
    composer(listed).press("Enter")
    expect(listed.get_by_text("And more.")).to_be_visible()
    messages: Any = requests[0]["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]


def test_groups_lead_to_their_interactions(listed: Page, axe: str) -> None:
    listed.get_by_text("By prompt", exact=True).click()
    table = listed.get_by_role("region", name="Interactions by prompt")
    expect(table.locator("tbody tr")).to_have_count(50)
    assert violations(listed, axe) == []
    table.get_by_role("button", name="Question", exact=False).first.click()
    expect(status(listed)).to_have_text("1 of 1")


def test_a_selection_is_exported(listed: Page) -> None:
    for index in range(2):
        listed.get_by_role("checkbox", name="Select: Question").nth(index).check()
    listed.get_by_role("button", name="Actions: 2 selected").click()
    listed.get_by_role("menuitem", name="Export").click()
    with listed.expect_download() as download:
        listed.get_by_role("dialog").get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == f"{PROJECT}-interactions.jsonl"
    lines = Path(download.value.path()).read_text().splitlines()
    assert [json.loads(line)["completion"] for line in lines] == ["Answer 117", "Answer 118"]


def test_a_selection_ends_with_the_rows_it_is_of(listed: Page) -> None:
    listed.get_by_role("checkbox", name="Select: Question").first.check()
    rows(listed).nth(2).click()
    expect(listed.get_by_role("button", name="Actions: 1 selected")).to_be_visible()
    listed.get_by_role("button", name="This session").click()
    expect(status(listed)).to_have_text("1 of 1")
    expect(listed.get_by_role("button", name="Actions: all that match")).to_be_visible()


def test_what_is_chosen_is_deleted_after_a_question(listed: Page, client: Adaptive) -> None:
    listed.get_by_label("Answer contains").fill("Answer 55")
    listed.get_by_label("Answer contains").press("Enter")
    expect(status(listed)).to_have_text("1 of 1")
    listed.get_by_role("checkbox", name="Select all rows").check()
    listed.get_by_role("button", name="Actions: 1 selected").click()
    listed.get_by_role("menuitem", name="Delete").click()
    listed.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(listed.get_by_role("heading", name="Nothing matches")).to_be_visible()
    assert client.interactions.list({"filter": {"completion": {"eq": "Answer 55"}}}).data == []


def test_a_project_without_interactions_says_how_to_begin(page: Page, server: Server) -> None:
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": "blank"})
    page.goto("/projects/blank/interactions")
    expect(page.get_by_role("heading", name="Nothing was asked yet")).to_be_visible()
    expect(page.get_by_text("/api/v1/chat/completions")).to_be_visible()


def test_what_an_address_has_that_means_nothing_is_left_out(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/interactions?state=bogus&source=%7B%7D&warnings=maybe&size=7&group=x&label=%5B%5D")
    expect(status(page)).to_have_text(re.compile(r"^100 of 1\d\d$"))


def test_a_refused_filter_is_told_with_the_request(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/interactions?session=not-an-id")
    expect(page.get_by_role("alert")).to_contain_text("session_id")
    expect(page.get_by_role("alert")).to_contain_text("req-")
