from __future__ import annotations

from playwright.sync_api import Page, expect

from e2e.visitor import ask, finished


def test_s102_a_question_is_answered_with_its_figures(page: Page) -> None:
    ask(page, "What is the capital of France? Answer in one sentence.")
    answer = finished(page)
    expect(answer).to_contain_text("Paris")
    expect(answer).to_contain_text("smollm2-135m-instruct")
    expect(answer).to_contain_text("tokens/s")
    expect(answer).to_contain_text("first token")
