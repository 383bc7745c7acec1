"""A memory of what was used last."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class RecentlyUsed(Generic[Key, Value]):
    """Values up to a size of all together, least recently used ones forgotten first. Any thread may use it."""

    def __init__(self, max_size: int, size_of: Callable[[Value], int]) -> None:
        """`size_of` a value is in the unit of `max_size`, of which 0 remembers nothing."""
        self.max_size = max_size
        self._size_of = size_of
        self._size = 0
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def put(self, key: Key, value: Value) -> None:
        """Does nothing where the value alone is more than may be remembered: others would be forgotten in vain. Neither
        where it is of size 0: those would never be forgotten.
        """
        size = self._size_of(value)
        if not 0 < size <= self.max_size:
            return
        with self._lock:
            known = self._values.pop(key, None)
            self._size += size - (0 if known is None else self._size_of(known))
            self._values[key] = value
            while self._size > self.max_size:
                _, oldest = self._values.popitem(last=False)
                self._size -= self._size_of(oldest)
