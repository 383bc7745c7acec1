"""`response_format` as its users meet it: through HTTP, with a model that babbles."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import jsonschema_rs
import pytest
import requests

from integration.server import Server
from integration.wire import ask, chat, chunks, interaction, post, stream, streamed_text, text

WILD: dict[str, Any] = {"temperature": 1.5, "seed": 11, "max_tokens": 32}
PROMPT = [{"role": "user", "content": "Write whatever you like, but never write JSON."}]


@pytest.fixture(scope="module")
def server(shallow_server: Server) -> Server:
    return shallow_server


def envelope(schema: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **fields}}


def number(text: str) -> Decimal:
    """Numbers have no limits in JSON; those of Python's decimals are far beyond any that a schema here names."""
    try:
        return Decimal(text)
    except InvalidOperation:
        mantissa, exponent = text.upper().split("E")
        return Decimal(f"{mantissa}E{'-' if exponent.startswith('-') else ''}99999")


def answers(server: Server, schema: Any, n: int = 3, **fields: Any) -> list[Any]:
    """Parsed answers of several seeds, each of which has to be complete and valid."""
    wanted = {**WILD, "messages": PROMPT, "response_format": envelope(schema, complete=True), "n": n, **fields}
    body = chat(server, **wanted)
    assert [choice["finish_reason"] for choice in body["choices"]] == ["stop"] * n
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    contents = [choice["message"]["content"] for choice in body["choices"]]
    for content in contents:
        # The validator has no limits for decimals.
        validator.validate(json.loads(content, parse_float=number))
    return [json.loads(content) for content in contents]


class Case(NamedTuple):
    id: str
    schema: Any


CASES = [
    Case("s68_string", {"type": "string"}),
    Case("s69_integer", {"type": "integer"}),
    Case("s70_number", {"type": "number"}),
    Case("s71_boolean", {"type": "boolean"}),
    Case("s72_null", {"type": "null"}),
    Case("s73_object", {"type": "object"}),
    Case("s74_array", {"type": "array"}),
    Case("s75_type_list", {"type": ["string", "null"]}),
    Case("s76_oneof", {"oneOf": [{"type": "integer", "minimum": 10}, {"type": "integer", "maximum": 5}]}),
    Case("s77_anyof", {"anyOf": [{"type": "boolean"}, {"type": "string", "maxLength": 3}]}),
    Case(
        "s78_allof",
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"b": {"enum": ["x", "y"]}}, "required": ["b"]},
            ]
        },
    ),
    Case(
        "s79_ref",
        {
            "$defs": {"point": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}},
            "type": "object",
            "properties": {"from": {"$ref": "#/$defs/point"}, "to": {"$ref": "#/$defs/point"}},
            "required": ["from", "to"],
            "additionalProperties": False,
        },
    ),
    Case("s80_minlength", {"type": "string", "minLength": 12}),
    Case("s81_maxlength", {"type": "string", "maxLength": 4}),
    Case("s82_pattern", {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}),
    Case("s83_date", {"type": "string", "format": "date"}),
    Case("s83_uuid", {"type": "string", "format": "uuid"}),
    Case("s83_ipv4", {"type": "string", "format": "ipv4"}),
    Case("s85_enum", {"enum": ["red", 7, None, {"a": 1}]}),
    Case("s86_const", {"type": "object", "properties": {"kind": {"const": "city"}}, "required": ["kind"]}),
    Case("s87_bounds", {"type": "integer", "minimum": -3, "maximum": 17}),
    Case("s88_exclusive_bounds", {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 6}),
    Case("s89_multiple_within_bounds", {"type": "integer", "multipleOf": 7, "minimum": 10, "maximum": 60}),
    Case("s90_multiple_without_bounds", {"type": "integer", "multipleOf": 7}),
    Case("s91_items", {"type": "array", "items": {"enum": ["a", "b"]}}),
    Case("s92_number_of_items", {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3}),
    Case("s93_array_without_items", {"type": "array", "minItems": 1, "maxItems": 2}),
    Case("s94_properties", {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}),
    Case("s95_required", {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["b"]}),
    Case("s96_closed", {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False}),
    Case("s96_open", {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": True}),
    Case("s96_typed", {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1}),
]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_s60_s64_s68_to_s96_every_answer_is_valid(server: Server, case: Case) -> None:
    answers(server, case.schema)


def test_s62_json_object_is_any_object(server: Server) -> None:
    body = chat(server, **{**WILD, "max_tokens": 60}, n=3, response_format={"type": "json_object"})
    finished = [choice for choice in body["choices"] if choice["finish_reason"] == "stop"]
    for choice in body["choices"]:
        assert choice["message"]["content"].startswith("{")
    for choice in finished:
        assert isinstance(json.loads(choice["message"]["content"]), dict)


def test_s61_s66_s67_without_complete_what_ends_with_stop_parses(server: Server) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["good", "bad"]}, "words": {"type": "array", "items": {"type": "string"}}},
        "required": ["mood", "words"],
        "additionalProperties": False,
    }
    body = chat(server, **WILD, n=4, messages=PROMPT, response_format=envelope(schema))
    assert "warnings" not in body
    for choice in body["choices"]:
        content = choice["message"]["content"]
        assert isinstance(content, str)
        assert content.startswith('{"mood":"')
        if choice["finish_reason"] == "stop":
            jsonschema_rs.validate(schema, json.loads(content))
        else:
            assert choice["finish_reason"] == "length"
            with pytest.raises(ValueError):
                json.loads(content)


