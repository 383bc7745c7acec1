"""What the engine really takes, schema by schema, and what is said about keywords it cannot enforce."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_engine.grammar.schema.lint import lint
from adaptive_engine.grammar.schema.normalise import normalise
from adaptive_engine.grammar.schema.report import SchemaRefused
from unit.grammar.schema.engine import Grammar, compact

AB = {"a": {"type": "integer"}, "b": {"type": "integer"}}
CLOSED = {"properties": {**AB, "c": {"type": "integer"}}, "additionalProperties": False}
TREE = {
    "leaf": {"type": "object", "properties": {"kind": {"const": "leaf"}}, "required": ["kind"]},
    "node": {
        "type": "object",
        "properties": {"kind": {"const": "node"}, "of": {"type": "array", "items": {"$ref": "#/$defs/any"}}},
        "required": ["kind", "of"],
        "additionalProperties": False,
    },
    "any": {"oneOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/node"}]},
}
# schema, texts of valid instances, texts of invalid ones
EXACT: list[tuple[Any, list[str], list[str]]] = [
    (True, ["1", '"a"', "{}"], ["[1"]),
    ({"x-guidance": {"whitespace_flexible": True}, "type": "array"}, ["[1,2]"], ["[1, 2]"]),
    # oneOf
    ({"oneOf": [{"type": "integer", "maximum": 0}, {"type": "integer", "minimum": 9}]}, ["0", "9"], ["5"]),
    ({"oneOf": [{"const": 1}, {"const": 2}]}, ["1", "2"], ["3"]),
    ({"$ref": "#/$defs/any", "$defs": TREE}, ['{"kind":"node","of":[{"kind":"leaf"}]}'], ['{"kind":"node"}']),
    ({"oneOf": [{"minLength": 2}, {"maxLength": 4}], "type": "string"}, ['"a"', '"abcde"'], ['"abc"']),
    ({"oneOf": [{"type": "number"}, {}]}, ['"a"', "null"], ["1"]),
    (
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}], "type": "object"},
        ['{"a":1}', '{"b":1}'],
        ["{}", '{"a":1,"b":1}'],
    ),
    (
        {"oneOf": [{"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^.b"}]},
        ['"ac"', '"cb"'],
        ['"ab"', '"c"'],
    ),
    ({"oneOf": [{"const": i} for i in range(300)]}, ["0", "299"], ["300"]),
    ({"oneOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "$defs": {"a": {"const": "a"}}}, ['"a"', "null"], ['"b"']),
    ({"oneOf": [{"const": 1}, {"const": 1.0}, {"enum": [2, True]}, {"const": [1]}]}, ["2", "true", "[1]"], ["1"]),
    ({"oneOf": [{"const": {"a": 1}}, {"const": {"a": 1.0}}, {"const": 2}]}, ["2"], ['{"a":1}']),
    ({"oneOf": [{"const": 1}, {"const": 5}, {"type": "integer", "minimum": 4}]}, ["1", "4", "6"], ["5"]),
    ({"oneOf": [{"const": 1}, {"const": 1}, {"type": "integer"}], "type": "integer"}, ["2"], ["1"]),
    ({"oneOf": [{"const": "a"}, {"allOf": [{"const": "b"}, False]}]}, ['"a"'], ['"b"']),
    ({"oneOf": [{"enum": [1, "a"], "type": "string"}, {"const": 1}]}, ['"a"', "1"], ["2"]),
    # not
    ({"not": {"oneOf": [{"const": i} for i in range(100)]}, "type": "integer"}, ["-1", "100"], ["0", "99"]),
    ({"not": {"oneOf": [{"const": 1}, {"const": 1}, {"minimum": 2}]}, "type": "integer"}, ["1", "0"], ["2"]),
    ({"type": "integer", "not": {"const": 0}}, ["1", "-1"], ["0"]),
    ({"type": "string", "not": {"enum": ["root", "admin"]}}, ['"roo"', '"rooty"', '""'], ['"root"', '"admin"']),
    ({"type": "string", "not": {"pattern": "^tmp"}}, ['"tm"', '"atmp"'], ['"tmp"', '"tmpx"']),
    ({"not": {"not": {"type": "string"}}}, ['"a"'], ["1"]),
    ({"type": "object", "not": {"required": ["a"]}}, ['{"b":1}'], ['{"a":1}']),
    ({"type": "number", "not": {"anyOf": [{"minimum": 5}, {"maximum": 2}]}}, ["3", "4.5"], ["5", "2"]),
    ({"type": "object", "properties": {"a": {"not": {}}}}, ['{"b":1}'], ['{"a":1}']),
    # bounds that no answer reaches
    ({"type": "string", "minLength": 2, "maxLength": 2**53 - 1}, ['"ab"'], ['"a"', "1"]),
    ({"type": "string", "pattern": "^b{1,9007199254740991}$"}, ['"b"', '"bbb"'], ['""', '"a"']),
    (
        {"type": "object", "propertyNames": {"minLength": 2, "maxLength": 2**53 - 1}},
        ['{"ab":1}'],
        ['{"a":1}'],
    ),
    ({"not": {"type": "string", "maxLength": 2**53 - 1}}, ["1", "null"], ['"a"']),
    ({"type": "number", "maximum": 1e308}, ["1"], ['"a"']),
    # if, dependent keys
    (
        {"type": "integer", "if": {"minimum": 100}, "then": {"multipleOf": 100}, "else": {"multipleOf": 10}},
        ["200", "50"],
        ["150", "55"],
    ),
    (
        {
            "type": "object",
            "properties": AB,
            "if": {"properties": {"a": {"const": 1}}, "required": ["a"]},
            "then": {"required": ["b"]},
        },
        ['{"a":1,"b":2}', '{"a":2}', "{}"],
        ['{"a":1}'],
    ),
    (
        {"type": "object", "properties": AB, "dependentRequired": {"a": ["b"]}},
        ["{}", '{"b":1}', '{"a":1,"b":1}'],
        ['{"a":1}'],
    ),
    ({"dependencies": {"a": ["b"], "c": {"required": ["d"]}}}, ['{"b":1}', "3"], ['{"a":1}', '{"c":1}']),
    ({"required": ["a"], "dependentSchemas": {"a": {"type": "string"}}}, ['"x"', "null"], ['{"a":1}']),
    # objects
    ({"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}}, ['{"ab":1}', "{}"], ['{"A":1}']),
    (
        {"type": "object", "propertyNames": {"enum": ["x", "y"]}, "additionalProperties": {"type": "integer"}},
        ['{"y":1}'],
        ['{"z":1}', '{"x":"a"}'],
    ),
    (
        {"patternProperties": {"^a": {"type": "integer"}, "b$": {"minimum": 5}}},
        ['{"ab":6}', '{"a":1}', '{"b":"x"}'],
        ['{"ab":1}', '{"ab":"x"}', '{"b":1}'],
    ),
    ({"type": "object", "properties": AB, "minProperties": 1}, ['{"a":1}', '{"c":1}'], ["{}"]),
    (
        {"type": "object", "properties": AB, "additionalProperties": False, "maxProperties": 1},
        ["{}", '{"b":1}'],
        ['{"a":1,"b":1}'],
    ),
    (
        {"type": "object", "properties": AB, "required": ["a"], "anyOf": [{"minProperties": 2}, {"required": ["c"]}]},
        ['{"a":1,"b":1}', '{"a":1,"c":1}'],
        ['{"a":1}', '{"a":1,"a":1}'],
    ),
    ({"type": "object", "required": ["a"], "minProperties": 2}, ['{"a":1,"b":1}'], ['{"a":1}', '{"a":1,"a":1}']),
    (
        {"type": "object", "anyOf": [CLOSED, {**CLOSED, "required": ["c"]}], "minProperties": 2},
        ['{"a":1,"b":1}', '{"b":1,"c":1}'],
        ['{"a":1}', '{"a":1,"a":1}'],
    ),
    ({"allOf": [{"properties": AB}], "type": "object", "unevaluatedProperties": False}, ['{"a":1}'], ['{"c":1}']),
    (
        {
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/never"}},
            "$defs": {"never": {"type": "string", "minLength": 1, "maxLength": 0}},
        },
        ['{"b":1}'],
        ['{"a":""}'],
    ),
    # arrays
    ({"type": "array", "uniqueItems": False}, ["[1,1]"], ["1"]),
    ({"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}, ["[]", '["b","a"]'], ['["a","a"]']),
    ({"type": "array", "maxItems": 3, "contains": {"type": "string"}}, ['[1,"a"]', '["a",1,2]'], ["[]", "[1,2]"]),
    ({"type": "array", "contains": {"const": 1}, "maxContains": 0, "minContains": 0}, ["[2]", "[]"], ["[2,1]"]),
    ({"type": "array", "prefixItems": [{"const": 1}], "unevaluatedItems": False}, ["[1]"], ["[1,2]"]),
    # strings and numbers
    ({"type": "string", "pattern": "^(?=.*[0-9])(?!.*x).{3,}$"}, ['"ab1"'], ['"abc"', '"x12"', '"1"']),
    ({"type": "string", "pattern": r"^\/[\w\-]+\u0041$"}, ['"/a-A"'], ['"/a-"']),
    ({"type": "string", "format": "date"}, ['"2024-02-29"', '"2000-02-29"'], ['"2023-02-29"', '"1900-02-29"']),
    ({"type": "string", "format": "json-pointer"}, ['""', '"/a~1b"'], ['"a"', '"/a~2"']),
    ({"type": "string", "format": "uri-reference"}, ['"/a?b#c"', '"x:y"'], ['"a b"', '"1:2"', '"%zz"']),
    ({"type": "string", "format": "iri"}, ['"http://ü.de/é?x"'], ['"http://ü.de/ x"', '"ü"']),
    ({"type": "string", "format": "uri-template"}, ['"/a{?b,c*}"'], ['"/a{b"']),
    ({"type": "integer", "multipleOf": 50_021, "minimum": 1, "maximum": 200_000}, ["50021", "150063"], ["50022"]),
    ({"exclusiveMinimum": True, "minimum": 5, "type": "integer"}, ["6"], ["5"]),
]
UNENFORCED: list[tuple[dict[str, Any], str]] = [
    ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "/uniqueItems"),
    ({"type": "array", "contains": {"type": "string"}}, "/contains"),
    ({"type": "string", "format": "phone"}, "/format"),
    ({"type": "string", "pattern": r"\bword\b"}, "/pattern"),
    ({"type": "integer", "not": {"multipleOf": 3}}, "/not"),
    ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "/oneOf"),
    ({"const": 9007199254740993}, "/const"),
    ({"type": "number", "exclusiveMinimum": 0, "maximum": 0.5}, "/exclusiveMinimum"),
    ({"type": "integer", "multipleOf": 99_991}, "/multipleOf"),
    ({"type": "integer", "allOf": [{"multipleOf": 9973}, {"multipleOf": 9967}]}, "/allOf/0/multipleOf"),
    ({"properties": {"a/b": {"format": "regex"}}}, "/properties/a~1b/format"),
    # A key that is not listed by name may be repeated.
    ({"type": "object", "minProperties": 2}, "/minProperties"),
    ({"additionalProperties": {"const": 1}, "minProperties": 4, "maxProperties": 4}, "/minProperties"),
    ({"patternProperties": {"^x$": {}}, "additionalProperties": False, "minProperties": 2}, "/minProperties"),
    ({"properties": AB, "minProperties": 2}, "/minProperties"),
    ({"required": ["a"], "minProperties": 3}, "/minProperties"),
    ({"type": "object", "not": {"maxProperties": 1}}, "/not"),
    ({"dependentSchemas": {"a": {"minProperties": 2}}}, "/dependentSchemas/a/minProperties"),
]


@pytest.mark.parametrize(("schema", "valid", "invalid"), EXACT, ids=lambda value: json.dumps(value)[:80])
def test_the_engine_takes_exactly_the_valid_texts(schema: Any, valid: list[str], invalid: list[str]) -> None:
    lint(schema)
    result = normalise(schema)
    assert result.exact, result.notes
    grammar = Grammar(result.schema)
    assert [text for text in valid if not grammar.takes(text)] == []
    assert [text for text in invalid if grammar.takes(text)] == []


@pytest.mark.parametrize(("schema", "pointer"), UNENFORCED, ids=str)
def test_what_cannot_be_enforced_is_named_and_the_rest_compiles(schema: dict[str, Any], pointer: str) -> None:
    result = normalise(schema)
    assert pointer in [note.pointer for note in result.notes if note.kind == "unenforced"]
    assert not result.exact
    Grammar(result.schema)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("maxlength", "maxLength"),
        ("max_length", "maxLength"),
        ("minimun", "minimum"),
        ("propertys", "properties"),
        ("exclusiveMin", "exclusiveMinimum"),
        ("types", "type"),
        ("max", "maximum"),
        ("divisibleBy", "multipleOf"),
    ],
)
def test_a_keyword_that_is_probably_misspelled_is_named_with_the_one_that_was_meant(key: str, meant: str) -> None:
    found = normalise({"properties": {"max": {key: 1}}, "additionalProperties": False})
    assert not found.exact
    [note] = found.notes
    assert (note.kind, note.pointer, note.keyword) == ("unenforced", f"/properties/max/{key}", key)
    assert f"'{meant}' was probably meant" in note.reason


@pytest.mark.parametrize(
    "key", ["_format", "x-format", "form", "nullable", "unit", "length", "propertyOrder", "titles"]
)
def test_other_words_beside_keywords_are_nobodys_mistake(key: str) -> None:
    assert normalise({"type": "string", key: 1}).notes == ()


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"type": ["string", "integer"], "enum": ["a", 1]},
        {"enum": ["a", "b"]},
        # As OpenAPI has it.
        {"type": "string", "enum": ["a", None]},
        {"$ref": "#/$defs/a"},
        {"allOf": [{"type": "string"}]},
        {"anyOf": [{"type": "string"}, {"type": ["integer", "boolean"]}]},
    ],
    ids=str,
)
def test_nullable_allows_no_null_and_that_is_said(schema: dict[str, Any]) -> None:
    definitions = {"a": {"type": "string"}}
    result = normalise({"type": "object", "properties": {"a/b": {**schema, "nullable": True}}, "$defs": definitions})
    told = [(note.kind, note.pointer, note.unknown) for note in result.notes if note.keyword == "nullable"]
    assert told == [("narrowed", "/properties/a~1b/nullable", True)]
    assert result.exact
    assert not Grammar(result.schema).takes('{"a/b":null}')


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "nullable": False},
        {"type": "string", "nullable": "yes"},
        {"type": ["string", "null"], "nullable": True},
        {"anyOf": [{"type": "string"}, {"type": "null"}], "nullable": True},
        {"enum": ["a", None], "nullable": True},
        {"const": None, "nullable": True},
        {"title": "anything", "nullable": True},
        {"type": "object", "properties": {"nullable": True}},
    ],
    ids=str,
)
def test_nullable_that_says_nothing_new_is_let_pass(schema: dict[str, Any]) -> None:
    assert "nullable" not in [note.keyword for note in normalise(schema).notes]


def test_so_many_unknown_keywords_are_soon_looked_at() -> None:
    schema = {f"minimum of {index}": 1 for index in range(5000)}
    start = time.process_time()
    normalise(schema)
    assert time.process_time() - start < 0.5


def test_the_other_count_of_properties_stays_enforced() -> None:
    result = normalise({"additionalProperties": {"const": 1}, "minProperties": 2, "maxProperties": 3})
    assert [(note.kind, note.pointer) for note in result.notes] == [("unenforced", "/minProperties")]
    assert "maxProperties" in result.enforced
    grammar = Grammar(result.schema)
    assert not grammar.takes('{"a":1}')
    assert not grammar.takes('{"a":1,"b":1,"c":1,"d":1}')


def test_a_keyword_that_is_enforced_in_part_is_not_called_rewritten() -> None:
    result = normalise({"type": "object", "properties": AB, "minProperties": 2})
    assert [(note.kind, note.pointer) for note in result.notes] == [("unenforced", "/minProperties")]


def test_bounds_beyond_doubles_are_narrowed() -> None:
    result = normalise({"type": "integer", "minimum": 0, "maximum": 2**63 - 1})
    assert [(note.kind, note.pointer) for note in result.notes] == [("narrowed", "/maximum")]
    grammar = Grammar(result.schema)
    assert grammar.takes(str(2**53 - 1))
    assert not grammar.takes(str(2**53))


def test_the_order_of_properties_stays_the_clients() -> None:
    schema = {
        "type": "object",
        "properties": {"z": {"type": "integer"}, "a": {"type": "integer"}},
        "if": {"required": ["a"]},
        "then": {"required": ["z"]},
    }
    grammar = Grammar(normalise(schema).schema)
    assert grammar.takes('{"z":1,"a":2}')
    assert not grammar.takes('{"a":2,"z":1}')


def test_contradictions_that_show_while_rewriting_are_refused() -> None:
    with pytest.raises(SchemaRefused) as refused:
        normalise({"type": "integer", "multipleOf": 50_021, "minimum": 1, "maximum": 9})
    assert (refused.value.code, refused.value.pointer) == ("unsatisfiable_schema", "/multipleOf")


SHORT = {"type": ["string", "null"], "maxLength": 2}


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [SHORT, {"const": "a"}, SHORT]},
        {"oneOf": [{"const": 1}, {"const": 1}]},
        {"oneOf": [{"type": "integer"}, {"type": "integer", "minimum": 1}, {"type": "integer", "maximum": 0}]},
    ],
    ids=str,
)
def test_alternatives_without_a_value_of_exactly_one_are_told_in_the_clients_words(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaRefused) as refused:
        normalise(schema | {"type": ["integer", "string", "null"]})
    assert (refused.value.code, refused.value.pointer) == ("unsatisfiable_schema", "/oneOf")
    assert "exactly one branch" in refused.value.reason
    with pytest.raises(SchemaRefused, match="/properties/a/oneOf: No value matches exactly one branch"):
        normalise({"type": "object", "properties": {"a": schema}, "required": ["a"]})
    assert Grammar(normalise({"type": "object", "properties": {"a": schema}}).schema).takes("{}")


def test_alternatives_of_values_become_what_an_enum_of_them_is() -> None:
    named = [{"const": f"v{i}", "title": f"Value {i}"} for i in range(20)]
    schema = {"type": "object", "properties": {f"p{i}": {"oneOf": named} for i in range(6)}}
    result = normalise(schema)
    assert result.exact
    assert result.schema["properties"]["p5"] == {"anyOf": [{"enum": [one["const"] for one in named]}]}
    assert Grammar(result.schema).takes('{"p1":"v0","p5":"v19"}')


def test_the_clients_schema_is_not_changed() -> None:
    for schema, _, _ in EXACT:
        before = json.dumps(schema)
        normalise(schema)
        assert json.dumps(schema) == before


@pytest.mark.parametrize("doubled", ["allOf", "anyOf", "oneOf"])
def test_references_are_not_multiplied_out(doubled: str) -> None:
    definitions: dict[str, Any] = {
        f"d{i}": {doubled: [{"$ref": f"#/$defs/d{i + 1}"}, {"type": "string"}], "minProperties": 1} for i in range(40)
    }
    schema = {"$defs": {**definitions, "d40": {"type": "integer"}}, "not": {"$ref": "#/$defs/d0"}}
    assert len(json.dumps(normalise(schema).schema)) < 100_000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab\né", max_size=4), min_size=1, max_size=5), st.text("ab\néc", max_size=5))
def test_every_string_but_the_excluded_ones(excluded: list[str], text: str) -> None:
    grammar = Grammar(normalise({"type": "string", "not": {"enum": excluded}}).schema)
    assert grammar.takes(compact(text)) is (text not in excluded)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=4), st.integers(-22, 22), st.integers(-22, 22))
def test_every_integer_but_the_excluded_ones(excluded: list[int], bound: int, value: int) -> None:
    schema = {"type": "integer", "not": {"anyOf": [{"enum": excluded}, {"maximum": bound}]}}
    grammar = Grammar(normalise(schema).schema)
    assert grammar.takes(str(value)) is (value not in excluded and value > bound)


VALUES = [
    None,
    True,
    0,
    1,
    2,
    3,
    1.5,
    "",
    "a",
    "ab",
    [],
    [1],
    ["a", 1],
    {},
    {"a": 1},
    {"b": 2},
    {"a": "x", "b": 2},
    {"c": 1},
]
# Texts of objects that have fewer keys than they write.
REPEATS = ['{"a":1,"a":2}', '{"c":1,"c":1}', '{"a":1,"c":1,"c":"x"}', '{"b":1,"b":1,"b":1}', '{"":1,"":1}']


@pytest.mark.parametrize("seed", range(150))
def test_random_schemas_mean_what_a_validator_says(seed: int) -> None:
    """Instances that the validator refuses are never taken, unless a note says so; and valid ones are."""
    schema = _random_schema(random.Random(seed), 3)
    validator = jsonschema_rs.Draft202012Validator(schema)
    expected = [validator.is_valid(value) for value in VALUES]
    try:
        lint(schema)
        result = normalise(schema)
    except SchemaRefused:
        assert not any(expected)
        return
    if not any(expected):
        return  # The engine may refuse it, and that is right.
    grammar = Grammar(result.schema)
    for value, valid in zip(VALUES, expected, strict=True):
        if valid:
            # Required keys that are not declared come first, so that either order may be the engine's.
            orders = [value, dict(reversed(value.items()))] if isinstance(value, dict) else [value]
            assert any(grammar.takes(compact(order)) for order in orders), (value, schema, result)
        elif result.exact:
            assert not grammar.takes(compact(value)), (value, schema, result)
    if result.exact:
        for text in REPEATS:
            assert validator.is_valid(json.loads(text)) or not grammar.takes(text), (text, schema, result)


def _random_schema(rng: random.Random, depth: int) -> Any:
    if depth == 0:
        leaves: list[Any] = [{}, {"type": "integer"}, {"type": "string"}, {"const": 1}, {"enum": ["a", 2]}]
        return rng.choice([*leaves, {"minimum": 2}, {"maxLength": 1}, {"type": ["string", "null"]}, True])
    schema: dict[str, Any] = {}
    if rng.random() < 0.4:
        schema["type"] = rng.choice(["object", "array", "string", "integer", ["object", "string"]])
    for keyword in rng.sample(sorted(_RANDOM), rng.choice([1, 2, 2, 3])):
        schema.update(_RANDOM[keyword](rng, lambda: _random_schema(rng, depth - 1)))
    return schema


_RANDOM: dict[str, Any] = {
    "properties": lambda rng, sub: {"properties": {name: sub() for name in "ab" if rng.random() < 0.7}},
    "required": lambda rng, sub: {"required": [rng.choice("ab")]},
    "additionalProperties": lambda rng, sub: {"additionalProperties": rng.choice([False, sub()])},
    "patternProperties": lambda rng, sub: {"patternProperties": {"^a": sub(), "[ab]": sub()}},
    "propertyNames": lambda rng, sub: {"propertyNames": {"maxLength": 1, "pattern": "[ac]"}},
    "minProperties": lambda rng, sub: {"minProperties": rng.choice([1, 2])},
    "maxProperties": lambda rng, sub: {"maxProperties": 1},
    "dependentRequired": lambda rng, sub: {"dependentRequired": {"a": ["b"]}},
    "dependentSchemas": lambda rng, sub: {"dependentSchemas": {"a": sub()}},
    "not": lambda rng, sub: {"not": sub()},
    "if": lambda rng, sub: {"if": sub(), "then": sub(), "else": sub()},
    "oneOf": lambda rng, sub: {"oneOf": [sub(), sub()]},
    "oneOf values": lambda rng, sub: {"oneOf": [{"const": 1}, {"enum": rng.choice([[1, "a"], [2, None]])}, sub()]},
    "anyOf": lambda rng, sub: {"anyOf": [sub(), sub()]},
    "allOf": lambda rng, sub: {"allOf": [sub(), sub()]},
    "contains": lambda rng, sub: {"contains": sub(), "maxItems": 2},
    "items": lambda rng, sub: {"items": sub()},
    "uniqueItems": lambda rng, sub: {"uniqueItems": True},
    "unevaluated": lambda rng, sub: {"unevaluatedProperties": False},
    "pattern": lambda rng, sub: {"pattern": rng.choice(["^a", "b$", "^(?!a$)"])},
}
