"""Reduces a client's JSON schema to what a vendor's structured output takes.

What is taken away only ever lets more through, and each piece of it is a notice with a JSON pointer: the finished
answer is checked against the schema as the client sent it. Where a vendor wants more than the schema says (closed
objects, all properties required), it gets that as far as every answer stays valid and nothing has to be made up: an
object that names its properties is closed, a property that may be null is required. A schema that cannot be said in
that way is not enforced by the vendor, which is a notice too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from adaptive_engine.providers.schema_rules import RULES, SchemaRules
from adaptive_engine.providers.schema_shapes import (
    ASSERTIONS,
    Rooted,
    definition_of,
    implied_type,
    reachable,
    references,
    rooted,
    tells_apart,
    token,
    type_of,
    types,
)
from adaptive_engine.types import Notice

_PARAM = "response_format.json_schema.schema"
_MAX_NOTICES = 20
# Look-around, backreferences, word boundaries and large repetitions.
_HARD_PATTERNS = r"\(\?(?!:)|\\[bB1-9]|\{\d{3}|,\d{3,}\}"
# With one of these beside it, `properties` need not be all that an object may have.
_OPENING = ("patternProperties", "allOf", "anyOf", "oneOf", "$ref", "$dynamicRef", "if", "dependentSchemas")
# Keywords that say nothing with this value.
_IDLE = {"uniqueItems": False, "minItems": 0, "minLength": 0, "minProperties": 0}


@dataclass(frozen=True, slots=True)
class Reduction:
    """What a vendor is told of a schema."""

    schema: dict[str, Any]
    enforced: bool
    """False: the vendor cannot enforce it, and `schema` is the client's own, to guide the model."""
    notices: tuple[Notice, ...]
    """What of the schema the vendor does not enforce; `param` ends with a JSON pointer."""


@dataclass(slots=True)
class Size:
    """What vendors limit."""

    properties: int = 0
    optional: int = 0
    unions: int = 0
    enum_values: int = 0
    depth: int = 0


def reduce(schema: dict[str, Any] | bool, vendor: str) -> Reduction:
    """`vendor` is a key of `RULES`. The schema is one that our own checker has taken."""
    whole: dict[str, Any] = dict(schema) if isinstance(schema, dict) else {} if schema else {"not": {}}
    reducer = _Reducer(rooted(whole), RULES[vendor])
    reduced = reducer.run()
    if reducer.obstacles:
        return Reduction(whole, False, _limited(reducer.obstacles))
    return Reduction(reduced, True, _limited(reducer.notices))


