"""Compiled schemas: what is kept, for whom, and what is said about them."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from adaptive_engine.grammar import schemas as module
from adaptive_engine.grammar.checker import CannotValidate, CheckerBusy, Checkers, CheckLimits
from adaptive_engine.grammar.inspection import inspect
from adaptive_engine.grammar.masks import Vocabulary
from adaptive_engine.grammar.schema.limits import SchemaLimits
from adaptive_engine.grammar.schema.report import SchemaRefused
from adaptive_engine.grammar.schemas import Schemas
from adaptive_engine.grammar.validator import Validator

BYTES = Vocabulary.of_bytes()


@pytest.fixture
def schemas() -> Iterator[Schemas]:
    made = Schemas(check_limits=CheckLimits(processes=1))
    yield made
    made.close()


@pytest.fixture(scope="module")
def checkers() -> Iterator[Checkers]:
    made = Checkers(CheckLimits(processes=1))
    yield made
    made.close()


async def test_a_schema_is_compiled_once_for_one_owner(schemas: Schemas) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    first, again = await asyncio.gather(*(schemas.compile(dict(schema), BYTES, b"one") for _ in range(2)))
    other = await schemas.compile(schema, BYTES, b"two")
    assert first is again
    assert other is not first
    # The order of keys is the order of the answer.
    swapped = {"properties": {"a": {"type": "string"}}, "type": "object"}
    assert await schemas.compile(swapped, BYTES, b"one") is not first


async def test_refusals_are_kept_and_lack_of_time_is_not(schemas: Schemas, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(text: str) -> Any:
        raise CheckerBusy

    with monkeypatch.context() as broken:
        broken.setattr(schemas._checkers, "check", busy)
        with pytest.raises(CheckerBusy):
            await schemas.compile({"type": "text"}, BYTES, b"")
    with pytest.raises(SchemaRefused):
        await schemas.compile({"type": "text"}, BYTES, b"")
    monkeypatch.setattr(schemas._checkers, "check", busy)
    with pytest.raises(SchemaRefused):
        await schemas.compile({"type": "text"}, BYTES, b"")


async def test_a_vocabulary_that_is_gone_is_not_held(schemas: Schemas) -> None:
    gone = Vocabulary.of_bytes()
    kept = await schemas.compile({"const": 1}, BYTES, b"")
    await schemas.compile({"const": 1}, gone, b"")
    schemas.forget(gone)
    assert [cached.vocabulary for cached in schemas._cache.values()] == [BYTES]
    assert schemas._cached_bytes == sum(cached.weight for cached in schemas._cache.values())
    assert await schemas.compile({"const": 1}, BYTES, b"") is kept


async def test_nothing_outlives_a_model_for_its_schemas(schemas: Schemas) -> None:
    gone = Vocabulary.of_bytes()
    assert await schemas.completion(await schemas.compile({"const": 1}, gone, b"")) is not None
    schemas.forget(gone)
    memory = weakref.ref(gone)
    del gone
    gc.collect()
    assert memory() is None


async def test_a_known_schema_never_waits_for_its_shortest_answer(
    schemas: Schemas, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, new = [await schemas.compile({"const": value}, BYTES, b"") for value in (1, 2)]
    shortest = await schemas.completion(known)
    monkeypatch.setattr(module, "_MOST_PENDING", 0)
    assert await schemas.completion(known) == shortest
    with pytest.raises(CheckerBusy):
        await schemas.completion(new)


async def test_old_schemas_make_room(schemas: Schemas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CACHE_BYTES", 2 * 20 * len('{"const":1}'))
    first = await schemas.compile({"const": 1}, BYTES, b"")
    for value in (2, 3):
        await schemas.compile({"const": value}, BYTES, b"")
    assert len(schemas._cache) == 2
    assert schemas._cached_bytes == sum(cached.weight for cached in schemas._cache.values())
    assert await schemas.compile({"const": 1}, BYTES, b"") is not first


async def test_who_leaves_does_not_take_the_compilation_away(schemas: Schemas) -> None:
    waiting = asyncio.create_task(schemas.compile({"const": "x"}, BYTES, b""))
    await asyncio.sleep(0)
    other = asyncio.create_task(schemas.compile({"const": "x"}, BYTES, b""))
    await asyncio.sleep(0)
    waiting.cancel()
    assert (await other).grammar is not None


@pytest.mark.parametrize("schema", [{"enum": ["x" * 300]}, json.loads("[" * 900 + "]" * 900)])
async def test_what_is_too_large_is_refused_before_anything_else(schema: Any) -> None:
    small = Schemas(SchemaLimits(size=200))
    try:
        with pytest.raises(SchemaRefused) as refused:
            await small.compile(schema, BYTES, b"")
        assert refused.value.code == "schema_too_complex"
    finally:
        small.close()


def test_an_inspection_counts_what_is_forced(checkers: Checkers) -> None:
    schema = {"type": "object", "properties": {"kind": {"enum": ["a1", "b2"]}}, "required": ["kind"]}
    found = inspect({**schema, "additionalProperties": False}, BYTES, checkers)
    assert (found.verdict, found.shortest_tokens) == ("enforced", len('{"kind":"a1"}'))
    # All but the letter that tells the two values apart.
    assert found.forced_share == pytest.approx(12 / 13)
    assert found.shortest is not None
    jsonschema_rs.validate(schema, json.loads(found.shortest))


def test_an_inspection_says_what_is_refused(checkers: Checkers) -> None:
    found = inspect({"type": "integer", "minimum": 2, "maximum": 1}, BYTES, checkers)
    assert found.verdict == "refused"
    assert found.refusal is not None
    assert found.refusal.code == "unsatisfiable_schema"


def test_a_validator_names_the_place() -> None:
    validator = Validator({"type": "object", "properties": {"ids": {"type": "array", "uniqueItems": True}}})
    assert validator.violation('{"ids":[1,2]}') is None
    assert (validator.violation('{"ids":[1,1]}') or "").startswith("/ids: ")
    for number in ("-27.4E29285", "1E99999999999999999999", "1" + "0" * 5000, "0.1e-99999999999"):
        assert Validator({"type": "number"}).violation(number) is None
        assert Validator({"type": "number", "minimum": 2, "maximum": 3}).violation(number) is not None
    assert validator.violation('{"ids":') == "The answer is not JSON."


def test_a_validator_gives_up_on_catastrophic_patterns() -> None:
    validator = Validator({"type": "string", "pattern": r"^(?=(a+)+$)(a|aa)+$\b"})
    assert validator.violation(json.dumps("a" * 5000 + "!")) is not None


def doubling(depth: int) -> dict[str, Any]:
    """Means 2^depth schemas."""
    definitions = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(depth)}
    return {"not": {"$ref": "#/$defs/d0"}, "$defs": {**definitions, f"d{depth}": {"type": "integer"}}}


def test_validation_that_never_ends_is_ended() -> None:
    hasty = Checkers(CheckLimits(cpu_seconds=0.3, processes=1))
    try:
        with pytest.raises(SchemaRefused):
            hasty.violation(json.dumps(doubling(60)), '"x"')
        assert hasty.violation('{"type": "string"}', '"x"') is None
        assert hasty.violation('{"type": "integer"}', '"x"') is not None
    finally:
        hasty.close()


def test_an_answer_that_is_too_deep_is_not_judged(checkers: Checkers) -> None:
    with pytest.raises(CannotValidate):
        checkers.violation("{}", "[" * 5000 + "]" * 5000)


async def test_too_many_at_a_time_are_refused(schemas: Schemas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PENDING", 3)
    results = await asyncio.gather(
        *(schemas.compile({"const": value}, BYTES, b"") for value in range(8)), return_exceptions=True
    )
    assert [type(result) for result in results].count(CheckerBusy) == 5
    assert (await schemas.compile({"const": 7}, BYTES, b"")).grammar is not None


async def test_closing_does_not_wait_for_what_runs() -> None:
    closing = Schemas(check_limits=CheckLimits(cpu_seconds=60, processes=1))
    await closing.compile({}, BYTES, b"")
    endless = asyncio.ensure_future(closing._submit(closing._checkers.violation, json.dumps(doubling(60)), '"x"'))
    waiting = asyncio.ensure_future(closing.compile({"const": 1}, BYTES, b""))
    await asyncio.sleep(0)
    while closing._checkers._pool._idle.queue:  # noqa: ASYNC110 - a thread takes the checker
        await asyncio.sleep(0.005)
    await asyncio.to_thread(closing.close)
    for future in (endless, waiting):
        with pytest.raises((CheckerBusy, asyncio.CancelledError)):
            await future
