"""What a person does in the browser, and what the browser noticed meanwhile."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, Route, expect


class Visitor:
    """One page, and a record of what it should not do."""

    def __init__(self, context: BrowserContext) -> None:
        self.hosts: set[str] = set()
        self.dialogs: list[str] = []
        self.errors: list[str] = []
        self.page = context.new_page()
        self.page.on("request", self._on_request)
        self.page.on("dialog", self._on_dialog)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._on_console)

    def behaved(self) -> None:
        """No script failed, nothing asked another host, no policy was violated."""
        assert self.errors == []
        assert self.dialogs == []
        assert len(self.hosts) <= 1, self.hosts

    def _on_request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"}:
            self.hosts.add(url.netloc)

    def _on_dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium itself reports each response with an error's status.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)


def sign_in(page: Page, key: str) -> None:
    page.goto("/")
    page.get_by_label("API key", exact=True).fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(composer(page)).to_be_visible()


def composer(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)


def ask(page: Page, text: str) -> None:
    composer(page).fill(text)
    composer(page).press("Enter")


def answers(page: Page) -> Locator:
    return page.get_by_role("article", name="Answer")


def finished(page: Page, count: int = 1) -> Locator:
    """So many answers, all of them at their end; the last one."""
    expect(answers(page)).to_have_count(count)
    expect(page.locator("article[aria-busy=true]")).to_have_count(0, timeout=60_000)
    return answers(page).last


def script_model(page: Page, text: str, finish_reason: str = "stop", reasoning: str = "") -> list[dict[str, object]]:
    """Let every question be answered with `text`, after such thoughts; the requests, as they come."""
    requests: list[dict[str, object]] = []

    def answer(route: Route) -> None:
        requests.append(json.loads(route.request.post_data or "{}"))
        head = {"id": "chatcmpl-1", "created": 0, "session_id": requests[-1]["session_id"]}
        choice = {"index": 0, "completion_id": "01a2034c-7d1b-7e30-8000-3a3211272d00", "model": "scripted"}
        delta = {"id": "msg-1", "role": "assistant", "content": text}
        if reasoning:
            delta["reasoning_content"] = reasoning
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        events = [
            {**head, "choices": [{**choice, "delta": delta, "finish_reason": finish_reason}], "usage": None},
            {**head, "choices": [], "usage": usage},
        ]
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        route.fulfill(status=200, content_type="text/event-stream", body=body)

    page.route("**/api/v1/chat/completions", answer)
    return requests
