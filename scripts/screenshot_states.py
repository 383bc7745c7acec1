"""Every page of the web application and its states, each with the way there."""

from __future__ import annotations

import base64

from playwright.sync_api import Page, expect
from screenshot_shop import ELSEWHERE, EMPTY, HOSTILE, LONG_KEY, LONG_NAME, SHOP
from screenshot_steps import State, asked, hindered, opened

from e2e.visitor import ask, composer, finished

RIGHT_TO_LEFT = "ما هي عاصمة فرنسا؟ Answer in English, بالعربية أيضا."


def sign_in_refused(page: Page) -> None:
    page.goto("/sign-in")
    page.get_by_label("API key", exact=True).fill("not-a-key-of-this-server")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()


def signed_out(page: Page) -> None:
    cookies = page.context.cookies()
    settings(page)
    page.get_by_label("Description").fill("What nobody wants to write twice.")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_role("dialog", name="Sign in again")).to_be_visible()
    page.context.add_cookies(cookies)  # type: ignore[arg-type]


def list_unread(page: Page) -> None:
    page.route("**/api/v1/roles", lambda route: route.fulfill(status=500, json={"error": refusal}))
    asked(tab("default", "keys"), "Create API key")(page)
    expect(page.get_by_role("alert")).to_be_visible()


def navigation(page: Page) -> None:
    """What stands beside each page, and before it where that is narrow."""
    opened(f"/projects/{SHOP}/models")(page)
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Navigation", exact=True).click()


def chat_waiting(page: Page) -> None:
    page.route("**/chat/completions", lambda _: None)
    chat_new(page)
    ask(page, "Name the capital of France.")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()


def fields_refused(page: Page) -> None:
    asked(opened(f"/projects/{SHOP}/ab-tests"), "Create A/B test")(page)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Key").fill("which model?/")
    dialog.get_by_label("Traffic").fill("-5")
    dialog.get_by_label("Scores before a decision").fill("1.5")
    dialog.get_by_role("combobox", name="Metric").click()
    page.get_by_role("option", name="Helpful").click()
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()


def chat_new(page: Page) -> None:
    settings = base64.urlsafe_b64encode(b'{"settings": [{"temperature": 0, "maxTokens": 120}]}').decode().rstrip("=")
    page.goto(f"/projects/default/chat?share={settings}")
    expect(composer(page)).to_be_visible()


def chat(page: Page) -> None:
    chat_new(page)
    ask(page, "Name the capital of France.")
    finished(page)
    ask(page, "Tell me one fact about it.")
    finished(page, 2)


def chat_markdown(page: Page) -> None:
    chat_new(page)
    ask(page, "Write a Python function that adds two numbers, in a code block.")
    finished(page)