def test_s84_an_unknown_format_is_dropped_and_said(server: Server) -> None:
    wanted = envelope({"type": "string", "format": "phone", "maxLength": 20})
    body = chat(server, **WILD, response_format=wanted)
    assert isinstance(json.loads(text(body)), str)
    (warning,) = body["warnings"]
    assert warning["code"] == "schema_keyword_not_enforced"
    assert warning["param"] == "response_format.json_schema.schema#/format"
    assert body["choices"][0]["schema_valid"] is True


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
            "required": ["children"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}


def test_s97_s101_recursive_schemas_recurse(server: Server) -> None:
    for value in answers(server, TREE, n=4):
        assert "children" in value


# llguidance has no recursion with keywords beside the reference.
INEXPRESSIBLE = {
    "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n", "maxProperties": 1}}}},
    "$ref": "#/$defs/n",
}


def test_s98_a_schema_that_cannot_be_compiled_is_dropped_with_a_warning(server: Server) -> None:
    free = text(chat(server, max_tokens=10))
    body = chat(server, max_tokens=10, response_format=envelope(INEXPRESSIBLE))
    assert text(body) == free
    assert [warning["code"] for warning in body["warnings"]] == ["schema_not_enforced"]
    assert server.logs("a schema is not enforced")
    response = ask(server, response_format=envelope(INEXPRESSIBLE, strict=True))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_schema")


def test_a_keyword_that_cannot_be_enforced_is_dropped_alone(server: Server) -> None:
    schema = {"type": "array", "items": {"type": "boolean"}, "maxItems": 30, "contains": {"const": True}}
    body = chat(server, **WILD, response_format=envelope(schema, complete=True))
    assert all(isinstance(item, bool) for item in json.loads(text(body)))
    assert body["warnings"][0]["param"] == "response_format.json_schema.schema#/contains"


def test_s99_max_tokens_cuts_the_json(server: Server) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    body = chat(server, messages=PROMPT, max_tokens=3, response_format=envelope(schema))
    assert body["choices"][0]["finish_reason"] == "length"
    with pytest.raises(ValueError):
        json.loads(text(body))
    parts = chunks(stream(server, messages=PROMPT, max_tokens=3, response_format=envelope(schema)))
    assert parts[-1]["choices"][0]["finish_reason"] == "length"
    assert streamed_text(parts) == text(body)


def test_s51_a_stream_of_partial_json(server: Server) -> None:
    wanted = envelope({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}, complete=True)
    parts = chunks(stream(server, **WILD, response_format=wanted, stream_options={"include_usage": True}))
    whole = streamed_text(parts)
    assert "n" in json.loads(whole)
    assert whole == text(chat(server, **WILD, response_format=wanted))
    assert parts[-1]["usage"]["completion_tokens"] <= WILD["max_tokens"]


@pytest.mark.parametrize("max_tokens", [20, 24, 40])
def test_complete_closes_the_json_in_time(server: Server, max_tokens: int) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "extra": {
                "type": "object",
                "properties": {"deep": {"type": "string", "minLength": 30}},
                "required": ["deep"],
            },
        },
        "required": ["name", "tags"],
        "additionalProperties": False,
    }
    answers(server, schema, n=4, max_tokens=max_tokens)