class _Reducer:
    def __init__(self, root: Rooted, rules: SchemaRules) -> None:
        self._at = root
        self._root = root.schema
        self._rules = rules
        self._size = Size()
        self._reach = reachable(root.schema)
        self._within = "#"
        """The definition that is being looked at."""
        self.notices: list[Notice] = []
        self.obstacles: list[Notice] = []
        """Why the vendor cannot enforce it at all."""

    def run(self) -> dict[str, Any]:
        rules, definitions = self._rules, self._root.get("$defs", {})
        reduced = self._schema(self._root, self._at.at, 0)
        if definitions:
            reduced["$defs"] = {}
        for name, definition in definitions.items():
            self._within = name
            reduced["$defs"][name] = self._schema(definition, f"{self._at.definitions_at}/{token(name)}", 1)
        if rules.object_root and reduced.get("type") != "object":
            self._obstacle("", "It takes only schemas of objects.")
        if rules.recursion == "none" and (name := next((name for name in self._reach if self._cyclic(name)), None)):
            at = self._at.at if name == "#" else f"{self._at.definitions_at}/{token(name)}"
            self._obstacle(at, "It takes no schemas that contain themselves.")
        for what, most in rules.limits.items():
            if (count := getattr(self._size, what)) > most:
                self._obstacle("", f"It takes {what.replace('_', ' ')} up to {most}, and here there are {count}.")
        return reduced

    def _schema(self, node: Any, at: str, depth: int) -> dict[str, Any]:
        if not isinstance(node, dict):
            if node is not True:
                self._dropped(at, "false", "it cannot say that nothing is valid")
            node = {}
        rules = self._rules
        notes = {name: node[name] for name in node if name in rules.annotations}
        only = node.get("allOf", ())
        if len(only) == 1 and isinstance(only[0], dict) and not node.keys() & ASSERTIONS - {"allOf"}:
            node, at = only[0], f"{at}/allOf/0"
            notes = {**{name: node[name] for name in node if name in rules.annotations}, **notes}
        self._size.depth = max(self._size.depth, depth)
        if self._follows(node):
            for name in node.keys() & ASSERTIONS - {"$ref"}:
                self._dropped(f"{at}/{name}", name, "nothing may stand beside $ref")
            return {"$ref": node["$ref"]}
        result = dict(notes)
        for name in node:
            if name in ASSERTIONS and not (name in _IDLE and node[name] == _IDLE[name]):
                self._keyword(node, name, result, at, depth)
        if rules.closed:
            self._close(node, result, at)
        return result

    def _keyword(self, node: dict[str, Any], name: str, result: dict[str, Any], at: str, depth: int) -> None:
        """Says one keyword in `result`, as far as that can be said."""
        rules, value, here = self._rules, node[name], f"{at}/{token(name)}"
        match name:
            case "const" if type_of(value) not in rules.enum_types:
                self._dropped(here, name, f"not for {type_of(value)}")
            case "const" if name not in rules.keywords:
                result["enum"] = [value]
            case "enum" if "const" in node and "enum" in result:
                # Nothing that the constant leaves to say.
                pass
            case "enum" if not {type_of(each) for each in value} <= rules.enum_types:
                self._dropped(here, name, "not for values of all these types")
            case "format" if name in rules.keywords and value not in rules.formats:
                self._dropped(here, name, f"not {value}")
            case "minItems" if rules.most_min_items is not None and value > rules.most_min_items:
                result[name] = rules.most_min_items
                self._dropped(here, name, f"{rules.most_min_items} at most")
            case "pattern" if name in rules.keywords and re.search(_HARD_PATTERNS, value):
                self._dropped(here, name, "too difficult")
            case "required":
                result[name] = self._required(node, here)
            case "oneOf" if "anyOf" not in node:
                if not self._disjoint(value):
                    self._dropped(here, name, "more than one of them may match")
                self._branches("anyOf", value, result, here, depth)
            case "anyOf":
                self._branches(name, value, result, here, depth)
            case "properties":
                self._size.properties += len(value)
                result[name] = {
                    key: self._schema(child, f"{here}/{token(key)}", depth + 1) for key, child in value.items()
                }
            case "prefixItems" if name in rules.keywords:
                result[name] = [self._schema(child, f"{here}/{i}", depth + 1) for i, child in enumerate(value)]
            case "items" | "additionalProperties" if isinstance(value, dict) and self._stands_alone(node, name):
                result[name] = self._schema(value, here, depth + 1)
            case "items" | "additionalProperties" if value is True:
                pass
            case "unevaluatedProperties" if value is False and rules.closed:
                pass
            case "additionalProperties" if value is False and self._stands_alone(node, name):
                result[name] = value
            case _ if name in rules.keywords and name not in ("items", "additionalProperties", "$ref"):
                self._size.enum_values += len(value) if name == "enum" else 0
                result[name] = value
            case _:
                self._dropped(here, name)

    def _branches(self, name: str, value: list[Any], result: dict[str, Any], here: str, depth: int) -> None:
        self._size.unions += 1
        result[name] = [self._schema(branch, f"{here}/{i}", depth) for i, branch in enumerate(value)]

    def _required(self, node: dict[str, Any], here: str) -> list[str]:
        rules, named = self._rules, node.get("properties", {})
        required = []
        for name in node["required"]:
            if name not in named:
                self._dropped(here, "required", f"not '{name}', which is not among the properties")
            elif rules.recursion == "optional" and self._cyclic(self._within) and self._leads_back(named[name]):
                self._dropped(here, "required", f"not '{name}', which contains what it is part of")
            else:
                required.append(name)
        return required

    def _leads_back(self, node: Any) -> bool:
        return any(self._within in {name, *self._reach.get(name, ())} for name in references(node))

    def _cyclic(self, name: str) -> bool:
        return name in self._reach[name]

    def _follows(self, node: dict[str, Any]) -> bool:
        """Whether there is a reference that the vendor can follow."""
        name = definition_of(node.get("$ref"))
        return name is not None and node is not self._root and (name == "#" or name in self._root.get("$defs", {}))

    def _target(self, node: Any) -> Any:
        """What a schema that is nothing but a reference means."""
        if isinstance(node, dict) and node.keys() & ASSERTIONS == {"$ref"}:
            return self._root.get("$defs", {}).get(definition_of(node["$ref"]))
        return node

    def _stands_alone(self, node: dict[str, Any], name: str) -> bool:
        """What covers the rest must go with what it is the rest of: alone it would forbid too much."""
        first = {"items": ("prefixItems",), "additionalProperties": ("patternProperties",)}[name]
        return not any(other in node and other not in self._rules.keywords for other in first)

    def _close(self, node: dict[str, Any], result: dict[str, Any], at: str) -> None:
        """Makes it a schema that says what it is, whose objects have no other properties than they name."""
        if isinstance(result.get("type"), list):
            self._size.unions += 1
        if "type" not in result and "anyOf" not in result:
            implied = implied_type(node)
            if implied is None:
                self._obstacle(at, "It wants to know the type.")
                return
            result["type"] = implied
        if "array" in types(result) and "items" not in result:
            self._obstacle(at, "It wants to know the type of the items.")
        if "object" in types(result) or "properties" in result:
            self._close_object(node, result, at)

    def _close_object(self, node: dict[str, Any], result: dict[str, Any], at: str) -> None:
        named, required = node.get("properties", {}), list(node.get("required", ()))
        word = "additionalProperties" if "additionalProperties" in node else "unevaluatedProperties"
        rest = node.get(word)
        if rest not in (None, False):
            self._obstacle(f"{at}/{word}", "It takes only objects that name all their properties.")
        elif (rest is None and not named) or any(word in node for word in _OPENING) or not set(required) <= set(named):
            self._obstacle(at, "It takes only objects that name all their properties in one place.")
        result["properties"], result["additionalProperties"] = result.get("properties", {}), False
        for name in named:
            if name not in required:
                self._size.optional += 1
                if self._rules.all_required:
                    required.append(name)
                    if not self._nullable(named[name]):
                        reason = "It wants every property to be required: require it, or let it be null."
                        self._obstacle(f"{at}/properties/{token(name)}", reason)
        result["required"] = required

    def _nullable(self, node: Any) -> bool:
        """Whether null is sure to be valid; false where that is hard to say."""
        node = self._target(node)
        if not isinstance(node, dict):
            return node is True
        if node.keys() & ASSERTIONS == {"anyOf"}:
            return any(isinstance(each, dict) and types(each) == {"null"} for each in node["anyOf"])
        hard = {"const", "anyOf", "oneOf", "allOf", "not", "if", "$ref", "$dynamicRef"}
        return "null" in types(node) and None in node.get("enum", (None,)) and not node.keys() & hard

    def _disjoint(self, branches: list[Any]) -> bool:
        """Whether a value can match one branch only: by its type, or by a required property that is a constant."""
        nodes = [self._target(branch) for branch in branches]
        if not all(isinstance(node, dict) for node in nodes):
            return False
        kinds = [kind for node in nodes for kind in (types(node) or {"any"})]
        kinds = ["number" if kind == "integer" else kind for kind in kinds]
        if "any" not in kinds and len(set(kinds)) == len(kinds):
            return True
        return any(tells_apart(name, nodes) for name in nodes[0].get("properties", ()))

    def _dropped(self, at: str, keyword: str, reason: str = "") -> None:
        message = f"{keyword}: the provider does not enforce it{f' ({reason})' if reason else ''}."
        self.notices.append(Notice("schema_keyword_not_enforced", message, _param(at)))

    def _obstacle(self, at: str, reason: str) -> None:
        message = f"The schema guides the model, but the provider does not enforce it. {reason}"
        self.obstacles.append(Notice("schema_not_enforced", message, _param(at)))


def _limited(notices: list[Notice]) -> tuple[Notice, ...]:
    notices = list(dict.fromkeys(notices))
    if len(notices) <= _MAX_NOTICES:
        return tuple(notices)
    more = f"The provider does not enforce {len(notices) - _MAX_NOTICES} more keywords of the schema."
    return (*notices[:_MAX_NOTICES], Notice("schema_keyword_not_enforced", more, _PARAM))


def _param(pointer: str) -> str:
    return f"{_PARAM}#{pointer}" if pointer else _PARAM
