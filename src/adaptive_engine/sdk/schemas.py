"""`response_format` as the wire has it: a Pydantic class, or any type that Pydantic knows, becomes a JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
from pydantic_core import to_json

T = TypeVar("T")
Schema = dict[str, Any]

ResponseFormatInput = type[Any] | TypeAdapter[Any] | Mapping[str, Any]
"""A Pydantic class, another type that Pydantic knows (`list[Item]`, a dataclass, a TypedDict), a TypeAdapter, or the
wire's own `{"type": "json_schema", "json_schema": {"name", "schema"}}`."""

MAX_INLINED_LENGTH = 65_536
"""Definitions stay apart in a schema that would be longer than this, in bytes of JSON, with a copy at each use."""

_WIRE_TYPES = ("text", "json_object", "json_schema")
_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"})
_REF = "#/$defs/"

# The keywords in which Pydantic writes schemas. What a class adds by hand under others (`not`, `if`) stays as it is.
_SCHEMA = frozenset({"items", "additionalProperties", "propertyNames", "contentSchema"})
_LIST_OF_SCHEMAS = frozenset({"anyOf", "oneOf", "prefixItems"})
_MAP_OF_SCHEMAS = frozenset({"properties", "patternProperties"})


def response_format_body(
    response_format: ResponseFormatInput | None, *, strict: bool | None = None, complete: bool | None = None
) -> Mapping[str, Any] | None:
    """The field of the request. `strict` and `complete`, where given, go into its `json_schema`.

    Raises ValueError for what is no type, for a bare JSON Schema, and for options of a schema where there is none.
    """
    if response_format is None or isinstance(response_format, Mapping):
        body = response_format
    else:
        schema = json_schema(response_format)
        body = {"type": "json_schema", "json_schema": {"name": _name(response_format, schema), "schema": schema}}
    if body is not None and body.get("type") not in _WIRE_TYPES:
        raise ValueError(
            "response_format is a dict whose 'type' is not 'json_schema', 'json_object' or 'text'. Wrap a JSON Schema: "
            '{"type": "json_schema", "json_schema": {"name": "answer", "schema": {...}}}'
        )
    options = {"strict": strict, "complete": complete}
    given = {name: value for name, value in options.items() if value is not None}
    if not given:
        return body
    if body is None or not isinstance(body.get("json_schema"), Mapping):
        raise ValueError(f"{' and '.join(given)} belong to a schema: give one as response_format")
    return {**body, "json_schema": {**body["json_schema"], **given}}


def type_adapter(kind: type[T] | TypeAdapter[T]) -> TypeAdapter[T]:
    """What validates text as a `kind`. Raises ValueError for what is no type, or none that Pydantic knows."""
    if isinstance(kind, TypeAdapter):
        return kind
    # Pydantic would read None as a type, and look up text among the names of this module.
    if kind is None or isinstance(kind, (str, Mapping, BaseModel)):
        raise ValueError(f"response_format is {kind!r}; give a Pydantic class or another type that Pydantic knows")
    try:
        return TypeAdapter(kind)
    except (PydanticUserError, PydanticUndefinedAnnotation) as exc:
        raise ValueError(f"response_format is {kind!r}, which Pydantic cannot use: {exc}") from exc


def json_schema(kind: type[Any] | TypeAdapter[Any]) -> Schema:
    """The JSON Schema of a type as Pydantic writes it, but closed and in one piece.

    Closed: an object that does not say whether it takes further keys takes none. `extra="allow"` says so, and `dict`.
    In one piece: `$ref` is replaced by what it points to. Recursive definitions stay in `$defs`, and all of them do
    where copies would make the schema longer than MAX_INLINED_LENGTH.
    """
    adapter = type_adapter(kind)
    try:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            schema = kind.model_json_schema()
        else:
            schema = adapter.json_schema()
    except PydanticUserError as exc:
        raise ValueError(f"response_format is {kind!r}, which has no JSON Schema: {exc}") from exc
    definitions: dict[str, Schema] = schema.pop("$defs", {})
    # The root is written out even when it is recursive: its type and its keys are then seen at once.
    if (definition := _target(schema, definitions)) is not None:
        schema = _merged(schema, definition)
    return _in_one_piece(schema, definitions)


