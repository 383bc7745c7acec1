"""A thousand rows on one page of Interactions: scrolled, filtered, chosen, taken along."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect

from adaptive_engine.store import Database, interactions, projects
from adaptive_engine.types import Interaction, Usage, now_ms, uuid7
from e2e.test_interactions import rows, status
from integration.server import Server

pytestmark = pytest.mark.unopened

PROJECT = "archive"
MANY = 1_000


@pytest.fixture(scope="module")
def archive(server: Server) -> str:
    """Where the page of a project with so many interactions begins."""
    httpx2.post(f"{server.api}/projects", headers=server.headers, json={"key": PROJECT, "name": "Archive"})
    with closing(Database.open(server.data_dir / "adaptive.db")) as database, database.write() as connection:
        project = projects.get_by_key(connection, PROJECT)
        assert project is not None
        begin = now_ms() - MANY
        # As if each had come in a millisecond of its own.
        ids = sorted(uuid7() for _ in range(MANY))
        interactions.insert(
            connection,
            [
                Interaction(
                    *(ids[number], project.id, uuid7(), [{"role": "user", "content": f"Question {number}"}]),
                    *("complete", "LIVE", begin + number),
                    completion=f"Answer {number}",
                    usage=Usage(number, 5, 0),
                )
                for number in range(MANY)
            ],
        )
    return f"/projects/{PROJECT}/interactions?size={MANY}"


def test_a_thousand_rows_are_scrolled_filtered_and_exported(page: Page, archive: str) -> None:
    page.goto(archive)
    expect(status(page)).to_have_text("1000 of 1,000")
    expect(rows(page).first).to_contain_text("Question 999")
    table = page.get_by_role("table", name="Interactions")
    for place, question in ((1, "Question 0"), (0.5, "Question 500"), (0, "Question 999")):
        table.evaluate("(table, place) => table.parentElement.scrollTo(0, place * table.offsetHeight)", place)
        expect(table.get_by_role("checkbox", name=f"Select: {question}", exact=True)).to_be_attached()
        assert rows(page).count() < 60

    # All of them, also those that were never in sight.
    page.get_by_role("checkbox", name="Select all rows").check()
    page.get_by_role("button", name="Actions: 1000 selected").click()
    page.get_by_role("menuitem", name="Export").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("A file of 1,000 selected interactions")
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Export").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert [json.loads(line)["completion"] for line in lines] == [f"Answer {number}" for number in range(MANY)]

    page.get_by_label("Answer contains").fill("answer 99")
    page.get_by_label("Answer contains").press("Enter")
    expect(status(page)).to_have_text("11 of 11")
    expect(page.get_by_role("button", name="Actions: all that match")).to_be_visible()
    page.get_by_role("checkbox", name="Select all rows").check()
    expect(page.get_by_role("button", name="Actions: 11 selected")).to_be_visible()
