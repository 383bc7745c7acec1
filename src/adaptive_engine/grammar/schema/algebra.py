"""Negation of schemas.

Negations are written without `not`: as alternatives of positive keywords. `rust` is a keyword of our own in them: a
list of patterns in Rust's dialect.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from adaptive_engine.grammar.schema import patterns
from adaptive_engine.grammar.schema.document import Schema
from adaptive_engine.grammar.schema.ecma import PatternInvalid, PatternUnsupported
from adaptive_engine.grammar.schema.modern import any_of
from adaptive_engine.grammar.schema.proofs import Proofs
from adaptive_engine.grammar.schema.satisfiable import ALL, Kinds, kind_of_value, kinds_of_type

_NUMBERS: Final = frozenset(["integer", "fraction"])
_MAX_DEPTH: Final = 12
_MAX_ALTERNATIVES: Final = 64


class Inexact(Exception):
    """There is no exact form in what the engine enforces; the text says what stands in the way."""


def type_of(kinds: Kinds) -> dict[str, Any]:
    """The schema of all values of these kinds."""
    if kinds == ALL:
        return {}
    names = sorted(kinds - {"integer", "fraction"})
    if "fraction" in kinds and "integer" not in kinds:
        raise Inexact("numbers that are not integers cannot be told apart from integers")
    if "integer" in kinds:
        names.append("number" if "fraction" in kinds else "integer")
    return {"type": names[0] if len(names) == 1 else names}


class Algebra(Proofs):
    """`Proofs`, and negation."""

    def negate(self, schema: Schema, kinds: Kinds = ALL, depth: int = 0) -> list[dict[str, Any]]:
        """Alternatives that together hold the values of `kinds` that `schema` rejects. Raises `Inexact`."""
        if depth > _MAX_DEPTH:
            raise Inexact("the negation is nested too deeply")
        if not kinds or schema is True:
            return []
        if schema is False:
            return [type_of(kinds)]
        assert isinstance(schema, dict)
        node = self.modern(schema)
        result: list[dict[str, Any]] = []
        if "type" in node:
            allowed = kinds_of_type(node["type"])
            if kinds - allowed:
                result.append(type_of(kinds - allowed))
            kinds &= allowed
        for key, value in node.items():
            if key != "type" and kinds:
                result.extend(self._negate_keyword(node, key, value, kinds, depth + 1))
            if len(result) > _MAX_ALTERNATIVES:
                raise Inexact("the negation has too many alternatives")
        return result

    def _negate_keyword(
        self, node: dict[str, Any], key: str, value: Any, kinds: Kinds, depth: int
    ) -> list[dict[str, Any]]:
        match key:
            case "const":
                return _other_values([value], kinds)
            case "enum":
                return _other_values(value, kinds)
            case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
                if not kinds & _NUMBERS:
                    return []
                opposite = {"minimum": "exclusiveMaximum", "maximum": "exclusiveMinimum"}
                opposite |= {"exclusiveMinimum": "maximum", "exclusiveMaximum": "minimum"}
                return [type_of(kinds & _NUMBERS) | {opposite[key]: value}]
            case "minLength" | "minItems" | "minProperties" | "maxLength" | "maxItems" | "maxProperties":
                kind = {"L": "string", "I": "array", "P": "object"}[key[3]]
                if kind not in kinds or (key.startswith("min") and value == 0):
                    return []
                if key.startswith("min"):
                    return [{"type": kind, f"max{key[3:]}": value - 1}]
                return [{"type": kind, f"min{key[3:]}": value + 1}]
            case "pattern":
                return [] if "string" not in kinds else [{"type": "string", "rust": [_complement(value)]}]
            case "required":
                return [{"type": "object", "properties": {name: False}} for name in value if "object" in kinds]
            case "properties":
                if "object" not in kinds:
                    return []
                negated = ((name, self.negate(item, ALL, depth)) for name, item in value.items())
                return [
                    {"type": "object", "required": [name], "properties": {name: any_of(found)}}
                    for name, found in negated
                    if found
                ]
            case "prefixItems":
                if "array" not in kinds:
                    return []
                places = [self.negate(item, ALL, depth) for item in value]
                return [
                    {"type": "array", "minItems": i + 1, "prefixItems": [*[True] * i, any_of(alternatives)]}
                    for i, alternatives in enumerate(places)
                    if alternatives
                ]
            case "items":
                found = [] if "array" not in kinds else self.negate(value, ALL, depth)
                if not found:
                    return []
                start = len(node.get("prefixItems", ()))
                if any(alternative == {} for alternative in found):
                    return [{"type": "array", "minItems": start + 1}]
                if start:
                    raise Inexact("some item after the first ones has to differ")
                return [{"type": "array", "contains": any_of(found)}]
            case "contains":
                if "array" not in kinds or node.get("minContains") == 0:
                    return []
                if node.get("minContains", 1) != 1 or "maxContains" in node:
                    raise Inexact("a number of matching items is excluded")
                return [{"type": "array", "items": any_of(self.negate(value, ALL, depth))}]
            case "allOf" | "$ref":
                return [part for branch in value for part in self.negate(branch, kinds, depth)]
            case "anyOf" | "oneOf":
                once, every = self.gathered(value)
                if key == "oneOf" and not self.all_disjoint(every, {}):
                    raise Inexact("the branches of a negated 'oneOf' overlap")
                branches = once if key == "oneOf" else every
                parts = [any_of(self.negate(branch, kinds, depth)) for branch in branches]
                return [] if any(part is False for part in parts) else [{"allOf": parts}]
            case "not":
                return [{"allOf": [value, type_of(kinds)]}]
            case "if":
                then, other = node.get("then", True), node.get("else", True)
                result = [{"allOf": [value, part]} for part in self.negate(then, kinds, depth)]
                if refused := self.negate(other, kinds, depth):
                    outside = any_of(self.negate(value, kinds, depth))
                    result += [{"allOf": [outside, part]} for part in refused]
                return result
            case "dependentRequired":
                if "object" not in kinds:
                    return []
                return [
                    {"type": "object", "required": [name], "properties": {other: False}}
                    for name, others in value.items()
                    for other in others
                ]
            case "dependentSchemas":
                if "object" not in kinds:
                    return []
                return [
                    {"allOf": [{"type": "object", "required": [name]}, part]}
                    for name, item in value.items()
                    for part in self.negate(item, kinds, depth)
                ]
            case "then" | "else" | "minContains" | "maxContains":
                return []
            case "format":
                if "string" not in kinds:
                    return []
            case "multipleOf":
                if not kinds & _NUMBERS:
                    return []
            case "uniqueItems" | "unevaluatedItems":
                if "array" not in kinds:
                    return []
            case "additionalProperties" | "patternProperties" | "propertyNames" | "unevaluatedProperties":
                if "object" not in kinds or (isinstance(value, bool | dict) and value in (True, {})):
                    return []
        raise Inexact(f"'{key}' has no exact negation")


def _complement(pattern: str) -> str:
    try:
        return patterns.complement(pattern)
    except (PatternUnsupported, PatternInvalid) as error:
        raise Inexact(f"the complement of a pattern: {error}") from None


def _other_values(values: list[Any], kinds: Kinds) -> list[dict[str, Any]]:
    """Everything of `kinds` but these values."""
    present: dict[str, list[Any]] = {}
    for value in values:
        present.setdefault(kind_of_value(value), []).append(value)
    numbers = [*present.get("integer", ()), *present.get("fraction", ())]
    untouched = {kind for kind in kinds if kind not in present}
    if numbers:
        untouched -= _NUMBERS
    result = [type_of(frozenset(untouched))] if untouched else []
    if "boolean" in kinds and "boolean" in present:
        left = [value for value in (False, True) if value not in present["boolean"]]
        result += [{"enum": left}] if left else []
    if "string" in kinds and "string" in present:
        try:
            result.append({"type": "string", "rust": [patterns.none_of(present["string"])]})
        except PatternUnsupported as error:
            raise Inexact(str(error)) from None
    if numbers and kinds & _NUMBERS:
        result += _gaps(sorted(set(numbers)), type_of(kinds & _NUMBERS))
    for kind, bound in (("array", "minItems"), ("object", "minProperties")):
        if kind in kinds and kind in present:
            if any(present[kind]):
                raise Inexact(f"an {kind} is excluded by its value")
            result.append({"type": kind, bound: 1})
    return result


def _gaps(numbers: list[float], base: dict[str, Any]) -> list[dict[str, Any]]:
    edges: list[float | None] = [None, *numbers, None]
    result = []
    for low, high in pairwise(edges):
        if base == {"type": "integer"} and low is not None and high is not None and high - low <= 1:
            continue
        gap = dict(base)
        if low is not None:
            gap["exclusiveMinimum"] = low
        if high is not None:
            gap["exclusiveMaximum"] = high
        result.append(gap)
    return result
