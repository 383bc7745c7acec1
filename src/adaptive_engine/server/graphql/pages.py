"""The arguments `page` and `order`, and the pages that are the answer to them."""

from __future__ import annotations

import re
from typing import Any, cast, get_args

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.store import Connection
from adaptive_engine.store.filters import InteractionFilter
from adaptive_engine.store.groups import Direction, GroupOrder
from adaptive_engine.store.pages import NEWEST, Order, PageRequest, SortField, count, cursor_of, list_page
from adaptive_engine.wire.interactions import DEFAULT_PAGE, MAX_PAGE

GROUPS = 20
"""Groups, and completions of each, on a page that names no size."""
MAX_GROUPS = 100


def page_of(
    connection: Connection, wanted: InteractionFilter, page: dict[str, Any], order: list[dict[str, str]]
) -> dict[str, Any]:
    """A page of interactions, by cursor. Raises InvalidRequest."""
    found = list_page(connection, wanted, _page(page, order))
    return {
        "totalCount": count(connection, wanted).value,
        "pageInfo": {
            "hasPreviousPage": found.has_previous,
            "hasNextPage": found.has_next,
            "startCursor": found.start_cursor,
            "endCursor": found.end_cursor,
        },
        "nodes": found.items,
        "edges": [{"node": item, "cursor": cursor_of(item, _order(order))} for item in found.items],
    }


def group_size(page: dict[str, Any]) -> int:
    """Of a page of groups, or of the interactions of one. Raises InvalidRequest."""
    return _size(page, GROUPS, MAX_GROUPS)


def offset(page: dict[str, Any]) -> int:
    """Where a page of groups begins. Its cursors are offsets. Raises InvalidRequest."""
    after = page.get("after")
    if after is None:
        begin = int(page.get("offset") or 0)
        if begin < 0:
            raise InvalidRequest("An offset cannot be negative.", param="page.offset")
        return begin
    if not re.fullmatch(r"[0-9]{1,9}", after):
        raise InvalidRequest("Not a cursor; pass the `endCursor` of an earlier page.", param="page.after")
    return int(after)


def group_order(order: list[dict[str, str]]) -> tuple[GroupOrder, Direction]:
    known = get_args(GroupOrder)
    if not order:
        return "group", "ASC"
    if len(order) != 1 or order[0]["field"] not in known:
        raise InvalidRequest(f"Groups are sorted by one of {', '.join(known)}.", param="order")
    return cast(GroupOrder, order[0]["field"]), cast(Direction, order[0]["order"])


def _page(page: dict[str, Any], order: list[dict[str, str]]) -> PageRequest:
    if page.get("offset") is not None:
        raise InvalidRequest("Pages are read by cursor: use after or before instead of offset.", param="page.offset")
    if page.get("first") is not None and page.get("last") is not None:
        raise InvalidRequest("Ask for the first or for the last ones, not both.", param="page.last")
    backward = page.get("last") is not None
    size = _size(page, DEFAULT_PAGE, MAX_PAGE, "last" if backward else "first")
    return PageRequest(size, _order(order), page.get("after"), page.get("before"), backward)


def _size(page: dict[str, Any], default: int, most: int, name: str = "first") -> int:
    size = page.get(name)
    if size is None:
        return default
    if not 1 <= size <= most:
        raise InvalidRequest(f"A page has 1 to {most} entries here.", param=f"page.{name}")
    return int(size)


def _order(order: list[dict[str, str]]) -> Order:
    known = get_args(SortField)
    if not order:
        return NEWEST
    for each in order:
        if each["field"] not in known:
            raise InvalidRequest(
                f"Interactions cannot be sorted by '{each['field']}'; by {', '.join(known)} they can.", param="order"
            )
    if len({each["field"] for each in order}) < len(order):
        raise InvalidRequest("Each field can be ordered by once.", param="order")
    return tuple((cast(SortField, each["field"]), cast(Any, each["order"])) for each in order)
