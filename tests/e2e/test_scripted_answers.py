"""The page Chat with answers that no model of the suite would give."""

from __future__ import annotations

import re
import struct
import zlib

import pytest
from playwright.sync_api import Page, Route, expect

from e2e.visitor import answers, ask, finished, script_model

HOSTILE = """<img src=x onerror="alert(1)"> <script>alert(2)</script> <svg onload=alert(3)></svg>
<iframe src="https://evil.example/frame"></iframe><style>@import url(https://evil.example/style)</style>

[run](javascript:alert(4)) [data](data:text/html,<script>alert(5)</script>) [file](file:///etc/passwd) [own](/sign-in)
[web](https://evil.example/page) [mail](mailto:a@example.com) <javascript:alert(6)>

![secret](https://evil.example/pixel.png?leak=1) ![inline](data:image/svg+xml,<svg/onload=alert(7)>)

```html" onmouseover="alert(8)
<b>bold</b>
```

\u202egnp.exe\u202c \x1b[31mred
"""


def test_thoughts_stand_folded_above_the_answer(page: Page) -> None:
    script_model(page, "It is 4.", reasoning="Two and two.")
    ask(page, "How much is 2 + 2?")
    answer = finished(page)
    expect(answer.get_by_text("It is 4.")).to_be_visible()
    expect(answer.get_by_text("Two and two.")).to_be_hidden()
    answer.get_by_text("Thoughts").click()
    expect(answer.get_by_text("Two and two.")).to_be_visible()


def test_hostile_markdown_runs_nothing_and_asks_nobody(page: Page) -> None:
    script_model(page, HOSTILE)
    ask(page, HOSTILE)
    answer = finished(page)
    expect(answer).to_contain_text('<img src=x onerror="alert(1)">')
    expect(answer.get_by_role("link")).to_have_count(3)
    assert page.get_by_label("Messages").locator("img, script, iframe, style, svg[onload]").count() == 0
    links = answer.get_by_role("link").evaluate_all("links => links.map(link => [link.getAttribute('href'), link.rel])")
    assert {href for href, _ in links} == {
        "https://evil.example/page",
        "mailto:a@example.com",
        "https://evil.example/pixel.png?leak=1",
    }
    assert all({"noopener", "noreferrer"} <= set(rel.split()) for _, rel in links)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 1_000_000,
        "|" + "a|" * 60 + "\n|" + "-|" * 60 + "\n" + ("|" + "b|" * 60 + "\n") * 100,
        "> " * 3_000 + "deep",
        "\n".join("  " * depth + "- item" for depth in range(300)),
        "[" * 8_000 + "**_" * 600,
    ],
    ids=["long line", "huge table", "nested quotes", "nested lists", "open brackets"],
)
def test_large_answers_leave_the_page_usable(page: Page, text: str) -> None:
    script_model(page, text)
    ask(page, "Go on.")
    finished(page)
    page.get_by_role("button", name="Settings of this chat").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_failures_are_told_with_the_request_and_can_be_tried_again(page: Page) -> None:
    page.route(
        "**/api/v1/chat/completions",
        lambda route: route.fulfill(
            status=503,
            headers={"x-request-id": "req-of-the-test"},
            json={"error": {"message": "The queue is full. Try again later.", "type": "server_error"}},
        ),
    )
    ask(page, "Hello.")
    alert = answers(page).get_by_role("alert")
    expect(alert).to_contain_text("The queue is full. Try again later.")
    expect(alert).to_contain_text("req-of-the-test")
    page.unroute("**/api/v1/chat/completions")
    script_model(page, "Hello too.")
    alert.get_by_role("button", name="Try again").click()
    expect(finished(page)).to_contain_text("Hello too.")


def test_a_stream_that_breaks_off_is_no_whole_answer(page: Page) -> None:
    def half(route: Route) -> None:
        choice = '{"index":0,"delta":{"content":"Half"},"finish_reason":null,"completion_id":"x"}'
        route.fulfill(
            status=200, content_type="text/event-stream", body=f'data: {{"choices":[{choice}],"usage":null}}\n\n'
        )

    page.route("**/api/v1/chat/completions", half)
    ask(page, "Hello.")
    expect(answers(page)).to_contain_text("Half")
    expect(answers(page).get_by_role("alert")).to_contain_text("The connection ended in the middle of the answer")


