"""Ways that lead to most states of the web application."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, Route, expect
from screenshot_shop import SHOP

State = Callable[[Page], None]
"""Brings a page there."""


def opened(path: str, heading: str = "") -> State:
    """A page of which this heading, or any of the first level, is to be seen and nothing is on its way."""

    def state(page: Page) -> None:
        page.goto(path)
        first = page.get_by_role("heading", name=heading) if heading else page.get_by_role("heading", level=1)
        expect(first.first).to_be_visible()
        page.wait_for_load_state("networkidle")

    return state


def asked(before: State, *buttons: str) -> State:
    """A dialog that these buttons, items of menus or tabs lead to, one after the other."""

    def state(page: Page) -> None:
        before(page)
        for name in buttons:
            by_role = [page.get_by_role(role, name=name) for role in ("button", "menuitem", "tab")]  # type: ignore[arg-type]
            by_role[0].or_(by_role[1]).or_(by_role[2]).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.wait_for_load_state("networkidle")

    return state


def hindered(path: str, **answer: object) -> State:
    """A page whose questions get this answer, or none."""

    def reply(route: Route) -> None:
        if answer and "/me" not in route.request.url:
            route.fulfill(**answer)  # type: ignore[arg-type]
        elif not answer and "/interactions/search" in route.request.url:
            pass
        else:
            route.fallback()

    def state(page: Page) -> None:
        page.goto(f"/projects/{SHOP}/models")
        page.wait_for_load_state("networkidle")
        page.route("**/api/v1/**", reply)
        page.get_by_role("link", name=path, exact=True).click()
        expect(page.get_by_role("alert").or_(page.get_by_role("status", name="Loading")).first).to_be_visible()

    return state