def test_complete_needs_room(server: Server) -> None:
    schema = {"type": "array", "items": {"type": "string", "pattern": "^[A-Z]{9}-[0-9]{9}$"}, "minItems": 5}
    response = ask(server, max_tokens=20, response_format=envelope(schema, complete=True))
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "max_tokens_too_small", "max_tokens")


def test_a_forced_answer_takes_no_step_and_counts_its_tokens(server: Server) -> None:
    wanted = {"const": {"said": "nothing else is possible", "numbers": [1, 2, 3]}}
    body = chat(server, max_tokens=100, response_format=envelope(wanted))
    assert json.loads(text(body)) == wanted["const"]
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["completion_tokens"] > 10
    cut = chat(server, max_tokens=4, response_format=envelope(wanted))
    assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 4)
    assert text(body).startswith(text(cut))


def test_stop_sequences_do_not_cut_json_and_it_is_said(server: Server) -> None:
    body = chat(server, stop=["b"], response_format=envelope({"enum": ["abcdef"]}))
    assert text(body) == '"abcdef"'
    assert [(warning["code"], warning["param"]) for warning in body["warnings"]] == [("not_applied", "stop")]


def test_what_is_not_enforced_is_validated(server: Server) -> None:
    schema = {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 9},
        "minItems": 4,
        "maxItems": 9,
        "uniqueItems": True,
    }
    body = chat(server, **WILD, n=4, response_format=envelope(schema))
    verdicts = []
    for choice in body["choices"]:
        assert choice["finish_reason"] == "stop"
        verdicts.append(choice["schema_valid"])
        assert choice["schema_valid"] is jsonschema_rs.is_valid(schema, json.loads(choice["message"]["content"]))
    codes = [warning["code"] for warning in body["warnings"]]
    assert codes == ["schema_keyword_not_enforced"] + ["schema_violated"] * verdicts.count(False)
    row = interaction(server, body)
    assert row["warnings"][0]["param"] == "response_format.json_schema.schema#/uniqueItems"
    assert row["parameters"]["response_format"]["json_schema"]["schema"] == schema


def test_s28_strict_refuses_what_is_not_enforced(server: Server) -> None:
    schema = {"type": "object", "properties": {"ids": {"type": "array", "uniqueItems": True}}}
    response = ask(server, response_format=envelope(schema, strict=True))
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "invalid_schema")
    assert error["param"] == "response_format.json_schema.schema#/properties/ids/uniqueItems"
    assert "uniqueItems" in error["message"]
    assert chat(server, response_format=envelope({"type": "boolean"}, strict=True))