def test_s103_images_are_for_models_that_see(page: Page) -> None:
    expect(page.get_by_role("button", name="Add images")).to_have_count(0)

    def with_eyes(route: Route) -> None:
        found = route.fetch().json()
        found["data"][0]["tags"].append("Multimodal")
        route.fulfill(json=found)

    page.route("**/api/v1/models?*", with_eyes)
    requests = script_model(page, "A black pixel.")
    page.reload()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Add images").click()
    chooser.value.set_files({"name": "pixel.png", "mimeType": "image/png", "buffer": _pixel()})
    expect(page.get_by_alt_text("To be sent, 1")).to_be_visible()
    ask(page, "What is this?")
    finished(page)
    (message,) = requests[0]["messages"]  # type: ignore[misc]
    text, image = message["content"]
    assert text == {"type": "text", "text": "What is this?"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_shared_link_has_settings_and_draft_and_no_message(page: Page) -> None:
    requests = script_model(page, "Yes.")
    ask(page, "A secret of the conversation.")
    finished(page)
    page.get_by_role("button", name="Settings of this chat").click()
    page.get_by_label("System prompt").fill("Answer „kurz“.")
    page.get_by_label("Seed").fill("7")
    page.keyboard.press("Escape")
    page.get_by_label("Message", exact=True).fill("What now?")
    page.get_by_role("button", name="Share by link").click()
    link = page.get_by_role("dialog").locator("pre").inner_text()
    page.goto(link)
    expect(page.get_by_label("Message", exact=True)).to_have_value("What now?")
    page.get_by_label("Message", exact=True).press("Enter")
    finished(page)
    assert requests[-1]["seed"] == 7
    assert requests[-1]["messages"] == [
        {"role": "system", "content": "Answer „kurz“."},
        {"role": "user", "content": "What now?"},
    ]
    page.goto("/projects/default/chat?share=nonsense")
    expect(page.get_by_text("The link could not be read")).to_be_visible()


def test_code_is_the_request_that_was_sent(page: Page) -> None:
    requests = script_model(page, "Yes.")
    ask(page, 'It\'s "quoted".')
    finished(page).get_by_role("button", name="View request as code").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("adaptive.chat.create(")
    dialog.get_by_text("curl", exact=True).click()
    shown = dialog.locator("pre").inner_text()
    assert "$ADAPTIVE_API_KEY" in shown
    assert str(requests[0]["session_id"]) in shown
    assert re.search(r"It'\\''s", shown)


def test_a_browser_that_keeps_no_chats_says_so_once(page: Page) -> None:
    page.add_init_script("IDBObjectStore.prototype.put = () => { throw new DOMException('The disk is full.'); };")
    page.reload()
    script_model(page, "Yes.")
    for count in (1, 2):
        ask(page, "Hello.")
        finished(page, count)
    expect(page.get_by_text("The disk is full.")).to_be_visible()
    expect(page.get_by_text("This browser does not keep the chat")).to_have_count(1)


def test_the_list_of_chats_is_not_read_for_each_token(page: Page) -> None:
    page.add_init_script(
        "const all = IDBObjectStore.prototype.getAll; window.reads = 0;"
        "IDBObjectStore.prototype.getAll = function (...given) { window.reads++; return all.apply(this, given); };"
    )
    page.reload()
    script_model(page, "Yes.")
    ask(page, "The first.")
    chats = page.get_by_role("navigation", name="Chats").get_by_role("link")
    expect(chats).to_have_text(["New chat", "The first."])
    page.get_by_role("link", name="New chat").click()
    ask(page, "The second.")
    expect(chats).to_have_text(["New chat", "The second.", "The first."])
    assert page.evaluate("window.reads") == 1


def test_a_long_chat_stays_quick(page: Page) -> None:
    """2000 messages, of which only those in sight are in the document."""
    script_model(page, "Yes.")
    ask(page, "Hello.")
    finished(page)
    page.wait_for_url("**/chat/*")
    chat = page.url.rpartition("/")[2]
    # It is listed when it is stored.
    expect(page.get_by_role("navigation", name="Chats")).to_contain_text("Hello.")
    lengthen(page, chat)
    page.goto(f"/projects/default/chat/{chat}")
    expect(page.get_by_text("Answer 1999")).to_be_visible()
    assert answers(page).count() < 40
    page.get_by_label("Messages").evaluate("element => element.scrollTo(0, 0)")
    expect(page.get_by_text("Question 1000")).to_be_visible()
    assert answers(page).count() < 40


def lengthen(page: Page, chat: str) -> None:
    """Give a chat that is stored, and is not open, 2000 messages."""
    page.goto("/sign-in")
    page.evaluate(_LENGTHEN, chat)


_OPEN = """const open = () => new Promise((resolve, reject) => {
  const request = indexedDB.open('adaptive-chats');
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
const get = (store, id) => new Promise((resolve) => {
  const request = store.get(id);
  request.onsuccess = () => resolve(request.result);
});
"""
_LENGTHEN = f"""async (id) => {{
  {_OPEN}
  const store = (await open()).transaction('chats', 'readwrite').objectStore('chats');
  const chat = await get(store, id);
  const pane = chat.panes[0];
  Object.assign(pane, {{turns: {{}}, children: {{}}, chosen: {{}}}});
  let parent = null;
  for (let number = 1000; number < 2000; number++) {{
    for (const role of ['user', 'assistant']) {{
      const turn = {{id: `${{role}}-${{number}}`, parent, role, text: `Question ${{number}}`}};
      const answer = {{text: `Answer ${{number}}`, answer: {{state: 'done', settings: {{}}}}}};
      if (role === 'assistant') Object.assign(turn, answer);
      pane.turns[turn.id] = turn;
      pane.children[parent ?? 'root'] = [turn.id];
      pane.chosen[parent ?? 'root'] = turn.id;
      parent = turn.id;
    }}
  }}
  await new Promise((resolve) => {{ store.put(chat, id).onsuccess = resolve; }});
}}"""


def _pixel() -> bytes:
    """A PNG of one black pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
