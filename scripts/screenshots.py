"""Show every page of the web application: `python scripts/screenshots.py [NAME...]`, into docs/screenshots/all.

Each state is made once, in front of a real server with the default model, and shown in light and dark, wide and narrow.
"""

from __future__ import annotations

import base64
import math
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from adaptive_engine.registry import ensure_default_model  # noqa: E402
from adaptive_engine.sdk import Adaptive  # noqa: E402
from adaptive_engine.store import Database, projects  # noqa: E402
from adaptive_engine.store import interactions as store  # noqa: E402
from adaptive_engine.store.statistics import HOUR_MS  # noqa: E402
from adaptive_engine.types import Interaction, Usage, now_ms, uuid7  # noqa: E402
from e2e.arms import register_tiny_model  # noqa: E402
from e2e.visitor import ask, composer, finished  # noqa: E402
from integration.server import MODEL, Server, start  # noqa: E402

TARGET = ROOT / "docs" / "screenshots" / "all"
SHOP = "web-shop"
"""A project with a week behind it; `empty` has nothing."""
CHALLENGER = "challenger"
WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}


def sign_in_page(page: Page) -> None:
    page.goto("/sign-in")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def chat_new(page: Page) -> None:
    settings = base64.urlsafe_b64encode(b'{"settings": [{"temperature": 0, "maxTokens": 120}]}').decode().rstrip("=")
    page.goto(f"/projects/default/chat?share={settings}")
    expect(composer(page)).to_be_visible()


def chat(page: Page) -> None:
    chat_new(page)
    ask(page, "What is the capital of France?")
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
    ask(page, "Why is the sky blue?")
    finished(page, 2)