REFUSED = {
    "a type that does not exist": ({"type": "text"}, "invalid_schema", "/type"),
    "properties as a list": ({"properties": ["a"]}, "invalid_schema", "/properties"),
    "a pattern that is none": ({"type": "string", "pattern": "[A-Z{3}("}, "invalid_schema", "/pattern"),
    "a missing definition": ({"items": {"$ref": "#/$defs/none"}}, "invalid_schema", "/items/$ref"),
    "a remote reference": ({"$ref": "https://example.com/x.json"}, "invalid_schema", "/$ref"),
    "lengths that contradict": (
        {"type": "object", "properties": {"p": {"type": "string", "minLength": 5, "maxLength": 2}}, "required": ["p"]},
        "unsatisfiable_schema",
        "/properties/p/minLength",
    ),
    "a reference to itself": (
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        "unsatisfiable_schema",
        None,
    ),
    "no end": (
        {"$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
         "$ref": "#/$defs/a"},
        "unsatisfiable_schema",
        None,
    ),
    "too many optional keys": (
        {"type": "object", "properties": {f"k{n}": {"type": "string"} for n in range(501)}},
        "schema_too_complex",
        None,
    ),
    "a megabyte": ({"enum": ["x" * 1000] * 1000}, "schema_too_complex", ""),
    "very deep": (json.loads('{"items":' * 90 + "{}" + "}" * 90), "schema_too_complex", None),
    "too many values": ({"enum": list(range(20_000))}, "schema_too_complex", "/enum"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_schemas_that_cannot_be_used_are_refused_with_pointer_and_reason(server: Server, name: str) -> None:
    schema, code, pointer = REFUSED[name]
    response = ask(server, response_format=envelope(schema))
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, code), error
    where = error["param"].partition("response_format.json_schema.schema")[2].removeprefix("#")
    if pointer is not None:
        assert where == pointer
    assert len(error["message"]) > 20


def test_a_client_cannot_override_the_options_of_the_engine(server: Server) -> None:
    schema = {"x-guidance": {"whitespace_flexible": True, "lenient": True}, "type": "object", "maxProperties": 0}
    assert text(chat(server, **WILD, response_format=envelope(schema))) == "{}"


def test_a_declared_key_has_no_second_spelling(server: Server) -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"], "maxProperties": 3}
    for content in (
        choice["message"]["content"]
        for choice in chat(server, **WILD, n=4, response_format=envelope(schema, complete=True))["choices"]
    ):
        assert "\\u" not in content


def test_a_hostile_schema_does_not_hold_up_others(server: Server) -> None:
    patterns = [{"type": "string", "pattern": f"^(a|b|ab)*c{{{n}}}(.*x.*){{9}}$"} for n in range(400)]
    hostile = {"type": "object", "properties": {"p": {"anyOf": patterns}}, "required": ["p"]}
    with ThreadPoolExecutor(5) as pool:
        slow = [
            pool.submit(ask, server, max_tokens=5, response_format=envelope({**hostile, "title": str(n)}))
            for n in range(4)
        ]
        quick = pool.submit(ask, server, max_tokens=5)
        assert quick.result(30).status_code == 200
        for done in slow:
            response: requests.Response = done.result(60)
            assert response.status_code in (200, 400, 503), response.text
    assert chat(server, response_format=envelope({"const": 1}))["choices"][0]["message"]["content"] == "1"


def test_validate_says_what_would_happen(server: Server) -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "ids": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
            "name": {"type": "string", "not": {"const": "root"}},
        },
        "required": ["kind", "name"],
    }
    report = post(server, "/structured/validate", {"schema": schema}).json()
    assert report["verdict"] == "partly_enforced"
    assert [note["pointer"] for note in report["unenforced"]] == ["/properties/ids/uniqueItems"]
    assert [note["pointer"] for note in report["rewritten"]] == ["/properties/name/not"]
    assert {"type", "enum", "required"} <= set(report["enforced"])
    shortest = report["shortest_answer"]
    jsonschema_rs.validate(schema, json.loads(shortest["text"]))
    assert 0 < shortest["forced_share"] < 1
    same = post(server, "/structured/validate", {"response_format": envelope(schema), "model": "default"}).json()
    assert {**same, "compile_ms": 0} == {**report, "compile_ms": 0}


def test_validate_reports_what_would_be_refused(server: Server) -> None:
    response = post(server, "/structured/validate", {"schema": {"type": "text"}})
    assert (response.status_code, response.json()["verdict"]) == (200, "refused")
    assert response.json()["refused"]["pointer"] == "/type"


@pytest.mark.parametrize("body", [{}, {"schema": {}, "response_format": {"type": "text"}}, {"schema": 5}, {"sch": {}}])
def test_validate_names_what_is_wrong_with_its_own_request(server: Server, body: Any) -> None:
    response = post(server, "/structured/validate", body)
    assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


def test_an_answer_that_takes_for_ever_to_validate_holds_up_nobody(server: Server) -> None:
    definitions: dict[str, Any] = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    schema = {
        "type": "string",
        "maxLength": 3,
        "not": {"$ref": "#/$defs/d0"},
        "format": "phone",
        "$defs": {**definitions, "d60": {"type": "integer"}},
    }
    body = chat(server, **WILD, response_format=envelope(schema))
    assert len(json.loads(text(body))) <= 3
    assert body["warnings"][-1]["code"] == "schema_not_checked"
    assert "schema_valid" not in body["choices"][0]


def test_a_prompt_that_is_too_long_says_so_with_complete_too(server: Server) -> None:
    messages = [{"role": "user", "content": "word " * 9000}]
    response = ask(server, messages=messages, response_format=envelope({"type": "string"}, complete=True))
    assert response.json()["error"]["code"] == "context_length_exceeded"
