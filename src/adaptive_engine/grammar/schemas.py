"""The schemas of one server: compiled off its event loop, once each, and kept."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from adaptive_engine.grammar.checker import CheckerBusy, Checkers, CheckLimits, schema_text
from adaptive_engine.grammar.schema.limits import DEFAULT, SchemaLimits
from adaptive_engine.grammar.schema.report import SchemaRefused

if TYPE_CHECKING:
    from adaptive_engine.grammar.compiler import CompiledSchema
    from adaptive_engine.grammar.inspection import Inspection
    from adaptive_engine.grammar.masks import Vocabulary

# An estimate of what compiled schemas may take together: each some twenty times its JSON, and its automata.
_CACHE_BYTES = 128 << 20
_BYTES_PER_CHARACTER = 20
_BYTES_PER_PATTERN = 100_000
# Schemas and answers that may wait for a checker. More would wait too long.
_MOST_PENDING = 32

Result = TypeVar("Result")


class _Cached(NamedTuple):
    weight: int
    """Bytes, estimated."""
    vocabulary: Vocabulary
    compiling: asyncio.Future[CompiledSchema]


class Schemas:
    """Compiles schemas and keeps them. One per server; its coroutines belong to one event loop."""

    def __init__(self, limits: SchemaLimits = DEFAULT, check_limits: CheckLimits | None = None) -> None:
        check_limits = check_limits or CheckLimits()
        self._limits = limits
        self._checkers = Checkers(check_limits)
        self._threads = ThreadPoolExecutor(check_limits.processes, thread_name_prefix="compile-schema")
        self._cache: OrderedDict[bytes, _Cached] = OrderedDict()
        self._cached_bytes = 0
        self._pending = 0
        self._wall_seconds = check_limits.wall_seconds

    async def compile(self, schema: Any, vocabulary: Vocabulary, owner: bytes) -> CompiledSchema:
        """Raises SchemaRefused, or CheckerBusy when the machine had no time for it.

        Owners do not share what is compiled: how long it takes would tell one what another uses.
        """
        text = schema_text(schema, self._limits)
        key = hashlib.blake2b(text.encode(), key=owner, salt=_salt(vocabulary)).digest()
        cached = self._cache.get(key)
        if cached is None:
            compiling = self._submit(_compile, text, vocabulary, self._checkers)
            compiling.add_done_callback(lambda done: self._keep_verdicts_only(key, done))
            cached = _Cached(_weight(text), vocabulary, compiling)
            self._cache[key] = cached
            self._cached_bytes += cached.weight
            self._evict()
        self._cache.move_to_end(key)
        # Whoever waits may leave; others may wait for the same.
        return await asyncio.shield(cached.compiling)

    async def violation(self, schema: str, answer: str) -> str | None:
        """Where and why a finished answer breaks its schema, which is JSON that was compiled; None when it does not.

        Raises CannotValidate, CheckerBusy, or SchemaRefused when it takes too much to find out.
        """
        return await self._submit(self._checkers.violation, schema, answer)

    async def inspect(self, schema: Any, vocabulary: Vocabulary) -> Inspection:
        """Says what `compile` would do. Raises CheckerBusy."""
        return await self._submit(_inspect, schema, vocabulary, self._checkers)

    async def completion(self, compiled: CompiledSchema) -> list[int] | None:
        """`compiled.completion`, searched where it holds up nobody. Raises CheckerBusy, but not for a known one."""
        if "completion" in vars(compiled):
            return compiled.completion
        return await self._submit(lambda: compiled.completion)

    def forget(self, vocabulary: Vocabulary) -> None:
        """Drop what is kept for a vocabulary, whose model is gone."""
        for key in [key for key, cached in self._cache.items() if cached.vocabulary is vocabulary]:
            self._cached_bytes -= self._cache.pop(key).weight

    def close(self) -> None:
        """Whoever still waits gets CheckerBusy, or is cancelled."""
        self._checkers.close()
        self._threads.shutdown(cancel_futures=True)

    def _submit(self, work: Callable[..., Result], *arguments: Any) -> asyncio.Future[Result]:
        """Run `work` in a thread, unless too many wait already, or its turn comes too late."""
        if self._pending >= _MOST_PENDING:
            raise CheckerBusy
        late = time.monotonic() + self._wall_seconds

        def in_time() -> Result:
            if time.monotonic() > late:
                raise CheckerBusy
            return work(*arguments)

        self._pending += 1
        submitted = asyncio.get_running_loop().run_in_executor(self._threads, in_time)
        submitted.add_done_callback(self._done)
        return submitted

    def _done(self, _: asyncio.Future[Any]) -> None:
        self._pending -= 1

    def _keep_verdicts_only(self, key: bytes, done: asyncio.Future[CompiledSchema]) -> None:
        """Failures that say nothing about the schema are not remembered."""
        if not done.cancelled() and isinstance(done.exception(), SchemaRefused | None):
            return
        if key in self._cache and self._cache[key].compiling is done:
            self._cached_bytes -= self._cache.pop(key).weight

    def _evict(self) -> None:
        while len(self._cache) > 1 and self._cached_bytes > _CACHE_BYTES:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= oldest.weight


def _compile(text: str, vocabulary: Vocabulary, checkers: Checkers) -> CompiledSchema:
    # Native libraries of 30 MiB, which a server needs only where a provider is to answer within a schema.
    from adaptive_engine.grammar.compiler import compile_schema

    return compile_schema(text, vocabulary, checkers)


def _inspect(schema: Any, vocabulary: Vocabulary, checkers: Checkers) -> Inspection:
    from adaptive_engine.grammar.inspection import inspect

    return inspect(schema, vocabulary, checkers)


def _weight(text: str) -> int:
    return _BYTES_PER_CHARACTER * len(text) + _BYTES_PER_PATTERN * text.count('"pattern')


def _salt(vocabulary: Vocabulary) -> bytes:
    return id(vocabulary).to_bytes(16, "little")
