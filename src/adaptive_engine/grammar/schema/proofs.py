"""What a schema says without being rewritten: its parts, its kinds of value, and whether two can share a value."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import jsonschema_rs
from jsonschema_rs.canonical import CanonicalizationError, Satisfiability

from adaptive_engine.grammar.schema import patterns
from adaptive_engine.grammar.schema.document import Schema
from adaptive_engine.grammar.schema.ecma import PatternInvalid, PatternUnsupported
from adaptive_engine.grammar.schema.modern import Modern
from adaptive_engine.grammar.schema.satisfiable import ALL, Kinds, identity, kind_of_value, kinds_of_type

_MAX_PROOFS: Final = 600
_MAX_SKETCH: Final = 300
_MONOTONE: Final = frozenset(
    [
        "type",
        "const",
        "enum",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "required",
        "minProperties",
        "maxProperties",
        "minItems",
        "maxItems",
        "pattern",
    ]
)
# What a schema that only lists values may say.
_VALUES: Final = frozenset(["const", "enum"])
_LISTING: Final = _VALUES | {"type", "allOf", "$ref"}


class Proofs:
    """Answers about the schemas of one document, remembered. A proof that is not found is no proof of the opposite."""

    def __init__(self, modern: Modern) -> None:
        self.modern = modern
        self._proofs = 0
        self._sketches: dict[int, Any] = {}
        # The schema is kept beside the result, because an id is only unique among the living.
        self._places: dict[int, tuple[Schema, list[dict[str, Any]]]] = {}
        self._flats: dict[int, list[dict[str, Any]]] = {}

    def all_disjoint(self, branches: list[Schema], context: dict[str, Any]) -> bool:
        """Whether no value of `context` matches two of `branches`, as far as that can be proven."""
        return not self.overlaps(branches, context)

    def overlaps(self, branches: list[Schema], context: dict[str, Any]) -> list[tuple[int, int]]:
        """The pairs of branches not proven to be disjoint."""
        if self._tagged(branches, context):
            return []
        pairs = [(i, j) for i in range(len(branches)) for j in range(i + 1, len(branches))]
        return [(i, j) for i, j in pairs if not self._disjoint(branches[i], branches[j], context)]

    def _tagged(self, branches: list[Schema], context: dict[str, Any]) -> bool:
        """The common case in linear time: objects, told apart by the constants of one required property."""
        flat = [self.flat(branch) + self.flat(context) for branch in branches]
        if not flat or any(self._kinds_of(parts) != {"object"} for parts in flat):
            return False
        names = set.intersection(*({name for part in parts for name in part.get("required", ())} for parts in flat))
        for name in names:
            seen: set[tuple[type, Any]] = set()
            for parts in flat:
                values = self._constants(
                    [part["properties"][name] for part in parts if name in part.get("properties", {})]
                )
                if not values or values & seen:
                    break
                seen |= values
            else:
                return True
        return False

    def _constants(self, schemas: list[Schema]) -> set[tuple[type, Any]]:
        for schema in schemas:
            for part in self.flat(schema):
                values = [part["const"]] if "const" in part else part.get("enum")
                if values and all(isinstance(value, str | bool) for value in values):
                    return {(type(value), value) for value in values}
        return set()

    def flat(self, schema: Schema) -> list[dict[str, Any]]:
        """The nodes whose keywords all apply to a value of `schema`, as far as they are found without branching."""
        own = isinstance(schema, dict) and id(schema) in self.modern.document.pointers
        if own and id(schema) in self._flats:
            return self._flats[id(schema)]
        result: dict[int, dict[str, Any]] = {}
        stack = [schema]
        while stack:
            part = stack.pop()
            if not isinstance(part, bool) and id(node := self.modern(part)) not in result:
                result[id(node)] = node
                stack.extend(reversed([*node.get("$ref", ()), *node.get("allOf", ())]))
        found = list(result.values())
        if own and len(found) < _MAX_SKETCH:
            self._flats[id(schema)] = found
        return found

    def in_place(self, schema: Schema) -> list[dict[str, Any]]:
        """The nodes that may apply to a value of `schema` itself: `flat`, and what alternatives may add."""
        known = self._places.get(id(schema))
        if known is not None and known[0] is schema:
            return known[1]
        result: list[dict[str, Any]] = []
        seen: set[int] = set()
        stack = [schema]
        while stack:
            part = stack.pop()
            if isinstance(part, bool) or id(node := self.modern(part)) in seen:
                continue
            seen.add(id(node))
            result.append(node)
            for key in ("dependentSchemas", "else", "then", "if", "oneOf", "anyOf", "allOf", "$ref"):
                value = node.get(key, ())
                stack.extend(
                    reversed(value) if isinstance(value, list) else value.values() if key[0] == "d" and value else ()
                )
                if key in ("if", "then", "else") and key in node:
                    stack.append(value)
        if len(result) > 8:
            self._places[id(schema)] = (schema, result)
        return result

    def declared(self, schema: dict[str, Any]) -> tuple[dict[str, None], set[str]]:
        """Names, in order, and patterns of properties that some part in place of `schema` mentions."""
        names: dict[str, None] = {}
        found: set[str] = set()
        for node in self.in_place(schema):
            names.update(dict.fromkeys(node.get("properties", {})))
            found.update(node.get("patternProperties", {}))
        return names, found

    def values(self, schema: Schema) -> list[Any] | None:
        """All values of a schema that lists them; None for others."""
        for part in self.flat(schema):
            if "const" in part:
                return [part["const"]]
            if "enum" in part:
                return list(part["enum"])
            if part.get("type") in ("boolean", "null"):
                return [False, True] if part["type"] == "boolean" else [None]
        return None

    def gathered(self, branches: list[Schema]) -> tuple[list[Schema], list[Schema]]:
        """The branches of a `oneOf`, those that only list values as one: pairs of many values would take too long.

        Twice: in the first, that branch has the values of exactly one branch; in the second, which is what other
        branches have to differ from, those of all.
        """
        others: list[Schema] = []
        listed: list[dict[str, Any]] = []
        for branch in branches:
            found = self._listed(branch)
            others += [branch] if found is None else []
            listed += [] if found is None else [found]
        if len(listed) < 2:
            return branches, branches
        every = {key: value for found in listed for key, value in found.items()}
        count = Counter(key for found in listed for key in found)
        once = [value for key, value in every.items() if count[key] == 1]
        return [_enum(once), *others], [_enum(list(every.values())), *others]

    def _listed(self, schema: Schema) -> dict[str, Any] | None:
        """The values of a schema that lists them and says nothing else, by what tells them apart; None for others."""
        parts = self.flat(schema)
        values = self.values(schema)
        if values is None or any(part.keys() - _LISTING for part in parts):
            return None
        if any(inner is False for part in parts for key in ("allOf", "$ref") for inner in part.get(key, ())):
            return {}
        kinds = self._kinds_of(parts)
        found = {identity(value): value for value in values if kind_of_value(value) in kinds}
        for allowed in (part[key] if key == "enum" else [part[key]] for part in parts for key in part.keys() & _VALUES):
            found = {key: found[key] for key in map(identity, allowed) if key in found}
        return found

    def kinds(self, schema: Schema) -> Kinds:
        """The kinds of value that `schema` leaves, as far as its own keywords tell."""
        return self._kinds_of(self.flat(schema))

    def _kinds_of(self, parts: list[dict[str, Any]]) -> Kinds:
        kinds = ALL
        for part in parts:
            if "type" in part:
                kinds &= kinds_of_type(part["type"])
            if "enum" in part or "const" in part:
                kinds &= frozenset(map(kind_of_value, part.get("enum", [part.get("const")])))
        return kinds

    def _disjoint(self, left: Schema, right: Schema, context: dict[str, Any], depth: int = 0) -> bool:
        if left is False or right is False:
            return True
        self._proofs += 1
        if self._proofs > _MAX_PROOFS or depth > 4:
            return False
        one, two = self.flat(left) + self.flat(context), self.flat(right) + self.flat(context)
        kinds = self._kinds_of(one) & self._kinds_of(two)
        if not kinds or self._proved(left, right, context):
            return True
        if kinds == {"string"}:
            return _no_common_string(one + two)
        if kinds == {"object"}:
            required = {name for part in one + two for name in part.get("required", ())}
            for name in required:
                a = [part["properties"][name] for part in one if name in part.get("properties", {})]
                b = [part["properties"][name] for part in two if name in part.get("properties", {})]
                if a and b and self._disjoint({"allOf": a}, {"allOf": b}, {}, depth + 1):
                    return True
        return False

    def _proved(self, left: Schema, right: Schema, context: dict[str, Any]) -> bool:
        try:
            whole = self._sketched(left).intersect(self._sketched(right))
            if context:
                whole = whole.intersect(self._sketched(context))
            return bool(whole.satisfiability() == Satisfiability.NO)
        except (CanonicalizationError, jsonschema_rs.ValidationError, ValueError):
            return False

    def _sketched(self, schema: Schema) -> jsonschema_rs.CanonicalSchema:
        known = self._sketches.get(id(schema))
        if known is None or known[0] is not schema:
            budget = [_MAX_SKETCH]
            sketch = self._sketch(schema, (), budget)
            known = (schema, jsonschema_rs.canonicalize(sketch, draft=jsonschema_rs.Draft202012))
            self._sketches[id(schema)] = known
        return known[1]

    def _sketch(self, schema: Schema, stack: tuple[int, ...], budget: list[int]) -> Any:
        """A schema without references that matches at least what `schema` matches."""
        if isinstance(schema, bool):
            return schema
        budget[0] -= 1
        if budget[0] < 0 or id(schema) in stack or len(stack) > 8:
            return True
        stack = (*stack, id(schema))
        node = self.modern(schema)
        new: dict[str, Any] = {}
        every: list[Any] = []
        for key, value in node.items():
            if key in ("enum", "const") and len(value if key == "enum" else "") > 500:
                continue
            if key in _MONOTONE:
                new[key] = value
            elif key in ("properties", "patternProperties"):
                new[key] = {name: self._sketch(item, stack, budget) for name, item in value.items()}
            elif key in ("additionalProperties", "items"):
                new[key] = self._sketch(value, stack, budget)
            elif key == "prefixItems":
                new[key] = [self._sketch(item, stack, budget) for item in value]
            elif key in ("anyOf", "oneOf"):
                every.append({"anyOf": [self._sketch(item, stack, budget) for item in value]})
            elif key in ("allOf", "$ref"):
                every.extend(self._sketch(item, stack, budget) for item in value)
        if every:
            new["allOf"] = every
        return new


def _enum(values: list[Any]) -> Schema:
    return {"enum": values} if values else False


def _no_common_string(parts: list[dict[str, Any]]) -> bool:
    """Whether patterns and lengths leave no string."""
    found = [part["pattern"] for part in parts if "pattern" in part]
    found += [patterns.length(part.get("minLength", 0), part.get("maxLength")) for part in parts if _bounded(part)]
    enums = [part.get("enum", [part.get("const")]) for part in parts if "enum" in part or "const" in part]
    found += [patterns.one_of([value for value in values if isinstance(value, str)]) for values in enums]
    found = sorted(set(found))[:6]
    try:
        return any(patterns.disjoint(a, b) for i, a in enumerate(found) for b in found[i + 1 :])
    except (PatternUnsupported, PatternInvalid):
        return False


def _bounded(part: dict[str, Any]) -> bool:
    return ("minLength" in part or "maxLength" in part) and max(
        part.get("minLength", 0), part.get("maxLength", 0)
    ) < 200
