"""What vendors are told of a schema, and what is said about the rest."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adaptive_engine.providers.schema_rules import RULES
from adaptive_engine.providers.schemas import Reduction, reduce

PLACE = "response_format.json_schema.schema"


def lost(reduction: Reduction) -> list[str]:
    return [notice.param.removeprefix(PLACE).removeprefix("#") for notice in reduction.notices]


def closed(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    required = {"required": list(properties), "additionalProperties": False}
    return {"type": "object", "properties": properties, **required, **more}


CITY = closed({"name": {"type": "string"}, "size": {"type": "integer"}})


@pytest.mark.parametrize("vendor", RULES)
def test_what_everybody_takes_stays_as_it_is(vendor: str) -> None:
    assert reduce(CITY, vendor) == Reduction(CITY, True, ())


@pytest.mark.parametrize(
    ("vendor", "child", "told"),
    [
        ("openai", {"type": "string", "minLength": 3, "pattern": "^a+$"}, {"type": "string", "pattern": "^a+$"}),
        ("openai", {"type": "string", "pattern": "^(?=a)"}, {"type": "string"}),
        ("openai", {"type": "array", "items": {"type": "null"}, "uniqueItems": True}, None),
        ("anthropic", {"type": "integer", "minimum": 1}, {"type": "integer"}),
        ("anthropic", {"type": "array", "items": {"type": "null"}, "minItems": 3}, None),
        ("anthropic", {"type": "string", "format": "idn-email"}, {"type": "string"}),
        ("gemini", {"type": "string", "pattern": "a"}, {"type": "string"}),
        ("gemini", {"type": "string", "format": "uuid"}, {"type": "string"}),
        ("gemini", {"enum": ["a", None]}, {}),
        ("gemini", {"type": "array", "prefixItems": [{"type": "null"}], "contains": {}}, None),
    ],
)
def test_one_keyword_too_many(vendor: str, child: dict[str, Any], told: dict[str, Any] | None) -> None:
    reduction = reduce(closed({"a/b": child}), vendor)
    assert reduction.enforced
    if told is not None:
        assert reduction.schema["properties"]["a/b"] == told
    (pointer,) = lost(reduction)
    assert pointer.startswith("/properties/a~1b/")
    assert pointer.rpartition("/")[2] in child


def test_minimums_that_can_be_said_in_part() -> None:
    schema = closed({"a": {"type": "array", "items": {"type": "null"}, "minItems": 3}})
    assert reduce(schema, "anthropic").schema["properties"]["a"]["minItems"] == 1


def test_keywords_that_say_nothing_cost_no_warning() -> None:
    child = {"type": "string", "minLength": 0, "default": "x", "examples": ["y"], "x-order": 1}
    for vendor in RULES:
        reduction = reduce(closed({"a": child}), vendor)
        assert (reduction.schema["properties"]["a"], lost(reduction)) == ({"type": "string"}, [])


def test_objects_that_name_their_properties_are_closed() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}
    for vendor in ("openai", "anthropic"):
        assert reduce(schema, vendor) == Reduction(closed({"a": {"type": "null"}}), True, ())
    assert reduce(schema, "gemini").schema == schema


@pytest.mark.parametrize(
    "nullable",
    [
        {"type": ["string", "null"]},
        {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        {"$ref": "#/$defs/Maybe"},
    ],
)
def test_what_may_be_left_out_is_required_where_null_says_the_same(nullable: dict[str, Any]) -> None:
    schema = {**closed({"a": nullable}), "$defs": {"Maybe": {"type": ["string", "null"]}}}
    del schema["required"]
    told = reduce(schema, "openai")
    assert told.enforced
    assert told.schema["required"] == ["a"]
    assert reduce(schema, "anthropic").schema["required"] == []


def test_nothing_has_to_be_made_up() -> None:
    schema = {**CITY, "required": ["name"]}
    told = reduce(schema, "openai")
    assert (told.schema, told.enforced, lost(told)) == (schema, False, ["/properties/size"])
    assert told.notices[0].code == "schema_not_enforced"
    assert reduce(schema, "anthropic") == Reduction(schema, True, ())


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "object"}, ""),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "/additionalProperties"),
        (closed({"a": {}}), "/properties/a"),
        (closed({"a": True}), "/properties/a"),
        (closed({"a": {"type": "array"}}), "/properties/a"),
        (closed({"a": {"type": "null"}}, allOf=[{"required": ["b"]}, {}]), ""),
        (closed({"a": {"type": "null"}}, patternProperties={"^x": {"type": "null"}}), ""),
        ({**CITY, "required": ["name", "size", "other"]}, ""),
    ],
)
@pytest.mark.parametrize("vendor", ["openai", "anthropic"])
def test_what_a_closed_dialect_cannot_say(schema: dict[str, Any], pointer: str, vendor: str) -> None:
    told = reduce(schema, vendor)
    assert (told.schema, told.enforced, lost(told)[0]) == (schema, False, pointer)
    assert reduce(schema, "gemini").enforced


def test_only_objects_for_openai() -> None:
    for schema in ({"type": "array", "items": {"type": "null"}}, {"anyOf": [CITY, {"type": "null"}]}):
        assert not reduce(schema, "openai").enforced
        assert reduce(schema, "anthropic").enforced


NODE = closed({"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}}})


def test_schemas_that_contain_themselves() -> None:
    """As Pydantic writes them: the root is a reference."""
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}
    told = reduce(schema, "openai")
    assert (told.schema, told.notices) == ({**NODE, "$defs": {"Node": NODE}}, ())
    assert lost(reduce(schema, "anthropic")) == ["/$defs/Node"]
    gemini = reduce(schema, "gemini")
    assert gemini.schema["$defs"]["Node"]["required"] == ["value"]
    assert lost(gemini) == ["/$defs/Node/required"]


def test_definitions_of_older_drafts() -> None:
    schema = {**closed({"n": {"$ref": "#/definitions/N"}}), "definitions": {"N": {"type": "string", "minLength": 2}}}
    for vendor in RULES:
        told = reduce(schema, vendor)
        assert told.schema["properties"]["n"] == {"$ref": "#/$defs/N"}
        assert told.schema["$defs"] == {"N": {"type": "string"}}
        assert lost(told) == ["/definitions/N/minLength"]


def test_beside_a_reference_stands_nothing() -> None:
    child = {"$ref": "#/$defs/N", "description": "how many", "type": "string"}
    schema = {**closed({"n": child}), "$defs": {"N": {"type": ["string", "null"]}}}
    for vendor in RULES:
        told = reduce(schema, vendor)
        assert told.schema["properties"]["n"] == {"$ref": "#/$defs/N"}
        assert lost(told) == ["/properties/n/type"]


def pet(kind: str) -> dict[str, Any]:
    return closed({"kind": {"const": kind, "type": "string"}})


def test_one_of_is_any_of_where_only_one_can_match() -> None:
    """As Pydantic writes discriminated unions."""
    union = {"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "discriminator": {"propertyName": "kind"}}
    schema = {**closed({"pet": union}), "$defs": {"Cat": pet("cat"), "Dog": pet("dog")}}
    for vendor in RULES:
        told = reduce(schema, vendor)
        assert told.schema["properties"]["pet"] == {"anyOf": union["oneOf"]}
        assert told.notices == ()
    overlapping = closed({"n": {"oneOf": [{"type": "integer"}, {"type": "number"}]}})
    assert lost(reduce(overlapping, "anthropic")) == ["/properties/n/oneOf"]


def test_all_of_with_one_branch() -> None:
    schema = closed({"a": {"allOf": [{"type": "string", "minLength": 1}], "title": "A"}})
    told = reduce(schema, "openai")
    assert told.schema["properties"]["a"] == {"type": "string", "title": "A"}
    assert lost(told) == ["/properties/a/allOf/0/minLength"]


def test_limits_of_size() -> None:
    optional = {"type": "object", "properties": {f"p{i}": {"type": "null"} for i in range(25)}}
    assert not reduce(optional, "anthropic").enforced
    assert not reduce(closed({"a": {"enum": [f"v{i}" for i in range(1001)]}}), "openai").enforced
    deep: dict[str, Any] = {"type": "null"}
    for _ in range(11):
        deep = closed({"a": deep})
    assert not reduce(deep, "openai").enforced


def test_many_warnings_are_cut() -> None:
    schema = closed({f"p{i}": {"type": "string", "minLength": 1} for i in range(50)})
    told = reduce(schema, "anthropic")
    assert len(told.notices) == 21
    assert "30 more" in told.notices[-1].message


SCALARS: list[tuple[dict[str, Any], list[Any]]] = [
    ({"type": "string", "minLength": 1}, ["a", "aa"]),
    ({"type": "string", "pattern": "^a+$", "format": "hostname"}, ["a", "aaa"]),
    ({"type": "integer", "minimum": 0, "multipleOf": 2}, [0, 2]),
    ({"type": ["number", "null"], "exclusiveMaximum": 9}, [1.5, None]),
    ({"enum": ["a", 1, None]}, ["a", 1, None]),
    ({"const": "x"}, ["x"]),
    ({"$ref": "#/$defs/Leaf", "maxLength": 2}, ["a", "aa"]),
    ({"type": "boolean"}, [True]),
]
BESIDE: list[dict[str, Any]] = [
    {},
    {"not": {"const": "no"}},
    {"if": {"type": "string"}, "then": {"minLength": 1}},
    {"anyOf": [{"type": "object"}, {"type": "array"}, {"minimum": 0}, {"minLength": 1}]},
    {"dependentRequired": {"b": ["a"]}},
    {"patternProperties": {"^a": {"not": {"type": "array"}}}},
    {"unevaluatedProperties": False},
    {"uniqueItems": True, "contains": {"type": "string"}},
]
DEFS = {"Leaf": {"type": "string", "minLength": 1}}


@st.composite
def pairs(draw: st.DrawFn, depth: int = 2) -> tuple[dict[str, Any], Any]:
    """A schema, and a value that is meant for it: all properties are there, and no others."""
    kind = draw(st.sampled_from(["scalar", "object", "array", "tuple", "union"] if depth else ["scalar"]))
    inner = pairs(depth - 1)
    if kind == "scalar":
        schema, values = draw(st.sampled_from(SCALARS))
        return schema, draw(st.sampled_from(values))
    if kind == "object":
        members = draw(st.dictionaries(st.sampled_from("abc"), inner, max_size=3))
        schema = {"type": "object", "properties": {name: child for name, (child, _) in members.items()}}
        schema["required"] = draw(st.lists(st.sampled_from("abc"), max_size=2, unique=True))
        schema |= draw(st.sampled_from([{}, {"additionalProperties": False}, {"minProperties": 1}]))
        value: Any = {name: own for name, (_, own) in members.items()}
    elif kind == "array":
        child, own = draw(inner)
        schema, value = {"type": "array", "items": child, "minItems": draw(st.integers(0, 2))}, [own, own]
    elif kind == "tuple":
        (first, one), (rest, other) = draw(inner), draw(inner)
        schema, value = {"type": "array", "prefixItems": [first], "items": rest}, [one, other]
    else:
        (first, one), (second, _) = draw(inner), draw(inner)
        schema, value = {draw(st.sampled_from(["anyOf", "oneOf", "allOf"])): [first, second]}, one
    return {**schema, **{k: v for k, v in draw(st.sampled_from(BESIDE)).items() if k not in schema}}, value


@settings(max_examples=60)
@given(pair=pairs())
def test_what_is_left_takes_all_that_the_schema_takes(pair: tuple[dict[str, Any], Any]) -> None:
    schema, value = {**pair[0], "$defs": DEFS}, pair[1]
    assume(jsonschema_rs.is_valid(schema, value))
    for vendor, rules in RULES.items():
        told = reduce(schema, vendor)
        assert jsonschema_rs.is_valid(told.schema, value)
        assert told.enforced or told.notices
        if told.enforced:
            assert _words(told.schema) <= rules.keywords | rules.annotations


def _words(node: Any) -> set[str]:
    """The keywords of a reduced schema."""
    if not isinstance(node, dict):
        return set()
    children = [
        node.get("items"),
        node.get("additionalProperties"),
        *node.get("anyOf", ()),
        *node.get("prefixItems", ()),
    ]
    children += [*node.get("properties", {}).values(), *node.get("$defs", {}).values()]
    return set(node).union(*(_words(child) for child in children))
