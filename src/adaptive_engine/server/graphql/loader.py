"""Many resolvers that each need one row become one query."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Loader(Generic[Key, Value]):
    """Collects the keys that are asked for until the event loop turns, and reads them together. For one operation.

    `read` runs in a thread and gives what there is; what is missing loads as None.
    """

    def __init__(self, read: Callable[[Collection[Key]], Mapping[Key, Value]]) -> None:
        self._read = read
        self._asked: dict[Key, asyncio.Future[Value | None]] = {}
        self._waiting: list[Key] = []
        self._task: asyncio.Task[None] | None = None

    async def load(self, key: Key) -> Value | None:
        future = self._asked.get(key)
        if future is None:
            future = self._asked[key] = asyncio.get_running_loop().create_future()
            self._waiting.append(key)
            if self._task is None:
                self._task = asyncio.create_task(self._dispatch())
        return await future

    async def _dispatch(self) -> None:
        # Resolvers of one level run in the same turn of the loop; by the next one all have asked.
        await asyncio.sleep(0)
        keys, self._waiting, self._task = self._waiting, [], None
        try:
            found = await asyncio.to_thread(self._read, keys)
        except Exception as error:
            for key in keys:
                self._asked[key].set_exception(error)
            return
        for key in keys:
            self._asked[key].set_result(found.get(key))