def chat_json(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_role("button", name="Classification").click()
    page.keyboard.press("Escape")
    ask(page, "The room was clean and the breakfast was great.")
    finished(page)


def chat_compare(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Compare: add a column").click()
    page.get_by_role("button", name="Settings of this chat").last.click()
    page.get_by_label("System prompt").fill("You answer in one short sentence.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    ask(page, "What is photosynthesis?")
    finished(page, 2)


def chat_settings(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_role("button", name="Entity extraction").click()
    expect(page.get_by_text("Enforced: every answer matches")).to_be_visible()


def chat_schema(page: Page) -> None:
    chat_settings(page)
    page.get_by_text("Enforced: every answer matches").scroll_into_view_if_needed()


def chat_failed(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_label("System prompt").fill("word " * 12_000)
    page.keyboard.press("Escape")
    ask(page, "Hello.")
    expect(page.get_by_role("alert")).to_be_visible()


def chat_code(page: Page) -> None:
    chat_new(page)
    composer(page).fill("Name the capital of France.")
    page.get_by_role("button", name="View as code").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def commands(page: Page) -> None:
    chat_new(page)
    page.keyboard.press("Control+k")
    expect(page.get_by_placeholder("Type a command")).to_be_visible()


def projects_menu(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="switch project").click()
    expect(page.get_by_role("menuitem", name=LONG_NAME)).to_be_visible()


def long_names(page: Page) -> None:
    page.goto(f"/projects/{LONG_KEY}/models")
    expect(page.get_by_role("heading", name="No model in this project")).to_be_visible()


def chat_right_to_left(page: Page) -> None:
    chat_new(page)
    ask(page, RIGHT_TO_LEFT)
    finished(page)


def server_gone(page: Page) -> None:
    chat_new(page)
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    page.unroute("**/api/**")


def server_busy(page: Page) -> None:
    answer = {
        "error": {"message": "The model is busy. Try again in 5 s.", "type": "server_error", "code": "overloaded"}
    }
    page.route("**/chat/completions", lambda route: route.fulfill(status=503, json=answer))
    chat_new(page)
    ask(page, "Hello.")
    expect(page.get_by_role("alert")).to_be_visible()
    page.unroute("**/chat/completions")


def not_found(page: Page) -> None:
    page.goto("/projects/nothing/chat")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()


def interactions(page: Page) -> None:
    page.goto("/projects/default/interactions")
    expect(page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button").first).to_be_visible()


def interaction(page: Page) -> None:
    interactions(page)
    page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button").nth(1).click()
    expect(page.get_by_role("tab", name="Messages")).to_be_visible()


def interaction_of_shop(page: Page) -> None:
    opened(f"/projects/{SHOP}/interactions?score=%5B%22helpful%22%5D")(page)
    page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button").first.click()
    expect(page.get_by_role("tab", name="Messages")).to_be_visible()


def interaction_hostile(page: Page) -> None:
    opened(f"/projects/{HOSTILE}/interactions")(page)
    page.get_by_role("table", name="Interactions").locator("tbody").get_by_role("button").first.click()
    page.get_by_role("tab", name="Scores and labels").click()
    expect(page.get_by_role("region", name="Outcomes of the session")).to_be_visible()


def interactions_filtered(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/interactions?label=%5B%22app%3Dweb-shop%22%5D&score=%5B%22helpful%22%5D&since=7d")
    expect(page.get_by_role("status").filter(has_text="of")).to_be_visible()
    page.get_by_role("button", name="More filters").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def metrics(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/metrics?span=7d")
    expect(page.locator("svg.recharts-surface")).to_have_count(6)


def metrics_latency(page: Page) -> None:
    metrics(page)
    page.get_by_role("region", name="Latency by model").scroll_into_view_if_needed()


def metrics_by_model(page: Page) -> None:
    metrics(page)
    page.get_by_role("combobox", name="Metric", exact=True).click()
    page.get_by_role("option", name="Helpful").click()
    page.get_by_role("region", name="All metrics").scroll_into_view_if_needed()


def ab_tests(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/ab-tests")
    expect(page.get_by_role("region", name="A/B tests")).to_be_visible()


def ab_test(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/ab-tests/which-model")
    expect(page.locator("svg.recharts-surface")).to_be_visible()


def model_external(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/models/{ELSEWHERE}")
    expect(page.get_by_role("heading", name="At its provider, for all projects")).to_be_visible()


def models(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/models")
    expect(page.get_by_role("region", name="Models of this project")).to_be_visible()


def model(page: Page) -> None:
    models(page)
    page.get_by_role("region", name="Models of this project").get_by_role("link").first.click()
    page.get_by_role("combobox", name="Answers are").click()
    page.get_by_role("option", name="JSON of a schema").click()
    page.get_by_role("button", name="Classification").click()
    expect(page.get_by_text("Enforced: every answer matches")).to_be_visible()


def tab(project: str, name: str) -> State:
    return opened(f"/projects/{project}/settings?tab={name}")


sign_in = opened("/sign-in", "Sign in")
settings = opened("/projects/default/settings")
interactions_empty = opened(f"/projects/{EMPTY}/interactions")
interactions_many = opened(f"/projects/{SHOP}/interactions?size=1000")
graders = tab(SHOP, "graders")
refusal = {"message": "The database is not reachable; try again in a minute.", "type": "server_error", "code": "store"}

STATES: dict[str, State] = {
    "sign_in": sign_in,
    "sign_in_refused": sign_in_refused,
    "signed_out": signed_out,
    "navigation": navigation,
    "chat_new": chat_new,
    "chat_empty": opened(f"/projects/{EMPTY}/chat", "No model"),
    "chat": chat,
    "chat_waiting": chat_waiting,
    "chat_markdown": chat_markdown,
    "chat_json": chat_json,
    "chat_compare": chat_compare,
    "chat_settings": chat_settings,
    "chat_schema": chat_schema,
    "chat_code": chat_code,
    "chat_failed": chat_failed,
    "chat_right_to_left": chat_right_to_left,
    "commands": commands,
    "new_key": asked(chat_new, "switch project", "Generate new API key"),
    "list_unread": list_unread,
    "new_project": asked(chat_new, "switch project", "Create project"),
    "projects_menu": projects_menu,
    "long_names": long_names,
    "server_busy": server_busy,
    "server_gone": server_gone,
    "not_found": not_found,
    "interactions": interactions,
    "interactions_many": interactions_many,
    "interactions_empty": interactions_empty,
    "interactions_loading": hindered("Interactions"),
    "interactions_failed": hindered("Interactions", status=500, json={"error": refusal}),
    "interactions_nothing_found": opened(f"/projects/{SHOP}/interactions?user=nobody"),
    "interactions_hostile": opened(f"/projects/{HOSTILE}/interactions"),
    "interactions_by_prompt": opened("/projects/default/interactions?group=prompt"),
    "interactions_by_model": opened(f"/projects/{SHOP}/interactions?group=model"),
    "interactions_filtered": interactions_filtered,
    "interactions_export": asked(interactions, "Actions", "Export"),
    "interactions_delete": asked(interactions, "Actions", "Delete"),
    "interaction": interaction,
    "interaction_log": asked(interactions, "Actions", "Log an interaction"),
    "interaction_scores": asked(interaction_of_shop, "Scores and labels"),
    "interaction_details": asked(interaction, "Details"),
    "interaction_raw": asked(interaction, "Raw"),
    "interaction_hostile": interaction_hostile,
    "metrics": metrics,
    "metrics_latency": metrics_latency,
    "metrics_by_model": metrics_by_model,
    "metrics_empty": opened(f"/projects/{EMPTY}/metrics", "No traffic in this time"),
    "metrics_hostile": opened(f"/projects/{HOSTILE}/metrics"),
    "metric_create": asked(opened(f"/projects/{EMPTY}/metrics"), "Create metric"),
    "ab_tests": ab_tests,
    "ab_tests_empty": opened(f"/projects/{EMPTY}/ab-tests", "No A/B test yet"),
    "ab_test": ab_test,
    "ab_test_create": asked(ab_tests, "Create A/B test"),
    "fields_refused": fields_refused,
    "models": models,
    "models_empty": opened(f"/projects/{EMPTY}/models", "No model in this project"),
    "models_attach": asked(models, "Attach a model"),
    "models_import": asked(models, "Import a model"),
    "model_external_add": asked(models, "Add an external model"),
    "model": model,
    "model_external": model_external,
    "settings": settings,
    "settings_archive": asked(settings, "Archive this project"),
    "settings_keys": tab("default", "keys"),
    "settings_key_revoke": asked(tab("default", "keys"), "Revoke"),
    "settings_graders": graders,
    "settings_graders_empty": tab(EMPTY, "graders"),
    "settings_grader_create": asked(graders, "Create grader"),
    "settings_grader_run": asked(graders, "Actions for polite", "Judge stored interactions"),
    "settings_shares": tab(SHOP, "shares"),
    "settings_users": tab("default", "users"),
    "settings_user_create": asked(tab("default", "users"), "Create user"),
    "settings_user_key": asked(tab("default", "users"), "New API key of Ada Lovelace"),
    "settings_user_teams": asked(tab("default", "users"), "Change the teams of Ada Lovelace"),
    "settings_teams": tab("default", "teams"),
    "settings_roles": tab("default", "roles"),
    "settings_role_create": asked(tab("default", "roles"), "Create role"),
}
"""By the names of their files."""
