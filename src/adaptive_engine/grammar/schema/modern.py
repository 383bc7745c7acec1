"""One spelling for every draft: the keywords that assert something, as JSON Schema 2020-12 has them."""

from __future__ import annotations

from typing import Any, Final

from adaptive_engine.grammar.schema.document import Document, Schema

ASSERTING: Final = frozenset(
    [
        "type",
        "const",
        "enum",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "minLength",
        "maxLength",
        "pattern",
        "format",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "properties",
        "patternProperties",
        "additionalProperties",
        "propertyNames",
        "required",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "uniqueItems",
        "unevaluatedItems",
        "contains",
        "minContains",
        "maxContains",
    ]
)
_COUNTS: Final = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_CONTAINS: Final = ("minContains", "maxContains")


class Modern:
    """Shallow translations of a document's nodes, made once each. Subschemas in them are still the client's.

    In a translation `$ref` holds a list of the schemas it leads to. Nodes that are not the client's are taken to be
    translated already.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self._known: dict[int, dict[str, Any]] = {}

    def __call__(self, node: dict[str, Any]) -> dict[str, Any]:
        if id(node) not in self.document.pointers:
            return node
        if id(node) not in self._known:
            self._known[id(node)] = self._translate(node)
        return self._known[id(node)]

    def _translate(self, node: dict[str, Any]) -> dict[str, Any]:
        new: dict[str, Any] = {}
        for key, value in node.items():
            if key in ("$ref", "$dynamicRef", "$recursiveRef"):
                if (id(node), key) in self.document.targets:
                    new.setdefault("$ref", []).append(self.document.targets[id(node), key])
            elif key == "dependencies":
                for name, item in value.items():
                    kind = "dependentRequired" if isinstance(item, list) else "dependentSchemas"
                    new.setdefault(kind, {})[name] = item
            elif key == "items" and isinstance(value, list):
                new["prefixItems"] = value
                if "additionalItems" in node:
                    new["items"] = node["additionalItems"]
            elif key in ("dependentRequired", "dependentSchemas"):
                new.setdefault(key, {}).update(value)
            elif key in ASSERTING:
                new[key] = value
        for key in (*_COUNTS, *_CONTAINS):
            if key in new:
                new[key] = int(new[key])
                if new[key] == 0 and key.startswith("min") and key != "minContains":
                    del new[key]
        _bounds(new)
        if not new.get("uniqueItems"):
            new.pop("uniqueItems", None)
        if "contains" not in new:
            for key in _CONTAINS:
                new.pop(key, None)
        if "if" not in new or ("then" not in new and "else" not in new):
            for key in ("if", "then", "else"):
                new.pop(key, None)
        return new


def _bounds(node: dict[str, Any]) -> None:
    for exclusive, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(node.get(exclusive), bool) and node.pop(exclusive) and inclusive in node:
            node[exclusive] = node.pop(inclusive)


def any_of(branches: list[dict[str, Any]]) -> Schema:
    """The schema that one of `branches` has to match."""
    return False if not branches else branches[0] if len(branches) == 1 else {"anyOf": branches}
