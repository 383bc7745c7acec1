"""Show every page of the web application: `python scripts/screenshots.py [NAME...]`, into docs/screenshots/all.

Each state is made once, in front of a real server with the default model, and shown in light and dark, wide and narrow.
The pictures of the documents are copies of some of these.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from screenshot_shop import furnish  # noqa: E402
from screenshot_states import STATES  # noqa: E402

from adaptive_engine.registry import ensure_default_model  # noqa: E402
from integration.server import Server, start  # noqa: E402

TARGET = ROOT / "docs" / "screenshots" / "all"
WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}
IN_DOCUMENTS = {
    "chat-light-wide": "chat",
    "chat-dark-narrow": "narrow",
    "chat_compare-light-wide": "compare",
    "chat_code-light-wide": "code",
    "chat_schema-light-wide": "schema",
    "metrics-light-wide": "metrics",
    "model_external-light-wide": "external_model",
}
"""Names in `docs/screenshots` of what the documents show."""
LARGEST = 200_000
"""Of a picture of the documents, in bytes."""

_SETTLED = """async (scheme) => {
  if (document.documentElement.dataset.mantineColorScheme !== scheme) return false;
  // What turns for ever, as a loader, is not waited for.
  const ends = (animation) => isFinite(animation.effect.getComputedTiming().endTime);
  const moving = document.getAnimations().filter(ends);
  await Promise.all(moving.map((animation) => animation.finished.catch(() => {})));
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  return true;
}"""
"""The page has its colours, and what moves into place has moved."""


def show(page: Page, name: str) -> None:
    # Nothing is shown as if the pointer were above it.
    page.mouse.move(0, 0)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for width, (columns, rows) in WIDTHS.items():
            page.set_viewport_size({"width": columns, "height": rows})
            page.wait_for_function(_SETTLED, arg=scheme)
            picture = TARGET / f"{name}-{scheme}-{width}.png"
            page.screenshot(path=picture)
            if picture.stem in IN_DOCUMENTS:
                size = picture.stat().st_size
                assert size <= LARGEST, f"{picture.name} has {size} bytes"
                shutil.copy(picture, TARGET.parent / f"{IN_DOCUMENTS[picture.stem]}.png")


def take(server: Server, names: list[str]) -> None:
    if not names:
        # What has no such name any more would be looked at as if it had.
        shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True, exist_ok=True)
    columns, rows = WIDTHS["wide"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = browser.new_context(base_url=server.url, reduced_motion="reduce")
        page = context.new_page()
        page.request.post("/api/v1/sign_in", headers=server.headers)
        # The first answer of a server is slower than those that follow, and the pictures show how long they took.
        warmup = {"model": "default", "store": False, "max_tokens": 8, "messages": [{"role": "user", "content": "Hi."}]}
        assert page.request.post("/api/v1/chat/completions", headers=server.headers, data=warmup).ok
        for name, reach in STATES.items():
            if not names or name in names:
                page.set_viewport_size({"width": columns, "height": rows})
                reach(page)
                show(page, name)
                page.unroute_all(behavior="ignoreErrors")
                print(name, flush=True)
        browser.close()


def main() -> None:
    expect.set_options(timeout=20_000)
    if unknown := set(sys.argv[1:]) - set(STATES):
        raise SystemExit(f"There is no state {', '.join(sorted(unknown))}; these are: {', '.join(STATES)}")
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
