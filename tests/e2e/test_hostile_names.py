"""Whatever people call things, and whatever a server says of them, is text on every page."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from playwright.sync_api import Page, expect

from e2e.visitor import answers, ask
from integration.server import Server

PROJECT = "mallory"
KEY = "'\"><svg onload=alert(1)> {{7*7}}"
NAME = (
    '<img src=x onerror="alert(2)"><script>alert(3)</script> [run](javascript:alert(4)) ![](https://evil.example/a.png)'
    " $\\href{javascript:alert(5)}{x}$ \u202egnp.exe\u202c \x1b[31mred"
)
PLACES = ["chat", "interactions", "metrics", "ab-tests", "models", f"models/{quote(KEY, safe='')}", "settings"]


@pytest.fixture(scope="module")
def project(server: Server) -> str:
    """Where its pages begin. Everything in it has such a name."""
    with httpx2.Client(base_url=server.api, headers=server.headers) as http:

        def make(path: str, **fields: Any) -> None:
            answer = http.post(path, json=fields)
            assert answer.status_code < 300, answer.text

        make("/projects", key=PROJECT, name=NAME, description=NAME)
        make("/metrics", project=PROJECT, key=KEY, name=NAME, description=NAME, unit=NAME)
        model = {"name": NAME, "key": KEY, "provider": "openai", "external_model_id": "<b>m</b>", "api_key": "sk-test"}
        make("/admin/models/external", **model)
        make(f"/projects/{PROJECT}/models", model=KEY, make_default=True)
        make("/users", name=NAME, email="<b>mallory@example.com")
        make("/teams", key="mallory", name=NAME)
        make("/keys", name=NAME, role="read-only", project=PROJECT)
        question = [{"role": "user", "content": NAME}]
        scores = [{"metric": KEY, "value": 1, "reason": NAME, "details": NAME}]
        labels = {NAME[:100]: NAME}
        told = {"messages": question, "completion": NAME, "user": NAME}
        make("/interactions", project=PROJECT, labels=labels, feedbacks=scores, **told)
    return f"/projects/{PROJECT}"


@pytest.mark.unopened
@pytest.mark.parametrize("place", PLACES)
def test_names_are_text_on_every_page(page: Page, project: str, place: str) -> None:
    page.goto(f"{project}/{place}")
    expect(page.get_by_role("main")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert KEY in page.locator("body").inner_text() or "<img src=x" in page.locator("body").inner_text()
    assert page.locator("img[src='x'], img[src^='http'], svg[onload], iframe, a[href^='javascript']").count() == 0
    assert "49" not in page.title()


def test_what_a_server_says_went_wrong_is_text(page: Page) -> None:
    refusal = {"error": {"message": NAME, "type": NAME, "param": NAME, "code": NAME}}
    page.route("**/api/v1/chat/completions", lambda route: route.fulfill(status=400, json=refusal))
    ask(page, "Hello.")
    alert = answers(page).get_by_role("alert")
    expect(alert).to_contain_text("<img src=x")
    assert alert.locator("img, script, a[href^='javascript']").count() == 0
