"""Schemas that must not reach the engine: each is refused with the place and a reason to act on."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_engine.grammar.schema.limits import SchemaLimits
from adaptive_engine.grammar.schema.lint import lint
from adaptive_engine.grammar.schema.normalise import normalise
from adaptive_engine.grammar.schema.report import SchemaRefused

INVALID = [
    ([], "", "object or a boolean"),
    ({"type": "text"}, "/type", "not a type"),
    ({"type": []}, "/type", "at least one"),
    ({"type": ["string", 3]}, "/type/1", "name of a type"),
    ({"properties": ["a"]}, "/properties", "object of schemas"),
    ({"properties": {"a/b": 5}}, "/properties/a~1b", "must be a schema"),
    ({"properties": {"a": {"items": "x"}}}, "/properties/a/items", "must be a schema"),
    ({"required": "a"}, "/required", "array of property names"),
    ({"properties": {"a": {"required": True}}}, "/properties/a/required", "put it on the object"),
    ({"required": ["a", "a"]}, "/required", "twice"),
    ({"enum": "a"}, "/enum", "array of the allowed values"),
    ({"minLength": -1}, "/minLength", "not negative"),
    ({"minLength": 2.5}, "/minLength", "whole number"),
    ({"maxItems": 10**4000}, "/maxItems", "must not be greater"),
    ({"minimum": "5"}, "/minimum", "must be a number"),
    ({"maximum": 10**4000}, "/maximum", "a double can hold"),
    ({"multipleOf": 0}, "/multipleOf", "greater than 0"),
    ({"anyOf": []}, "/anyOf", "at least one"),
    ({"uniqueItems": 1}, "/uniqueItems", "true or false"),
    ({"pattern": "^(a$"}, "/pattern", "unclosed group"),
    ({"pattern": "[A-Z{3}"}, "/pattern", "unclosed character class"),
    ({"patternProperties": {"a{2,1}": {}}}, "/patternProperties/a{2,1}", "out of order"),
    ({"$ref": "#/$defs/Home", "$defs": {"Hom": {}}}, "/$ref", "'Home'"),
    ({"items": {"$ref": "https://example.com/x.json"}}, "/items/$ref", "never fetched"),
    ({"$ref": "#nowhere"}, "/$ref", "no anchor"),
    ({"$schema": "http://json-schema.org/draft-03/schema#", "divisibleBy": 2}, "/$schema", "'multipleOf'"),
    ({"items": {"$schema": "http://json-schema.org/draft-03/schema", "type": "any"}}, "/items/$schema", "too old"),
]
UNSATISFIABLE = [
    (False, ""),
    ({"enum": []}, "/enum"),
    ({"type": "string", "minLength": 6, "maxLength": 4}, "/minLength"),
    ({"type": "number", "minimum": 5, "maximum": 2}, "/minimum"),
    ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "/exclusiveMinimum"),
    ({"type": "array", "minItems": 2, "maxItems": 1}, "/minItems"),
    ({"type": "array", "minItems": 1, "items": False}, "/items"),
    ({"type": "object", "required": ["b"], "properties": {"a": {}}, "additionalProperties": False}, "/required/0"),
    ({"type": "string", "enum": [1, 2]}, "/enum"),
    ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "/allOf/1"),
    ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "/$defs/a/$ref"),
    ({"allOf": [{"$ref": "#"}]}, "/allOf/0"),
    ({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}, "/required/0"),
    (
        {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "minLength": 2, "maxLength": 1}}},
        "/properties/a/minLength",
    ),
]
FINE: list[Any] = [
    True,
    {},
    {"minLength": 2.0, "x-anything": [1]},
    {"type": "object", "properties": {"next": {"$ref": "#"}}},
    {"properties": {"$ref": {"type": "string"}, "enum": {"type": "string"}}},
    {"$ref": "#/a/b~1c/0", "a": {"b/c": [{"type": "string"}]}},
    {"$ref": "#/$defs/a%20b", "$defs": {"a b": {"$anchor": "x", "items": {"$ref": "#x"}}}},
    {"$id": "https://example.com/root", "$ref": "item", "$defs": {"i": {"$id": "item", "type": "string"}}},
    {"properties": {"never": False, "odd": {"type": "string", "minLength": 2, "maxLength": 1}}},
    {"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1.7976931348623157e308},
    {"type": "integer", "maximum": 10**308},
    {"type": "string", "maxLength": 2**53 - 1},
    {"pattern": "^(?=.*[0-9])(?<!x)\\bword\\1"},
]


@pytest.mark.parametrize(("schema", "pointer", "reason"), INVALID, ids=str)
def test_a_malformed_keyword_is_refused_at_its_place(schema: object, pointer: str, reason: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        lint(schema)
    assert (refused.value.code, refused.value.pointer) == ("invalid_schema", pointer)
    assert reason in refused.value.reason


@pytest.mark.parametrize(("schema", "pointer"), UNSATISFIABLE, ids=str)
def test_a_contradiction_is_refused_at_its_cause(schema: object, pointer: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        lint(schema)
    assert (refused.value.code, refused.value.pointer) == ("unsatisfiable_schema", pointer)


@pytest.mark.parametrize("schema", FINE, ids=str)
def test_other_schemas_pass(schema: object) -> None:
    lint(schema)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"description": "x" * 300_000},
        nested(5_000),
        {"enum": list(range(10_001))},
        {"type": "object", "properties": {f"k{i}": {} for i in range(401)}},
        {"pattern": "a" * 3_000},
        {"const": "a" * 5_000},
        {"type": "string", "minLength": 2**53 - 1},
        {"patternProperties": {f"^{i}$": {} for i in range(50)}},
        {"anyOf": [{"const": i} for i in range(600)]},
    ],
    ids=["size", "depth", "enum", "optional", "pattern", "const", "length", "patterns", "branches"],
)
def test_what_costs_too_much_is_refused_at_once(schema: object) -> None:
    started = time.thread_time()
    with pytest.raises(SchemaRefused) as refused:
        lint(schema)
    assert refused.value.code == "schema_too_complex"
    assert time.thread_time() - started < 1


def test_limits_can_be_set() -> None:
    with pytest.raises(SchemaRefused, match="more than 2 branches"):
        lint({"anyOf": [True, True, True]}, SchemaLimits(branches=2))


def test_references_are_not_multiplied_out() -> None:
    definitions: dict[str, Any] = {
        f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}, {"$ref": f"#/$defs/d{i + 1}"}]} for i in range(60)
    }
    lint({"$defs": {**definitions, "d60": {"type": "string"}}, "$ref": "#/$defs/d0"})


_KEYWORDS = [
    *(
        "type",
        "properties",
        "required",
        "items",
        "prefixItems",
        "enum",
        "const",
        "anyOf",
        "allOf",
        "oneOf",
        "not",
        "$ref",
    ),
    *(
        "$defs",
        "$id",
        "$anchor",
        "pattern",
        "format",
        "patternProperties",
        "additionalProperties",
        "minimum",
        "multipleOf",
    ),
    *(
        "minLength",
        "maxLength",
        "minItems",
        "contains",
        "uniqueItems",
        "propertyNames",
        "dependentRequired",
        "if",
        "then",
    ),
]
_TELLING = ["#", "#/$defs/a", "#a", "string", "object", "array", "[", "(?=a)", "^a*$", "a{1,9999999999}", "date"]
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(_TELLING)
SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*_KEYWORDS, "a", "", "/", "~", "\x00"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@settings(max_examples=150)
@given(schema=SCHEMAS)
def test_any_json_is_a_schema_or_refused_with_its_place(schema: Any) -> None:
    pointer = ""
    try:
        lint(schema)
        normalise(schema)
    except SchemaRefused as refused:
        pointer = refused.pointer
    assert pointer == "" or pointer.startswith("/")
