"""The schemas of one server: compiled off its event loop, once each, and kept."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from adaptive_engine.grammar.checker import Checkers, CheckLimits
from adaptive_engine.grammar.compiler import CompiledSchema, compile_schema, schema_text
from adaptive_engine.grammar.inspection import Inspection, inspect
from adaptive_engine.grammar.masks import Vocabulary
from adaptive_engine.grammar.schema.limits import DEFAULT, SchemaLimits
from adaptive_engine.grammar.schema.report import SchemaRefused

# Bytes of JSON of the schemas that are kept compiled. A compiled one takes some twenty times its JSON.
_CACHE_BYTES = 8 << 20
_CACHE_ENTRIES = 512


class Schemas:
    """Compiles schemas and keeps them. One per server; its coroutines belong to one event loop."""

    def __init__(self, limits: SchemaLimits = DEFAULT, check_limits: CheckLimits | None = None) -> None:
        check_limits = check_limits or CheckLimits()
        self._limits = limits
        self._checkers = Checkers(check_limits)
        self._threads = ThreadPoolExecutor(check_limits.checkers, thread_name_prefix="compile-schema")
        self._cache: OrderedDict[bytes, tuple[int, asyncio.Future[CompiledSchema]]] = OrderedDict()
        self._cached_bytes = 0

    async def compile(self, schema: Any, vocabulary: Vocabulary, owner: bytes) -> CompiledSchema:
        """Raises SchemaRefused, or CheckerBusy when the machine had no time for it.

        Owners do not share what is compiled: how long it takes would tell one what another uses.
        """
        text = schema_text(schema, self._limits)
        key = hashlib.blake2b(text.encode(), key=owner, salt=_salt(vocabulary)).digest()
        cached = self._cache.get(key)
        if cached is None:
            loop = asyncio.get_running_loop()
            compiling = loop.run_in_executor(self._threads, self._compile, text, schema, vocabulary)
            compiling.add_done_callback(lambda done: self._keep_verdicts_only(key, done))
            cached = (len(text), compiling)
            self._cache[key] = cached
            self._cached_bytes += len(text)
            self._evict()
        self._cache.move_to_end(key)
        # Whoever waits may leave; others may wait for the same.
        return await asyncio.shield(cached[1])

    async def inspect(self, schema: Any, vocabulary: Vocabulary) -> Inspection:
        """Says what `compile` would do. Raises CheckerBusy."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, inspect, schema, vocabulary, self._checkers)

    def close(self) -> None:
        self._threads.shutdown()
        self._checkers.close()

    def _compile(self, text: str, schema: Any, vocabulary: Vocabulary) -> CompiledSchema:
        return compile_schema(text, schema, vocabulary, self._checkers)

    def _keep_verdicts_only(self, key: bytes, done: asyncio.Future[CompiledSchema]) -> None:
        """Failures that say nothing about the schema are not remembered."""
        if not done.cancelled() and isinstance(done.exception(), SchemaRefused | None):
            return
        size, _ = self._cache.pop(key, (0, done))
        self._cached_bytes -= size

    def _evict(self) -> None:
        while len(self._cache) > 1 and (self._cached_bytes > _CACHE_BYTES or len(self._cache) > _CACHE_ENTRIES):
            _, (size, _) = self._cache.popitem(last=False)
            self._cached_bytes -= size


def _salt(vocabulary: Vocabulary) -> bytes:
    return id(vocabulary).to_bytes(16, "little")