def chat_settings(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_role("button", name="Entity extraction").click()
    expect(page.get_by_text("Enforced: every answer matches")).to_be_visible()


def chat_schema(page: Page) -> None:
    chat_settings(page)
    page.get_by_text("Enforced: every answer matches").scroll_into_view_if_needed()


def chat_code(page: Page) -> None:
    chat_new(page)
    composer(page).fill("What is the capital of France?")
    page.get_by_role("button", name="View as code").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def chat_failed(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_label("System prompt").fill("word " * 12_000)
    page.keyboard.press("Escape")
    ask(page, "Hello.")
    expect(page.get_by_role("alert")).to_be_visible()


def commands(page: Page) -> None:
    chat_new(page)
    page.keyboard.press("Control+k")
    expect(page.get_by_placeholder("Type a command")).to_be_visible()


def new_key(page: Page) -> None:
    chat_new(page)
    page.get_by_role("button", name="switch project").click()
    page.get_by_role("menuitem", name="Generate new API key").click()
    expect(page.get_by_role("dialog")).to_be_visible()


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


def interactions_grouped(page: Page) -> None:
    page.goto("/projects/default/interactions?group=prompt")
    expect(page.get_by_role("region", name="Interactions by prompt")).to_be_visible()


def interaction_scores(page: Page) -> None:
    interaction(page)
    page.get_by_role("tab", name="Scores and labels").click()
    expect(page.get_by_role("combobox", name="Labels")).to_be_visible()


def interaction_facts(page: Page) -> None:
    interaction(page)
    page.get_by_role("tab", name="Parameters and timings").click()
    expect(page.get_by_text("Finish reason")).to_be_visible()


def interactions_by_model(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/interactions?group=model")
    expect(page.get_by_role("region", name="Interactions by model")).to_be_visible()


def interactions_filtered(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/interactions?label=%5B%22app%3Dweb-shop%22%5D&score=%5B%22helpful%22%5D&since=7d")
    expect(page.get_by_role("status").filter(has_text="of")).to_be_visible()
    page.get_by_role("button", name="More filters").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def interactions_export(page: Page) -> None:
    interactions(page)
    page.get_by_role("button", name="Actions").first.click()
    page.get_by_role("menuitem", name="Export").click()
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


def metrics_empty(page: Page) -> None:
    page.goto("/projects/empty/metrics")
    expect(page.get_by_role("heading", name="No traffic in this time")).to_be_visible()


def metric_create(page: Page) -> None:
    metrics_empty(page)
    page.get_by_role("button", name="Create metric").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def ab_tests_empty(page: Page) -> None:
    page.goto("/projects/empty/ab-tests")
    expect(page.get_by_role("heading", name="No A/B test yet")).to_be_visible()


def ab_tests(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/ab-tests")
    expect(page.get_by_role("region", name="A/B tests")).to_be_visible()


def ab_test(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/ab-tests/which-model")
    expect(page.locator("svg.recharts-surface")).to_be_visible()


def ab_test_create(page: Page) -> None:
    ab_tests(page)
    page.get_by_role("button", name="Create A/B test").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def models(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/models")
    expect(page.get_by_role("region", name="Models of this project")).to_be_visible()


def models_empty(page: Page) -> None:
    page.goto("/projects/empty/models")
    expect(page.get_by_role("heading", name="No model in this project")).to_be_visible()


def models_attach(page: Page) -> None:
    models(page)
    page.get_by_role("button", name="Attach a model").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def models_import(page: Page) -> None:
    models(page)
    page.get_by_role("button", name="Import a model").click()
    expect(page.get_by_role("dialog").get_by_role("combobox", name="Model")).to_be_visible()


def model(page: Page) -> None:
    models(page)
    page.get_by_role("region", name="Models of this project").get_by_role("link").first.click()
    page.get_by_role("combobox", name="Answers are").click()
    page.get_by_role("option", name="JSON of a schema").click()
    page.get_by_role("button", name="Classification").click()
    expect(page.get_by_text("Enforced: every answer matches")).to_be_visible()


def settings(page: Page) -> None:
    page.goto("/projects/default/settings")
    expect(page.get_by_label("Description")).to_be_visible()


def settings_keys(page: Page) -> None:
    page.goto("/projects/default/settings?tab=keys")
    expect(page.get_by_role("region", name="API keys")).to_be_visible()


def settings_graders(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/settings?tab=graders")
    expect(page.get_by_role("region", name="Graders")).to_be_visible()


def settings_grader_create(page: Page) -> None:
    settings_graders(page)
    page.get_by_role("button", name="Create grader").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def settings_shares(page: Page) -> None:
    page.goto(f"/projects/{SHOP}/settings?tab=shares")
    expect(page.get_by_role("combobox", name="Share with another team")).to_be_visible()


def settings_users(page: Page) -> None:
    page.goto("/projects/default/settings?tab=users")
    expect(page.get_by_role("region", name="Users")).to_be_visible()


def settings_user_create(page: Page) -> None:
    settings_users(page)
    page.get_by_role("button", name="Create user").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def settings_teams(page: Page) -> None:
    page.goto("/projects/default/settings?tab=teams")
    expect(page.get_by_label("Key of a new team")).to_be_visible()


def settings_roles(page: Page) -> None:
    page.goto("/projects/default/settings?tab=roles")
    expect(page.get_by_role("region", name="Roles")).to_be_visible()


def settings_role_create(page: Page) -> None:
    settings_roles(page)
    page.get_by_role("button", name="Create role").click()
    expect(page.get_by_role("dialog")).to_be_visible()


STATES: tuple[Callable[[Page], None], ...] = (
    sign_in_page,
    chat_new,
    chat,
    chat_markdown,
    chat_json,
    chat_compare,
    chat_settings,
    chat_schema,
    chat_code,
    chat_failed,
    commands,
    new_key,
    not_found,
    interactions,
    interaction,
    interactions_grouped,
    interaction_scores,
    interaction_facts,
    interactions_by_model,
    interactions_filtered,
    interactions_export,
    metrics,
    metrics_latency,
    metrics_by_model,
    metrics_empty,
    metric_create,
    ab_tests_empty,
    ab_tests,
    ab_test,
    ab_test_create,
    models,
    models_empty,
    models_attach,
    models_import,
    model,
    settings,
    settings_keys,
    settings_graders,
    settings_grader_create,
    settings_shares,
    settings_users,
    settings_user_create,
    settings_teams,
    settings_roles,
    settings_role_create,
)


_SETTLED = """async (scheme) => {
  if (document.documentElement.dataset.mantineColorScheme !== scheme) return false;
  await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {})));
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  return true;
}"""
"""The page has its colours, and what moves into place has moved."""


def furnish(server: Server) -> None:
    """A second model, and a project whose models answered for a week, some of it badly, some of it scored."""
    register_tiny_model(server, CHALLENGER)
    with Adaptive(server.url, server.api_key, SHOP) as client:
        client.projects.create("empty", name="Empty")
        client.projects.create(SHOP, name="Web shop")
        for key in (MODEL, CHALLENGER):
            client.models.attach(key, wait=True, make_default=key == MODEL)
        client.feedback.register_key("helpful", "bool", name="Helpful", description="Whether the customer was helped.")
        client.ab_tests.create("which-model", "helpful", [MODEL, CHALLENGER], traffic_split=0.5, min_scores=1000)
        client.graders.create("polite", "The answer is polite and names no other shop.", MODEL, enabled=False)
        client.teams.create("support")
        client.users.create("ada@example.com", "Ada Lovelace", [("support", "annotator")])
        _log_scores(client)
    with closing(Database.open(server.data_dir / "adaptive.db")) as database, database.write() as connection:
        project = projects.get_by_key(connection, SHOP)
        assert project is not None
        store.insert(connection, list(_past(project.id)))


def _log_scores(client: Adaptive) -> None:
    for number in range(60):
        client.interactions.create(
            [{"role": "user", "content": f"Where is my parcel no. {1000 + number}?"}],
            "It left our house yesterday and should be with you tomorrow.",
            model=(MODEL, CHALLENGER)[number % 2],
            ab_campaign="which-model",
            labels={"app": "web-shop", "language": ("en", "de")[number % 3 == 0]},
            feedbacks=[{"metric": "helpful", "value": number % 5 != number % 2}],
            created_at=datetime.now(UTC) - number * timedelta(hours=3),
        )


def _past(project_id: UUID) -> Iterator[Interaction]:
    """A week of answers: more by day than by night, slower when there are more."""
    chance = random.Random(1)
    begin = now_ms() - 7 * 24 * HOUR_MS
    for hour in range(7 * 24):
        busy = 2 + 10 * max(0.0, math.sin((hour % 24 - 6) / 12 * math.pi))
        for _ in range(int(busy * 2)):
            first = chance.lognormvariate(math.log(90 + 12 * busy), 0.5)
            model = MODEL if chance.random() < 0.7 else CHALLENGER
            prompt, completion = chance.randrange(40, 400), chance.randrange(5, 160)
            yield Interaction(
                *(uuid7(), project_id, uuid7(), [{"role": "user", "content": "What does shipping cost?"}]),
                chance.choices(("complete", "length", "error", "cancelled"), (94, 2, 2, 2))[0],
                "LIVE",
                begin + hour * HOUR_MS + chance.randrange(HOUR_MS),
                model_key=model,
                completion="Nothing within the country.",
                usage=Usage(prompt, completion, prompt // 2),
                timings={"queue_ms": 1.0, "ttft_ms": first, "total_ms": first + completion * 11},
            )


def show(page: Page, name: str) -> None:
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
        for width, (columns, rows) in WIDTHS.items():
            page.set_viewport_size({"width": columns, "height": rows})
            page.wait_for_function(_SETTLED, arg=scheme)
            page.screenshot(path=TARGET / f"{name}-{scheme}-{width}.png")
    page.set_viewport_size({"width": 1440, "height": 900})


def take(server: Server, names: list[str]) -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(base_url=server.url, viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.request.post("/api/v1/sign_in", headers=server.headers)
        for state in STATES:
            name = state.__name__.removesuffix("_page")
            if not names or name in names:
                state(page)
                show(page, name)
                print(name)
        browser.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as data_dir:
        ensure_default_model(Path(data_dir) / "models")
        server = start(Path(data_dir), env={"ADAPTIVE_IMPORT_DIR": data_dir})
        try:
            furnish(server)
            take(server, sys.argv[1:])
        finally:
            server.stop()


if __name__ == "__main__":
    main()
