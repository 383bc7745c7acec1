"""Lets one test speak to both clients: each call is awaited where it has to be."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import Any


async def result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def each(items: Any) -> AsyncIterator[Any]:
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


async def collect(items: Any) -> list[Any]:
    return [item async for item in each(items)]