def _name(kind: type[Any] | TypeAdapter[Any], schema: Schema) -> str:
    """The class's name in the characters that the wire allows: `Box[int]` is `Box_int`."""
    if isinstance(kind, TypeAdapter):
        text = str(schema.get("title", ""))
    elif isinstance(kind, type):
        text = kind.__name__
    else:
        # `list[shop.models.Item]` without the modules.
        text = re.sub(r"[\w.<>]*\.", "", str(kind))
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:64].strip("_") or "answer"


def _in_one_piece(root: Schema, definitions: dict[str, Schema]) -> Schema:
    apart = _recursive(definitions)
    if _inlined_length(root, definitions, apart) > MAX_INLINED_LENGTH:
        apart = set(definitions)

    def resolved(schema: Schema) -> Schema:
        definition = _target(schema, definitions, apart)
        if definition is not None:
            return resolved(_merged(schema, definition))
        result = _with_subschemas(schema, resolved)
        # OpenAPI's word, which points into `$defs`; in JSON Schema the constants of the branches say the same.
        result.pop("discriminator", None)
        if result.get("type") == "object":
            result.setdefault("additionalProperties", False)
        return result

    result = resolved(root)
    kept: dict[str, Schema] = {}
    missing = set(_names_used(result))
    while missing:
        kept |= {name: resolved(definitions[name]) for name in missing & definitions.keys()}
        missing = {used for name in missing & kept.keys() for used in _names_used(kept[name])} - kept.keys()
    if kept:
        # In Pydantic's order, so that equal classes give equal text.
        result["$defs"] = {name: kept[name] for name in definitions if name in kept}
    return result


def _target(schema: Schema, definitions: dict[str, Schema], apart: set[str] | None = None) -> Schema | None:
    """What `schema` points to, if that can take its place. What is said beside a `$ref` must not be lost by it."""
    ref = schema.get("$ref")
    name = ref.removeprefix(_REF) if isinstance(ref, str) else None
    if name not in definitions or name in (apart or ()):
        return None
    definition = definitions[name]
    return definition if (schema.keys() - {"$ref"}) & definition.keys() <= _ANNOTATIONS else None


def _merged(schema: Schema, definition: Schema) -> Schema:
    """A field's own description and default are closer to the matter than those of its class."""
    return {**definition, **{key: value for key, value in schema.items() if key != "$ref"}}


def _with_subschemas(schema: Schema, change: Callable[[Schema], Schema]) -> Schema:
    """A copy in which each schema directly below is changed."""

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, dict) else value

    result: Schema = {}
    for keyword, value in schema.items():
        if keyword in _LIST_OF_SCHEMAS and isinstance(value, list):
            value = [changed(item) for item in value]
        elif keyword in _MAP_OF_SCHEMAS and isinstance(value, dict):
            value = {name: changed(item) for name, item in value.items()}
        elif keyword in _SCHEMA:
            value = changed(value)
        result[keyword] = value
    return result


def _names_used(node: Any) -> Iterator[str]:
    """The definitions that `$ref` names anywhere below, each as often as it does."""
    if isinstance(node, dict):
        ref = node.get("$ref")
        if isinstance(ref, str):
            yield ref.removeprefix(_REF)
        for value in node.values():
            yield from _names_used(value)
    elif isinstance(node, list):
        for value in node:
            yield from _names_used(value)


def _recursive(definitions: dict[str, Schema]) -> set[str]:
    """The definitions that lead back to themselves."""
    uses = {name: set(_names_used(schema)) & definitions.keys() for name, schema in definitions.items()}

    def reached(name: str) -> set[str]:
        seen: set[str] = set()
        ahead = uses[name]
        while ahead:
            seen |= ahead
            ahead = {further for one in ahead for further in uses[one]} - seen
        return seen

    return {name for name in definitions if name in reached(name)}


def _inlined_length(root: Schema, definitions: dict[str, Schema], apart: set[str]) -> int:
    """The bytes of JSON with a copy at each `$ref` but those to `apart`, counted without making the copies."""

    @cache
    def of_definition(name: str) -> int:
        return 0 if name in apart or name not in definitions else of(definitions[name])

    def of(schema: Schema) -> int:
        return len(to_json(schema)) + sum(of_definition(name) for name in _names_used(schema))

    return of(root) + sum(of(definitions[name]) for name in apart)
