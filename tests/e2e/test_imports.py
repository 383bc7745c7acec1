"""The page Models imports: begun, followed, failed, cancelled."""

from __future__ import annotations

from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Locator, Page, expect

from e2e.test_pages import violations
from integration.server import Server
from unit.registry.gguf_builder import tiny_model

pytestmark = pytest.mark.unopened


@pytest.fixture
def files(server: Server) -> Path:
    """Where the server imports from."""
    return server.data_dir


def begin(page: Page, path: str) -> Locator:
    """The row of an import of the file at `path`."""
    page.goto("/projects/default/models")
    page.get_by_role("button", name="Import a model").click()
    page.get_by_text("File on the server").click()
    page.get_by_role("combobox", name="Path").fill(path)
    page.get_by_role("dialog").get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    return imports(page).locator("tbody tr").first


def imports(page: Page) -> Locator:
    return page.get_by_role("region", name="Imports")


def test_a_file_is_imported_and_can_be_attached(page: Page, files: Path) -> None:
    tiny_model(files / "Fresh.gguf")
    expect(begin(page, "Fresh.gguf")).to_contain_text("imported")
    row = page.get_by_role("region", name="All models of the server").locator("tbody tr").filter(has_text="fresh")
    expect(row).to_contain_text("offline")
    row.get_by_role("button", name="Actions for fresh").click()
    expect(page.get_by_role("menuitem", name="Attach to this project")).to_be_visible()


def test_progress_survives_a_reload_and_cancelling_leaves_nothing(
    page: Page, files: Path, server: Server, axe: str
) -> None:
    tiny_model(files / "waiting.gguf")
    (server.data_dir / "models" / ".locks").mkdir(exist_ok=True)
    # Another process has the key: the import waits, and so can the test.
    with FileLock(server.data_dir / "models" / ".locks" / "waiting.lock"):
        begin(page, "waiting.gguf")
        row = imports(page).locator("tbody tr").first
        expect(row).to_contain_text("Waiting for another import of it")
        page.reload()
        expect(row.get_by_role("progressbar", name="Import of waiting")).to_be_visible()
        assert violations(page, axe) == []
        page.get_by_role("button", name="Import a model").click()
        expect(page.get_by_role("dialog").get_by_role("combobox", name="Model")).to_have_value(
            "SmolLM2-135M-Instruct, 89 MiB, Apache-2.0"
        )
        assert violations(page, axe) == []
        page.get_by_role("dialog").get_by_role("button", name="Import", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("one model is imported at a time")
        page.keyboard.press("Escape")
        row.get_by_role("button", name="Cancel").click()
        expect(row).to_contain_text("cancelled")
    assert not (server.data_dir / "models" / "waiting").exists()


def test_mistakes_are_told_where_they_are_made(page: Page, files: Path) -> None:
    (files / "broken.gguf").write_bytes(b"<img src=x onerror=alert(1)>")
    expect(begin(page, "broken.gguf")).to_contain_text("Malformed GGUF file")
    page.get_by_role("button", name="Import a model").click()
    page.get_by_text("File on the server").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox", name="Path").fill("../etc/passwd")
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_text("in the server's import directory.", exact=False).last).to_be_visible()
    expect(dialog.get_by_role("combobox", name="Path")).to_have_attribute("aria-invalid", "true")
    dialog.get_by_role("combobox", name="Path").fill("broken.gguf")
    dialog.get_by_label("Key").fill("A key")
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_label("Key")).to_have_attribute("aria-invalid", "true")
