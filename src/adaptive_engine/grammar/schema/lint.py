"""Refuse a schema that is malformed, contradicts itself or costs too much, saying where and what to do.

Everything here takes time in proportion to the schema, and none of it recurses.
"""

from __future__ import annotations

from typing import Any

from adaptive_engine.grammar.schema import patterns
from adaptive_engine.grammar.schema.document import Document, children, escape
from adaptive_engine.grammar.schema.ecma import PatternInvalid
from adaptive_engine.grammar.schema.limits import DEFAULT, SchemaLimits
from adaptive_engine.grammar.schema.report import SchemaRefused
from adaptive_engine.grammar.schema.satisfiable import check_satisfiable
from adaptive_engine.grammar.schema.shape import check_shape

__all__ = ["SchemaRefused", "lint"]


def lint(schema: object, limits: SchemaLimits = DEFAULT) -> None:
    """Raise `SchemaRefused` unless `schema` is a JSON Schema within `limits` that some finite value satisfies.

    Silence is no proof that a value exists: only contradictions that can be named are looked for.
    """
    _measure(schema, limits)
    if not isinstance(schema, dict | bool):
        raise SchemaRefused("invalid_schema", "", "The schema must be an object or a boolean.")
    _check_nodes(schema, "", limits)
    document = Document.of(schema)
    # References may lead to places that are no subschemas by their keyword.
    known = {id(node) for _, node in _walk(schema, "")}
    for pointer, node in document.nodes:
        if id(node) not in known:
            _check_node(node, pointer, limits)
    check_satisfiable(document)


def _walk(schema: object, pointer: str) -> Any:
    stack: list[tuple[str, Any]] = [(pointer, schema)]
    while stack:
        at, node = stack.pop()
        if isinstance(node, dict):
            yield at, node
            stack.extend((at + step, child) for step, child in reversed(list(children(node))))


def _check_nodes(schema: object, pointer: str, limits: SchemaLimits) -> None:
    values = 0
    for at, node in _walk(schema, pointer):
        _check_node(node, at, limits)
        values += len(node["enum"]) if "enum" in node else 0
        if values > limits.enum_values:
            raise _complex(f"{at}/enum", f"more than {limits.enum_values} enum values in all")


def _complex(pointer: str, what: str) -> SchemaRefused:
    return SchemaRefused("schema_too_complex", pointer, f"The schema has {what}; make it smaller.")


def _measure(schema: object, limits: SchemaLimits) -> None:
    """Size, depth and number of values, before anything looks at the meaning."""
    size = nodes = 0
    stack: list[tuple[object, str, int]] = [(schema, "", 1)]
    while stack:
        value, pointer, depth = stack.pop()
        nodes += 1
        if isinstance(value, dict):
            size += 2
            for key, item in value.items():
                # Six bytes for every escaped control character is the worst case; plain text is one each.
                size += len(key.encode("utf-8", "surrogatepass")) + 4
                stack.append((item, f"{pointer}/{escape(key)}" if depth < 4 else pointer, depth + 1))
        elif isinstance(value, list):
            size += 2 + len(value)
            stack.extend((item, f"{pointer}/{i}" if depth < 4 else pointer, depth + 1) for i, item in enumerate(value))
        elif isinstance(value, str):
            size += len(value.encode("utf-8", "surrogatepass")) + 2
        else:
            size += 5 if not isinstance(value, int) else max(1, value.bit_length() // 3)
        if depth > limits.depth and isinstance(value, dict | list):
            reason = f"more than {limits.depth} levels of nesting here; move inner parts to $defs and refer to them"
            raise _complex(pointer, reason)
        if size > limits.size:
            raise _complex("", f"more than {limits.size // 1024} KiB")
        if nodes > limits.nodes and nodes + len(stack) > limits.nodes + limits.enum_values:
            raise _complex("", f"more than {limits.nodes} parts")


def _check_node(node: dict[str, Any], pointer: str, limits: SchemaLimits) -> None:
    _check_dialect(node, pointer)
    check_shape(node, pointer)
    for key, most in (("anyOf", limits.branches), ("oneOf", limits.branches), ("allOf", limits.branches)):
        if len(node.get(key, ())) > most:
            raise _complex(f"{pointer}/{key}", f"more than {most} branches here")
    if len(node.get("enum", ())) > limits.enum_values:
        raise _complex(f"{pointer}/enum", f"more than {limits.enum_values} values in this enum")
    if len(node.get("patternProperties", ())) > limits.pattern_properties:
        raise _complex(f"{pointer}/patternProperties", f"more than {limits.pattern_properties} patterns here")
    if node.get("minLength", 0) > limits.length:
        raise _complex(f"{pointer}/minLength", f"a minLength above {limits.length} here")
    properties = node.get("properties", {})
    if len(properties) > limits.properties:
        raise _complex(f"{pointer}/properties", f"more than {limits.properties} properties in one object")
    if len(properties) > limits.optional_properties:
        required = set(node.get("required", ()))
        if sum(1 for name in properties if name not in required) > limits.optional_properties:
            most = limits.optional_properties
            raise _complex(f"{pointer}/properties", f"more than {most} optional properties in one object")
    for index, value in enumerate(node.get("enum", ())):
        _check_literal(value, f"{pointer}/enum/{index}", limits)
    _check_literal(node.get("const"), f"{pointer}/const", limits)
    if "pattern" in node:
        _check_pattern(node["pattern"], f"{pointer}/pattern", limits)
    for pattern in node.get("patternProperties", ()):
        _check_pattern(pattern, f"{pointer}/patternProperties/{escape(pattern)}", limits)


def _check_dialect(node: dict[str, Any], pointer: str) -> None:
    """Draft 3 has other keywords, which later drafts ignore: its schemas would promise less than they say."""
    dialect = node.get("$schema")
    if isinstance(dialect, str) and "draft-03" in dialect:
        reason = (
            "Draft 3 of JSON Schema is too old. Write 'divisibleBy' as 'multipleOf', 'extends' as 'allOf', 'disallow' "
            "as 'not', 'required' as an array on the object, and name a later draft or none."
        )
        raise SchemaRefused("invalid_schema", f"{pointer}/$schema", reason)


def _check_literal(value: object, pointer: str, limits: SchemaLimits) -> None:
    if isinstance(value, str) and len(value) * 4 > limits.literal and len(value.encode()) > limits.literal:
        raise _complex(pointer, f"a string longer than {limits.literal} bytes here")


def _check_pattern(pattern: str, pointer: str, limits: SchemaLimits) -> None:
    if len(pattern.encode("utf-8", "surrogatepass")) > limits.pattern:
        raise _complex(pointer, f"a pattern longer than {limits.pattern} bytes here")
    try:
        patterns.check(pattern)
    except PatternInvalid as error:
        reason = f"This pattern is not a regular expression: {error}."
        raise SchemaRefused("invalid_schema", pointer, reason) from None
