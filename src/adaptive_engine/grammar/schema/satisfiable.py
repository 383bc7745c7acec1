"""Which subschemas have a finite instance, by a least fixpoint over the kinds of value each can take.

A kind is ruled out only by contradictions that one object states in itself, by children that have no instance, and by
references that only lead back to themselves. What is left may still be impossible.
"""

from __future__ import annotations

import json
import math
from collections import deque
from typing import Any, Final

from adaptive_engine.grammar.schema.document import Document, Schema, children
from adaptive_engine.grammar.schema.report import SchemaRefused

Kinds = frozenset[str]
# A number is an integer or a fraction, so that "integer" and "number" intersect by set.
ALL: Final[Kinds] = frozenset(["null", "boolean", "integer", "fraction", "string", "array", "object"])
NONE: Final[Kinds] = frozenset()
_NUMBERS: Final[Kinds] = frozenset(["integer", "fraction"])


def kinds_of_type(names: str | list[str]) -> Kinds:
    result: set[str] = set()
    for name in [names] if isinstance(names, str) else names:
        result.update(_NUMBERS if name == "number" else [name])
    return frozenset(result)


def kind_of_value(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    if isinstance(value, float):
        return "fraction"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def identity(value: Any) -> str:
    """Equal for values that are equal in JSON: 1 and 1.0 are, 1 and true are not."""
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if kind_of_value(value) == "integer" else value


def check_satisfiable(document: Document) -> None:
    """Raise `SchemaRefused` if the root has no finite instance, pointing at the cause."""
    if document.root is False:
        raise SchemaRefused("unsatisfiable_schema", "", "The schema is false, so no value is allowed.")
    if document.root is not True:
        _Fixpoint(document).check()


def prune(schema: dict[str, Any]) -> bool:
    """Put false in place of references to definitions without an instance. Whether the root has one.

    The engine refuses a schema for such a definition even where nothing requires it.
    """
    document = Document.of(schema)
    fixpoint = _Fixpoint(document)
    fixpoint.run()
    dead = {id(node) for _, node in document.nodes if "$ref" in node and not fixpoint.known[id(node)]}
    stack: list[Any] = [schema] if dead else []
    while stack:
        value = stack.pop()
        for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
            if id(item) in dead:
                value[key] = False
            elif isinstance(item, dict | list):
                stack.append(item)
    return bool(fixpoint.known[id(schema)])


class _Fixpoint:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.known: dict[int, Kinds] = {id(node): NONE for _, node in document.nodes}

    def check(self) -> None:
        self.run()
        root = self.document.root
        if isinstance(root, dict) and not self.known[id(root)]:
            raise self.cause(root)

    def run(self) -> None:
        users: dict[int, list[dict[str, Any]]] = {}
        for _, node in self.document.nodes:
            for child in self.below(node):
                if isinstance(child, dict):
                    users.setdefault(id(child), []).append(node)
        # Children come after their parents in the document, so the other way round most need one visit.
        queue = deque(node for _, node in reversed(self.document.nodes))
        queued = {id(node) for node in queue}
        while queue:
            node = queue.popleft()
            queued.discard(id(node))
            found = self.kinds(node)[0]
            if found != self.known[id(node)]:
                self.known[id(node)] = found
                for user in users.get(id(node), ()):
                    if id(user) not in queued:
                        queued.add(id(user))
                        queue.append(user)

    def below(self, node: dict[str, Any]) -> list[Schema]:
        return [child for _, child in children(node)] + [
            self.document.targets[id(node), key] for key in ("$ref",) if (id(node), key) in self.document.targets
        ]

    def of(self, schema: Schema) -> Kinds:
        if isinstance(schema, bool):
            return ALL if schema else NONE
        return self.known.get(id(schema), ALL)

    def kinds(self, node: dict[str, Any]) -> tuple[Kinds, tuple[str, str], Schema | None]:
        """The kinds `node` can take now; what ruled out the last: its keyword and why, and the child behind it."""
        left = ALL
        for narrowed, keyword, reason, child in self.steps(node):
            left &= narrowed
            if not left:
                return NONE, (keyword, reason), child
        return left, ("", ""), None

    def steps(self, node: dict[str, Any]) -> Any:
        """One after another: the kinds a keyword leaves, its name, the reason in words, and the child it depends on."""
        if "type" in node:
            yield kinds_of_type(node["type"]), "type", "No type is left that all parts of this schema allow.", None
        if "const" in node:
            kind = frozenset([kind_of_value(node["const"])])
            yield kind, "const", "The value of 'const' is not of a type that is allowed here.", None
        if "enum" in node:
            kinds = frozenset(map(kind_of_value, node["enum"]))
            yield kinds, "enum", "No value of 'enum' is of a type that is allowed here.", None
        if "$ref" in node:
            target = self.document.targets[id(node), "$ref"]
            yield self.of(target), "$ref", "What this refers to allows no finite value here.", target
        for index, part in enumerate(node.get("allOf", ())):
            reason = "This branch of 'allOf' allows no finite value here."
            yield self.of(part), f"allOf/{index}", reason, part
        for key in ("anyOf", "oneOf"):
            if key in node:
                kinds = frozenset[str]().union(*map(self.of, node[key]))
                yield kinds, key, f"No branch of '{key}' allows a finite value here.", node[key][0]
        if node.get("not") is True or node.get("not") == {}:
            yield NONE, "not", "'not' excludes every value.", None
        yield from _strings(node)
        yield from _numbers(node)
        yield from self.arrays(node)
        yield from self.objects(node)

    def arrays(self, node: dict[str, Any]) -> Any:
        others = ALL - {"array"}
        least = node.get("minItems", 0)
        if least > node.get("maxItems", math.inf):
            reason = f"minItems ({least:g}) is greater than maxItems ({node['maxItems']:g}); one of them has to change."
            yield others, "minItems", reason, None
        items = node.get("items", True)
        prefix = node.get("prefixItems", items if isinstance(items, list) else [])
        if isinstance(items, list):
            items = node.get("additionalItems", True)
        for index, part in enumerate(prefix):
            if index < least and not self.of(part):
                yield others, f"prefixItems/{index}", "minItems requires this item, and no finite value fits it.", part
        if least > len(prefix) and not self.of(items):
            yield others, "items", f"minItems requires {least:g} items, and no finite value fits them.", items

    def objects(self, node: dict[str, Any]) -> Any:
        others = ALL - {"object"}
        least, most = node.get("minProperties", 0), node.get("maxProperties", math.inf)
        required = node.get("required", ())
        if not isinstance(required, list | tuple):
            required = ()
        if least > most:
            reason = f"minProperties ({least:g}) is greater than maxProperties ({most:g}); one of them has to change."
            yield others, "minProperties", reason, None
        if len(required) > most:
            yield others, "required", f"More keys are required than maxProperties ({most:g}) allows.", None
        properties = node.get("properties", {})
        extra = node.get("additionalProperties", True)
        for index, name in enumerate(required):
            if name in properties:
                if not self.of(properties[name]):
                    reason = f"The property '{name[:100]}' is required, and no finite value fits it."
                    yield others, f"required/{index}", reason, properties[name]
            elif not node.get("patternProperties") and not self.of(extra):
                reason = f"'{name[:100]}' is required, but not among 'properties', and additionalProperties forbids it."
                yield others, f"required/{index}", f"{reason} Declare it or do not require it.", None
        if extra is False and not node.get("patternProperties") and least > len(properties):
            reason = f"minProperties ({least:g}) is greater than the number of properties there are."
            yield others, "minProperties", reason, None

    def cause(self, node: dict[str, Any]) -> SchemaRefused:
        """Follow the reasons from the root down to one that has no child to blame."""
        path: set[int] = set()
        while True:
            pointer = self.document.pointers[id(node)]
            _, (keyword, reason), child = self.kinds(node)
            if id(node) in path:
                reason = "This needs a value that contains itself for ever, so it has no finite instance."
                return SchemaRefused("unsatisfiable_schema", f"{pointer}/{keyword}", reason)
            path.add(id(node))
            if not isinstance(child, dict) or self.of(child):
                return SchemaRefused("unsatisfiable_schema", f"{pointer}/{keyword}", reason)
            node = child


def _strings(node: dict[str, Any]) -> Any:
    if node.get("minLength", 0) > node.get("maxLength", math.inf):
        least, most = node["minLength"], node["maxLength"]
        reason = f"minLength ({least:g}) is greater than maxLength ({most:g}); one of them has to change."
        yield ALL - {"string"}, "minLength", reason, None


def _numbers(node: dict[str, Any]) -> Any:
    low, high = node.get("minimum", -math.inf), node.get("maximum", math.inf)
    above, below = node.get("exclusiveMinimum", -math.inf), node.get("exclusiveMaximum", math.inf)
    if above is True:
        above = low
    if below is True:
        below = high
    above, below = (-math.inf if above is False else above), (math.inf if below is False else below)
    lower = "exclusiveMinimum" if above >= low and above != -math.inf else "minimum"
    bottom, top = max(low, above), min(high, below)
    if bottom > top or (bottom == top and (bottom == above or top == below) and not math.isinf(bottom)):
        yield ALL - _NUMBERS, lower, f"No number lies between {bottom:g} and {top:g} as the bounds ask for.", None
    elif not math.isinf(bottom) and not math.isinf(top):
        first = math.floor(bottom) + 1 if bottom == above else math.ceil(bottom)
        last = math.ceil(top) - 1 if top == below else math.floor(top)
        if first > last:
            yield ALL - {"integer"}, lower, f"No whole number lies between {bottom:g} and {top:g}.", None
