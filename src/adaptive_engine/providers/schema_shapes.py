"""What can be read off a JSON schema without knowing who will enforce it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ASSERTIONS = frozenset(
    {"type", "enum", "const", "format", "pattern", "minLength", "maxLength", "multipleOf", "minimum", "maximum"}
    | {"exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "uniqueItems", "minContains", "maxContains"}
    | {"minProperties", "maxProperties", "required", "dependentRequired", "dependencies"}
    | {"properties", "additionalProperties", "patternProperties", "propertyNames", "unevaluatedProperties"}
    | {"items", "prefixItems", "additionalItems", "contains", "unevaluatedItems", "$ref", "$dynamicRef"}
    | {"anyOf", "oneOf", "allOf", "not", "if", "then", "else", "dependentSchemas"}
)
_IMPLIED = {
    "object": {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"},
    "string": {"pattern", "minLength", "maxLength"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}


@dataclass(frozen=True, slots=True)
class Rooted:
    """A schema with its definitions under `$defs`, and no reference in the place of the root."""

    schema: dict[str, Any]
    at: str
    """JSON pointer to what is now the root, in the schema as it was."""
    definitions_at: str


def rooted(schema: dict[str, Any]) -> Rooted:
    definitions_at = "/$defs"
    if "definitions" in schema and "$defs" not in schema:
        definitions_at = "/definitions"
        schema = {("$defs" if name == "definitions" else name): _renamed(value) for name, value in schema.items()}
    name = definition_of(schema.get("$ref"))
    target = None if name is None else schema.get("$defs", {}).get(name)
    if isinstance(target, dict) and not schema.keys() & ASSERTIONS - {"$ref"} and "$ref" not in target:
        return Rooted({**target, "$defs": schema["$defs"]}, f"{definitions_at}/{token(name or '')}", definitions_at)
    return Rooted(schema, "", definitions_at)


def _renamed(node: Any) -> Any:
    if isinstance(node, list):
        return [_renamed(each) for each in node]
    if isinstance(node, dict):
        return {name: _renamed(value) for name, value in node.items()}
    return node.replace("#/definitions/", "#/$defs/", 1) if isinstance(node, str) else node


def definition_of(reference: Any) -> str | None:
    """The name of the definition that a `$ref` means, `#` for the root; None for another place."""
    if not isinstance(reference, str):
        return None
    if reference == "#":
        return "#"
    name = reference.removeprefix("#/$defs/")
    return None if name == reference or "/" in name else name.replace("~1", "/").replace("~0", "~")


def token(name: str) -> str:
    """As a JSON pointer has it."""
    return name.replace("~", "~0").replace("/", "~1")


def tells_apart(name: str, nodes: list[dict[str, Any]]) -> bool:
    values: list[Any] = []
    for node in nodes:
        of_property = node.get("properties", {}).get(name)
        if not isinstance(of_property, dict) or name not in node.get("required", ()) or types(node) != {"object"}:
            return False
        values += [of_property["const"]] if "const" in of_property else of_property.get("enum", [None, None])
    return all(isinstance(value, str) for value in values) and len(set(values)) == len(values)


def implied_type(node: dict[str, Any]) -> str | list[str] | None:
    """The type that a schema without one speaks of."""
    values = [node["const"]] if "const" in node else node.get("enum")
    if values:
        kinds = sorted({type_of(value) for value in values})
        return kinds[0] if len(kinds) == 1 else kinds
    found = [kind for kind, words in _IMPLIED.items() if node.keys() & words]
    return found[0] if len(found) == 1 else None


def reachable(root: dict[str, Any]) -> dict[str, set[str]]:
    """Which definitions each definition leads to; `#` is the root. One that leads to itself is recursive."""
    nodes = {**root.get("$defs", {}), "#": {name: value for name, value in root.items() if name != "$defs"}}
    uses = {name: set(references(node)) for name, node in nodes.items()}
    found: dict[str, set[str]] = {}
    for name in nodes:
        seen: set[str] = set()
        left = set(uses[name])
        while left:
            seen.add(used := left.pop())
            left |= uses.get(used, set()) - seen
        found[name] = seen
    return found


def references(node: Any) -> list[str]:
    """The definitions that are named somewhere in it."""
    if isinstance(node, list):
        return [name for each in node for name in references(each)]
    if not isinstance(node, dict):
        return []
    own = definition_of(node.get("$ref"))
    return [*([] if own is None else [own]), *(name for value in node.values() for name in references(value))]


def types(node: dict[str, Any]) -> set[str]:
    kinds = node.get("type", ())
    return {kinds} if isinstance(kinds, str) else set(kinds)


def type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
    return "object"
