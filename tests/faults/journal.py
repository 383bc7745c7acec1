"""What clients saw, written down before it counts: a client that dies has not forgotten what it was promised."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """Of all clients of one server. A line of its file is an answer whose end was seen: id and SHA-256 of the text."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._changed = asyncio.Event()
        self.path = path
        self.texts: dict[UUID, str] = {}
        """What was seen of each answer, whole or not."""
        self.done: set[UUID] = set()
        self.events = 0
        self.refused = 0
        self.accepted_at = 0.0
        """When an answer was last begun, by the monotonic clock."""

    def close(self) -> None:
        os.close(self._file)

    def accept(self) -> None:
        self.accepted_at = time.monotonic()
        self._changed.set()

    def refuse(self) -> None:
        self.refused += 1
        self._changed.set()

    async def follow(self, lines: AsyncIterable[str]) -> dict[str, Any] | None:
        """Read an event stream to its end. The error that it ended with, if it did."""
        completion: UUID | None = None
        async for line in lines:
            if line == "data: [DONE]":
                assert completion is not None
                os.write(self._file, f"{completion} {digest(self.texts[completion])}\n".encode())
                os.fsync(self._file)
                self.done.add(completion)
            elif line.startswith("data: "):
                event = orjson.loads(line[6:])
                if "error" in event:
                    self.refuse()
                    error: dict[str, Any] = event["error"]
                    return error
                for choice in event["choices"]:
                    completion = UUID(choice["completion_id"])
                    self.texts[completion] = self.texts.get(completion, "") + choice["delta"]["content"]
            self.events += bool(line)
            self._changed.set()
        return None

    async def until(self, reached: Callable[[Journal], bool], seconds: float = 120) -> None:
        """Return when the clients have seen so much."""
        async with asyncio.timeout(seconds):
            while not reached(self):
                self._changed.clear()
                await self._changed.wait()


def acknowledged(path: Path) -> dict[UUID, str]:
    """The digest of each answer whose end was seen, by its id; of all runs that wrote into this file."""
    lines = path.read_text().splitlines()
    return {UUID(id_): text for id_, text in (line.split(" ") for line in lines)}
