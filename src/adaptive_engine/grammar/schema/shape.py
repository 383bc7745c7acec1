"""Whether each keyword of one schema object has a value of the right form."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from adaptive_engine.grammar.schema.document import MANY, NAMED, ONE, escape
from adaptive_engine.grammar.schema.report import SchemaRefused

_MAX_COUNT: Final = 2**53 - 1
_MAX_NUMBER: Final = sys.float_info.max
TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")


def check_shape(node: dict[str, Any], pointer: str) -> None:
    """Raise `SchemaRefused` for the first keyword of `node` that is malformed. Subschemas are not entered."""
    for key, value in node.items():
        check = _CHECKS.get(key)
        if check is not None:
            check(value, f"{pointer}/{escape(key)}", key)


def _bad(pointer: str, reason: str) -> SchemaRefused:
    return SchemaRefused("invalid_schema", pointer, reason)


def _kind(value: object) -> str:
    """How a value is called in a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return f"the number {value!r:.40}" if abs(value) <= _MAX_NUMBER else "so large a number"
    if isinstance(value, str):
        return f"the string {value!r:.60}"
    return "an array" if isinstance(value, list) else "an object"


def _schema(value: object, pointer: str, key: str) -> None:
    if not isinstance(value, dict | bool):
        raise _bad(pointer, f"'{key}' must be a schema, which is an object or a boolean, not {_kind(value)}.")


def _schemas(value: object, pointer: str, key: str) -> None:
    if not isinstance(value, list):
        raise _bad(pointer, f"'{key}' must be an array of schemas, not {_kind(value)}.")
    if not value and key != "items":
        raise _bad(pointer, f"'{key}' must hold at least one schema; leave it out instead of leaving it empty.")
    for index, item in enumerate(value):
        _schema(item, f"{pointer}/{index}", key)


def _items(value: object, pointer: str, key: str) -> None:
    if isinstance(value, list):
        _schemas(value, pointer, key)
    else:
        _schema(value, pointer, key)


def _named(value: object, pointer: str, key: str) -> None:
    if not isinstance(value, dict):
        raise _bad(pointer, f"'{key}' must be an object of schemas by name, not {_kind(value)}.")
    for name, item in value.items():
        where = f"{pointer}/{escape(name)}"
        if key != "dependencies" or not isinstance(item, list):
            _schema(item, where, name)
        else:
            _names(item, where, name)


def _names(value: object, pointer: str, key: str) -> None:
    if isinstance(value, bool) and key == "required":
        raise _bad(pointer, "'required' must be an array of property names; put it on the object, not on the property.")
    if not isinstance(value, list):
        raise _bad(pointer, f"'{key}' must be an array of property names, not {_kind(value)}.")
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise _bad(f"{pointer}/{index}", f"'{key}' must hold property names, not {_kind(item)}.")
    if len(set(value)) < len(value):
        raise _bad(pointer, f"'{key}' names a property twice; each may stand once.")


def _dependent(value: object, pointer: str, key: str) -> None:
    if not isinstance(value, dict):
        raise _bad(pointer, f"'{key}' must be an object of arrays of property names, not {_kind(value)}.")
    for name, item in value.items():
        _names(item, f"{pointer}/{escape(name)}", name)


def _type(value: object, pointer: str, key: str) -> None:
    names = value if isinstance(value, list) else [value]
    if not names:
        raise _bad(pointer, "'type' must name at least one type.")
    for index, name in enumerate(names):
        where = f"{pointer}/{index}" if isinstance(value, list) else pointer
        if not isinstance(name, str):
            raise _bad(where, f"'type' must be the name of a type or an array of names, not {_kind(name)}.")
        if name not in TYPES:
            raise _bad(where, f"{name[:60]!r} is not a type. The types are {', '.join(TYPES)}.")
    if len(set(names)) < len(names):
        raise _bad(pointer, "'type' names a type twice; each may stand once.")


def _enum(value: object, pointer: str, key: str) -> None:
    if not isinstance(value, list):
        raise _bad(pointer, f"'enum' must be an array of the allowed values, not {_kind(value)}.")
    if not value:
        raise SchemaRefused(
            "unsatisfiable_schema", pointer, "'enum' is empty, so no value is allowed. List the values."
        )


def _count(value: object, pointer: str, key: str) -> None:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or value < 0:  # type: ignore[operator]
        raise _bad(pointer, f"'{key}' must be a whole number that is not negative, not {_kind(value)}.")
    if value > _MAX_COUNT:  # type: ignore[operator]
        raise _bad(pointer, f"'{key}' must not be greater than {_MAX_COUNT}; leave it out.")


def _number(value: object, pointer: str, key: str) -> None:
    if isinstance(value, bool) and key.startswith("exclusive"):
        return  # Draft 4 and OpenAPI 3.0.
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise _bad(pointer, f"'{key}' must be a number, not {_kind(value)}.")
    if abs(value) > _MAX_NUMBER:
        raise _bad(pointer, f"'{key}' must be a number that a double can hold; leave it out.")
    if key == "multipleOf" and value <= 0:
        raise _bad(pointer, f"'multipleOf' must be greater than 0, not {value!r:.40}.")


def _text(value: object, pointer: str, key: str) -> None:
    if not isinstance(value, str):
        raise _bad(pointer, f"'{key}' must be a string, not {_kind(value)}.")


def _flag(value: object, pointer: str, key: str) -> None:
    if not isinstance(value, bool):
        raise _bad(pointer, f"'{key}' must be true or false, not {_kind(value)}.")


_CHECKS: Final[dict[str, Callable[[object, str, str], None]]] = {
    **dict.fromkeys(ONE, _schema),
    **dict.fromkeys(MANY, _schemas),
    **dict.fromkeys(NAMED | {"dependencies"}, _named),
    **dict.fromkeys(("$ref", "$dynamicRef", "$anchor", "$dynamicAnchor", "$id", "$schema"), _text),
    **dict.fromkeys(("pattern", "format"), _text),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains"), _count),
    **dict.fromkeys(("minProperties", "maxProperties"), _count),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _number),
    "items": _items,
    "type": _type,
    "enum": _enum,
    "required": _names,
    "dependentRequired": _dependent,
    "uniqueItems": _flag,
}
