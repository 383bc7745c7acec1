"""What a field does not take is told at the field, on every page that has any; one walk for each page."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Locator, Page, expect

from adaptive_engine.sdk import Adaptive
from integration.server import MODEL, Server

pytestmark = pytest.mark.unopened

PROJECT = "clumsy"
LONG = "x" * 10_000


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Adaptive]:
    """A project that has one of everything, so that a second one of that key is one too many."""
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": PROJECT, "name": "Clumsy"})
    with Adaptive(server.url, server.api_key, PROJECT) as client:
        client.feedback.register_key("taken", "scalar")
        client.models.add_external("Taken", "taken", provider="fake", key="taken-model")
        for model in (MODEL, "taken-model"):
            client.models.attach(model, wait=True)
        client.ab_tests.create("taken", "taken", [MODEL, "taken-model"])
        client.graders.create("judged", "Good.", "taken-model", enabled=False)
        client.teams.create("taken-team")
        client.roles.create("taken-role", ["project:read"])
        client.users.create("taken@example.com", "Taken")
        client.interactions.create([{"role": "user", "content": "Hello"}], "Hi.")
        yield client


def open_page(page: Page, path: str) -> None:
    page.goto(f"/projects/{PROJECT}/{path}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def open_dialog(page: Page, button: str) -> Locator:
    page.get_by_role("button", name=button).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


def missing(form: Locator, field: Locator, send: str) -> None:
    """Without it nothing is sent, and the browser shows where it belongs."""
    form.get_by_role("button", name=send, exact=True).click()
    expect(field).to_be_focused()
    assert field.evaluate("field => field.validity.valueMissing")


def refused(form: Locator, field: Locator, value: str, send: str, words: str) -> None:
    """The server does not take it: its words are those of the field, which has the keyboard."""
    field.fill(value)
    form.get_by_role("button", name=send, exact=True).click()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile(words, re.IGNORECASE))
    # No range that the page knows itself needs the server, and so it moves nobody.
    expect(form.get_by_role("alert")).to_have_count(0)


def choose(page: Page, field: Locator, option: str) -> None:
    field.click()
    page.get_by_role("option", name=option).first.click()


def test_around_the_pages(page: Page, client: Adaptive) -> None:
    open_page(page, "models")
    switch = page.get_by_role("button", name="switch project")
    switch.click()
    page.get_by_role("menuitem", name="Create project").click()
    form = page.get_by_role("dialog")
    name, key = form.get_by_label("Name"), form.get_by_label("Key")
    missing(form, name, "Create")
    refused(form, name, " ", "Create", "at least 1 character")
    refused(form, name, LONG, "Create", "at most 200 characters")
    name.fill("Clumsy too")
    refused(form, key, "a/b", "Create", "A-Z, a-z, 0-9")
    refused(form, key, LONG, "Create", "1 to 64")
    refused(form, key, PROJECT, "Create", "exists")
    key.fill("")
    refused(form, form.get_by_label("Description"), LONG + LONG, "Create", "at most")
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)

    switch.click()
    page.get_by_role("menuitem", name="Generate new API key").click()
    name = form.get_by_label("Name")
    missing(form, name, "Generate")
    refused(form, name, " ", "Generate", "at least 1 character")
    refused(form, name, LONG, "Generate", "at most")


def test_chat(page: Page, client: Adaptive) -> None:
    page.goto(f"/projects/{PROJECT}/chat")
    page.get_by_role("button", name="Settings of this chat").click()
    drawer = page.get_by_role("dialog")
    for label, value, words in (
        ("Temperature, number", "-1", "From 0 to 2"),
        ("Top p, number", "7", "From 0.01 to 1"),
        ("Max tokens", "0", "At least 1"),
        ("Seed", "-5", "From 0 to"),
    ):
        field = drawer.get_by_label(label)
        field.fill(value)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(drawer.get_by_text(words)).to_be_visible()
        field.fill("")
        expect(drawer.get_by_text(words)).to_have_count(0)
    labels = drawer.get_by_placeholder("app=playground")
    labels.fill("no pair")
    labels.press("Enter")
    expect(drawer.get_by_text("write key=value")).to_be_visible()
    drawer.get_by_role("button", name="Simple object").click()
    drawer.get_by_label("JSON schema").fill("{")
    expect(drawer.get_by_text("This is no schema yet")).to_be_visible()


def test_interactions(page: Page, client: Adaptive) -> None:
    open_page(page, "interactions")
    page.get_by_role("button", name="Actions").click()
    page.get_by_role("menuitem", name="Log an interaction").click()
    form = page.get_by_role("dialog")
    prompt, answer = (form.get_by_role("textbox", name=name, exact=True) for name in ("Prompt", "Answer"))
    missing(form, prompt, "Log")
    prompt.fill(LONG)
    missing(form, answer, "Log")
    answer.fill(LONG)
    refused(form, form.get_by_label("User"), LONG, "Log", "at most 256 characters")
    form.get_by_label("User").fill("")
    refused(form, form.get_by_label("Session id"), "-1", "Log", "UUID")
    form.get_by_label("Session id").fill("")
    form.get_by_role("button", name="Log", exact=True).click()

    # It is open now.
    drawer = page.get_by_role("dialog", name="Interaction", exact=True)
    drawer.get_by_role("tab", name="Scores and labels").click()
    metric = drawer.get_by_role("combobox", name="Metric").first
    drawer.get_by_role("button", name="Add score").click()
    expect(metric).to_have_accessible_description(re.compile("This field is required"))
    choose(page, metric, "taken")
    drawer.get_by_role("button", name="Add score").click()
    expect(drawer.get_by_label("Value").first).to_have_accessible_description(re.compile("This field is required"))
    drawer.get_by_label("Value").first.fill("-1")
    refused(drawer, drawer.get_by_label("Why"), LONG + "x", "Add score", "at most 10,?000 characters")


def test_metrics(page: Page, client: Adaptive) -> None:
    open_page(page, "metrics")
    form = open_dialog(page, "Create metric")
    key = form.get_by_label("Key")
    missing(form, key, "Create")
    refused(form, key, " ", "Create", "visible text")
    key.fill("taken")
    expect(key).to_have_accessible_description(re.compile("has a metric of this key"))
    expect(form.get_by_role("button", name="Create")).to_be_disabled()
    refused(form, key, LONG, "Create", "at most 128 characters")
    key.fill("fresh")
    for label in ("Name", "Description", "Unit"):
        field = form.get_by_label(label)
        refused(form, field, LONG + "x", "Create", "at most 10,?000 characters")
        field.fill("")


def test_ab_tests(page: Page, client: Adaptive) -> None:
    open_page(page, "ab-tests")
    form = open_dialog(page, "Create A/B test")
    key = form.get_by_label("Key")
    missing(form, key, "Begin")
    key.fill("taken")
    missing(form, form.get_by_role("combobox", name="Metric"), "Begin")
    choose(page, form.get_by_role("combobox", name="Metric"), "taken")
    refused(form, form.get_by_label("Traffic"), "250", "Begin", "From 0 to 100")
    refused(form, form.get_by_label("Traffic"), "0", "Begin", "above 0")
    form.get_by_label("Traffic").fill("50")
    refused(form, form.get_by_label("Scores before a decision"), "1.5", "Begin", "integer")
    refused(
        form, form.get_by_label("Scores before a decision"), "1", "Begin", "at least 10|greater than or equal to 10"
    )
    form.get_by_label("Scores before a decision").fill("30")
    refused(form, form.get_by_label("Risk"), "100", "Begin", "From 0 to 50")
    form.get_by_label("Risk").fill("5")
    refused(form, key, LONG, "Begin", "at most 128 characters")


def test_models(page: Page, client: Adaptive) -> None:
    open_page(page, "models")
    form = open_dialog(page, "Attach a model")
    model = form.get_by_role("combobox", name="Model")
    missing(form, model, "Attach")
    refused(form, model, "no-such-model", "Attach", "no model|not")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(form).to_have_count(0)

    form = open_dialog(page, "Add an external model")
    choose(page, form.get_by_role("combobox", name="Provider"), "Fake")
    missing(form, form.get_by_role("textbox", name="Model"), "Add")
    form.get_by_role("textbox", name="Model").fill("parrot")
    name, key = form.get_by_role("textbox", name="Name"), form.get_by_role("textbox", name="Key", exact=True)
    missing(form, name, "Add")
    refused(form, name, LONG, "Add", "at most")
    name.fill("Parrot")
    refused(form, key, "taken-model", "Add", "exists|already")
    key.fill("")
    prompt = form.get_by_label("Prompt")
    prompt.fill("-1")
    expect(prompt).to_have_accessible_description(re.compile("At least 0"))
    prompt.fill("")
    refused(form, form.get_by_label("Context"), "0", "Add", "greater than|at least")
    form.get_by_label("Context").fill("")
    for label in ("Extra parameters", "Profile"):
        field = form.get_by_label(label)
        field.fill("[1]")
        expect(field).to_have_accessible_description(re.compile("has to be a JSON object"))
        field.fill("{nothing}")
        expect(field).to_have_accessible_description(re.compile("This is not JSON"))
        field.fill("")
    page.keyboard.press("Escape")

    open_page(page, f"models/{MODEL}")
    main = page.get_by_role("main")
    for label, value, words in (
        ("Temperature", "-1", "From 0 to 2"),
        ("Top p", "2", "From 0 to 1"),
        ("Max tokens", "-3", "At least 1"),
        ("Limit of the first token", "0", "At least 1"),
        ("Seed", "99999999999999999999", "less than or equal|at most|integer"),
    ):
        refused(main, main.get_by_label(label), value, "Save settings", words)
        main.get_by_label(label).fill("")
    cache = main.get_by_label("KV cache")
    refused(main, cache, "-1", "Save", "At least 1")
    cache.fill("")


def test_settings(page: Page, client: Adaptive) -> None:
    open_page(page, "settings")
    main = page.get_by_role("main")
    name = main.get_by_label("Name")
    name.fill("")
    missing(main, name, "Save")
    refused(main, name, " ", "Save", "at least 1 character")
    refused(main, name, LONG, "Save", "at most 200 characters")
    name.fill("Clumsy")
    limit = main.get_by_label("Requests per minute")
    refused(main, limit, "-7", "Save", "At least 1")
    refused(main, limit, "1.5", "Save", "integer")
    limit.fill("")

    open_page(page, "settings?tab=graders")
    form = open_dialog(page, "Create grader")
    key = form.get_by_label("Key")
    missing(form, key, "Create")
    key.fill("taken")
    missing(form, form.get_by_label("Criteria"), "Create")
    form.get_by_label("Criteria").fill("Good.")
    missing(form, form.get_by_role("combobox", name="Judge"), "Create")
    choose(page, form.get_by_role("combobox", name="Judge"), "taken-model")
    refused(form, form.get_by_label("Share"), "-5", "Create", "From 0 to 100")
    form.get_by_label("Share").fill("100")
    refused(form, key, "judged", "Create", "exists")
    refused(form, key, LONG, "Create", "at most")
    key.fill("fresh")
    refused(form, form.get_by_label("Template"), "no placeholder", "Create", "completion")
    page.keyboard.press("Escape")

    open_page(page, "settings?tab=users")
    form = open_dialog(page, "Create user")
    name, mail = form.get_by_label("Name"), form.get_by_label("E-mail address")
    missing(form, name, "Create")
    name.fill("Ada")
    missing(form, mail, "Create")
    refused(form, mail, "taken@example.com", "Create", "taken|exists|already|has")
    mail.fill("ada@clumsy.example")
    refused(form, name, LONG, "Create", "at most")
    page.keyboard.press("Escape")

    open_page(page, "settings?tab=teams")
    key = main.get_by_label("Key of a new team")
    missing(main, key, "Create team")
    refused(main, key, "a team", "Create team", "letters, digits")
    refused(main, key, "taken-team", "Create team", "exists|already")
    refused(main, key, LONG, "Create team", "1 to 128")

    open_page(page, "settings?tab=roles")
    form = open_dialog(page, "Create role")
    key = form.get_by_label("Key")
    missing(form, key, "Save")
    refused(form, key, "taken-role", "Save", "exists|already")
    refused(form, key, LONG, "Save", "1 to 128")
