"""Rewritings of keywords about the keys of objects. Each takes the node and returns what to add to it instead."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, Any, Final

from adaptive_engine.grammar.schema import formats, patterns
from adaptive_engine.grammar.schema.algebra import Inexact, type_of
from adaptive_engine.grammar.schema.document import Schema, escape
from adaptive_engine.grammar.schema.ecma import PatternInvalid, PatternUnsupported
from adaptive_engine.grammar.schema.modern import any_of

if TYPE_CHECKING:
    from adaptive_engine.grammar.schema.algebra import Algebra
    from adaptive_engine.grammar.schema.keywords import Node

_MAX_SUBSETS: Final = 64
_MAX_NESTING: Final = 4
_NAME_KEYWORDS: Final = frozenset(
    ["type", "enum", "const", "pattern", "rust", "minLength", "maxLength", "format", "not", "allOf", "$ref"]
)


def dependent_required(node: Node) -> Schema:
    parts: list[dict[str, Any]] = []
    for name, others in node.node["dependentRequired"].items():
        if not others:
            continue
        if name in node.node.get("required", ()):
            parts.append({"required": others})
        else:
            branches: list[dict[str, Any]] = [{"properties": {name: False}}, {"required": others}]
            if name not in node.node.get("properties", {}):
                # Keys that are required but not declared come first, in this order: let either come first.
                branches.append({"required": [name, *others]})
            parts.append({"anyOf": branches})
    return {"allOf": parts} if len(parts) > 1 else parts[0] if parts else True


def dependent_schemas(node: Node) -> Schema:
    parts: list[Schema] = []
    for name, schema in node.node["dependentSchemas"].items():
        if schema is True or schema == {}:
            continue
        required = name in node.node.get("required", ()) and node.kinds == {"object"}
        parts.append(schema if required else {"anyOf": [{"properties": {name: False}}, schema]})
    return {"allOf": parts} if parts else True


def property_names(node: Node) -> Schema:
    names = node.node["propertyNames"]
    algebra = node.rewriter.algebra
    if names is True or names == {}:
        return True
    closed: dict[str, Any] = {"additionalProperties": False}
    declared = {name: None for part in (node.chain[0], node.node) for name in algebra.declared(part)[0]}
    try:
        found = _name_pattern(node, names)
        ok = {name: found is not None and (found == "" or patterns.matches(found, name)) for name in declared}
    except (PatternUnsupported, PatternInvalid) as error:
        raise Inexact(str(error)) from None
    if declared:
        closed["properties"] = ok
    if found is None:
        return closed
    if found == "":
        return True
    if node.node.get("additionalProperties") is False and not node.node.get("patternProperties"):
        return {"properties": ok} if declared else True
    if found in _atoms(node)[1]:
        raise Inexact("it meets patternProperties")
    return {**closed, "patternProperties": {found: True}}


def _name_pattern(node: Node, names: Schema) -> str | None:
    """One pattern for the names that match; "" for any, None if there are none."""
    if isinstance(names, bool):
        return "" if names else None
    algebra = node.rewriter.algebra
    found: list[str] = []
    for part in algebra.flat(names):
        if part.keys() - _NAME_KEYWORDS:
            raise Inexact(f"'{min(part.keys() - _NAME_KEYWORDS)}' on names of properties")
        if "string" not in algebra.kinds(part):
            return None
        if "enum" in part or "const" in part:
            values = part.get("enum", [part.get("const")])
            found.append(patterns.one_of([value for value in values if isinstance(value, str)]))
        found += [part["pattern"]] if "pattern" in part else []
        found += part.get("rust", [])
        if "minLength" in part or "maxLength" in part:
            found.append(patterns.length(part.get("minLength", 0), part.get("maxLength")))
        if "format" in part:
            if part["format"] not in formats.PATTERNS:
                raise Inexact("a format of names of properties")
            found.append(formats.PATTERNS[part["format"]])
        if "not" in part:
            negated = algebra.negate(part["not"], frozenset(["string"]))
            if len(negated) != 1:
                raise Inexact("a negation on names of properties")
            inner = _name_pattern(node, negated[0])
            if inner is None:
                return None
            found += [inner] if inner else []
    if not found:
        return ""
    whole = found[0] if len(found) > 1 else patterns.single(found[0])
    for other in found[1:]:
        both = patterns.combine(whole, other, True, True)
        if both is None:
            return None
        whole = both
    return whole


def unevaluated_properties(node: Node) -> Schema:
    rest = {key: value for key, value in node.node.items() if key != "unevaluatedProperties"}
    value = node.node["unevaluatedProperties"]
    algebra = node.rewriter.algebra
    if value is True or value == {}:
        return True

    def closed(*parts: Schema) -> Schema:
        """Every key that no part evaluates has to match `value`."""
        properties: dict[str, Any] = {}
        by_pattern: dict[str, Any] = {}
        for part in parts:
            for flat in algebra.flat(part):
                if "additionalProperties" in flat or "unevaluatedProperties" in flat:
                    return True
                properties.update(dict.fromkeys(flat.get("properties", {}), True))
                by_pattern.update(dict.fromkeys(flat.get("patternProperties", {}), True))
        result: dict[str, Any] = {"additionalProperties": value}
        if properties:
            result["properties"] = properties
        if by_pattern:
            result["patternProperties"] = by_pattern
        return result

    choices = [(flat, key) for flat in algebra.flat(rest) for key in _CHOICES if key in flat]
    choices = [(flat, key) for flat, key in choices if _evaluates(node, flat, key)]
    if not choices:
        return closed(rest)
    if len(choices) > 1:
        raise Inexact("several alternatives decide which properties are evaluated")
    flat, key = choices[0]
    if key == "if":
        then, other = flat.get("then", True), flat.get("else", True)
        outside = any_of(algebra.negate(flat["if"]))
        return any_of(
            [
                {"allOf": [flat["if"], then, closed(rest, flat["if"], then)]},
                {"allOf": [outside, other, closed(rest, other)]},
            ]
        )
    if key not in ("anyOf", "oneOf") or not algebra.all_disjoint(flat[key], rest):
        raise Inexact("alternatives that may hold together decide which properties are evaluated")
    if any(_inner_choice(node, branch) for branch in flat[key]):
        raise Inexact("nested alternatives decide which properties are evaluated")
    return any_of([{"allOf": [branch, closed(rest, branch)]} for branch in flat[key]])


_CHOICES: Final = ("anyOf", "oneOf", "if", "dependentSchemas")


def _evaluates(node: Node, flat: dict[str, Any], key: str) -> bool:
    """Whether a choice says anything about keys, beyond those that are declared beside it."""
    value = flat[key]
    parts = value if isinstance(value, list) else list(value.values()) if key == "dependentSchemas" else [value]
    parts = [*parts, flat.get("then", True), flat.get("else", True)] if key == "if" else parts
    known = set(flat.get("properties", {}))
    for part in parts:
        for inner in node.rewriter.algebra.in_place(part):
            if set(inner.get("properties", {})) - known or inner.keys() & _KEYS:
                return True
    return False


_KEYS: Final = frozenset(["patternProperties", "additionalProperties", "unevaluatedProperties"])


def _inner_choice(node: Node, branch: Schema) -> bool:
    flats = node.rewriter.algebra.flat(branch)
    return any(_evaluates(node, flat, key) for flat in flats for key in _CHOICES if key in flat)


def count_properties(node: Node) -> None:
    """minProperties and maxProperties: the engine has them where every declared property is required."""
    keyword = "minProperties" if "minProperties" in node.node else "maxProperties"
    least, most = node.node.get("minProperties", 0), node.node.get("maxProperties")
    algebra = node.rewriter.algebra
    flats = [flat for part in node.chain for flat in algebra.flat(part)]
    names = {name: None for part in (node.chain[0], node.node) for name in algebra.declared(part)[0]}
    required = {name for flat in flats for name in flat.get("required", ())}
    closed = False
    for flat in flats:
        own = flat.get("properties", {})
        for name, item in own.items():
            if item is False:
                names.pop(name, None)
        if flat.get("additionalProperties") is False and not flat.get("patternProperties"):
            closed = True
            names = {name: None for name in names if name in own}
    optional = [name for name in names if name not in required]
    least = 0 if least <= len(required) else least
    most = None if most is None or (closed and most >= len(names)) else most
    if least - len(required) > 1 and not _all_named(algebra, flats):
        reason = "Keys that are not listed under 'properties' may be repeated, and then count once."
        node.note("unenforced", "minProperties", reason)
    elif "minProperties" in node.node and not optional:
        node.enforce("minProperties")
    if not optional:
        node.out.update({"minProperties": least} if least else {})
        node.out.update({"maxProperties": most} if most is not None else {})
        if "maxProperties" in node.node:
            node.enforce("maxProperties")
        return

    def make(_: Node) -> Schema:
        found = _subsets(optional, least - len(required), most, len(required), closed)
        others = node.kinds - {"object"}
        return type_of(others) if found is False and others else found

    if not node.conjoin(keyword, make):
        for other in {"minProperties", "maxProperties"} & node.node.keys() - {keyword}:
            node.note("unenforced", other, "The number of optional properties is only checked afterwards.")


def _all_named(algebra: Algebra, flats: list[dict[str, Any]], depth: int = 0) -> bool:
    """Whether keys can only be those that are listed by name: the engine writes each of them once at most."""
    for flat in flats:
        if flat.get("additionalProperties") is False and not flat.get("patternProperties"):
            return True
        if flat.get("unevaluatedProperties") is False and not any(
            part.get("additionalProperties") or part.get("patternProperties") for part in algebra.in_place(flat)
        ):
            return True
        branches = (flat[key] for key in ("anyOf", "oneOf") if key in flat and depth < _MAX_NESTING)
        if any(all(_all_named(algebra, algebra.flat(part), depth + 1) for part in parts) for parts in branches):
            return True
    return False


def _subsets(optional: list[str], least: int, most: int | None, required: int, closed: bool) -> Schema:
    """Alternatives over which optional properties are there. `least` counts beyond the required ones."""
    if least <= 0 and most is None:
        return True
    count = len(optional)
    if closed and most is None and comb(count, min(least, count)) <= _MAX_SUBSETS:
        return any_of([{"required": list(chosen)} for chosen in combinations(optional, least)])
    if not closed and most is None and least == 1 and count <= _MAX_SUBSETS:
        none = {"properties": dict.fromkeys(optional, False), "minProperties": required + 1}
        return any_of([*({"required": [name]} for name in optional), none])
    if closed and most is not None and least <= 0 and comb(count, max(0, most - required)) <= _MAX_SUBSETS:
        kept = combinations(optional, max(0, most - required))
        absent = [[name for name in optional if name not in chosen] for chosen in kept]
        return any_of([{"properties": dict.fromkeys(names, False)} for names in absent])
    if 2**count > _MAX_SUBSETS:
        raise Inexact("too many combinations of optional properties")
    result = []
    for size in range(count + 1):
        if (most is not None and required + size > most) or (closed and size < least):
            continue
        for chosen in combinations(optional, size):
            rest = {name: False for name in optional if name not in chosen}
            branch: dict[str, Any] = {"required": list(chosen), "properties": rest}
            if not closed and size < least:
                branch["minProperties"] = required + least
            if not closed and most is not None:
                branch["maxProperties"] = most
            result.append(branch)
    return any_of(result)


def pattern_properties(node: Node, value: dict[str, Schema]) -> None:
    """Patterns that meet in one object have to be equal or exclude each other for the engine; others are split."""
    atoms, failed = _atoms(node)
    found: dict[str, list[Schema]] = {}
    for name, schema in value.items():
        at = f"{node.where('patternProperties')}/{escape(name)}" if node.own else node.at
        if name in failed:
            reason = f"Keys that match this pattern are only checked afterwards: {failed[name]}."
            node.rewriter.note("unenforced", at, "patternProperties", reason)
            if "additionalProperties" in node.node:
                node.note("unenforced", "additionalProperties", "It depends on a pattern that the engine cannot take.")
                node.dropped.add("additionalProperties")
                node.out.pop("additionalProperties", None)
            continue
        node.enforce("patternProperties")
        for atom, inside in atoms:
            if name in inside:
                found.setdefault(atom, []).append(schema)
    if found:
        # Made once for each set of schemas, because an atom may stand for many.
        node.out["patternProperties"] = {
            atom: node.rewriter.rewrite(
                parts[0] if len(parts) == 1 else {"allOf": parts}, node.where("patternProperties")
            )
            for atom, parts in found.items()
        }


Atoms = list[tuple[str, frozenset[str]]]
Partition = tuple[Atoms, dict[str, str]]


def _atoms(node: Node) -> Partition:
    """Patterns that exclude each other, each with the patterns it is part of, for all that may meet in this object.

    And the patterns that could not be taken, with the reason.
    """
    algebra = node.rewriter.algebra
    names: dict[str, None] = {}
    for part in (node.chain[0], node.node):
        for inner in algebra.in_place(part):
            names.update(dict.fromkeys(inner.get("patternProperties", {})))
            if "propertyNames" in inner:
                try:
                    found = _name_pattern(node, inner["propertyNames"])
                except (Inexact, PatternInvalid, PatternUnsupported):
                    continue
                names.update({found: None} if found else {})
    return node.rewriter.partition(tuple(names), _partition)


def _partition(names: tuple[str, ...]) -> Partition:
    atoms: Atoms = []
    failed: dict[str, str] = {}
    for name in names:
        try:
            atoms = _split(atoms, name)
        except (PatternUnsupported, PatternInvalid) as error:
            failed[name] = str(error)
    return atoms, failed


def _split(atoms: Atoms, name: str) -> Atoms:
    result: Atoms = []
    left: str | None = patterns.single(name)
    for known, inside in atoms:
        both = None if left is None else patterns.combine(known, left, True, True)
        if both is None:
            result.append((known, inside))
            continue
        assert left is not None
        result.append((both, inside | {name}))
        if (only := patterns.combine(known, left, True, False)) is not None:
            result.append((only, inside))
        left = patterns.combine(known, left, False, True)
    if left is not None:
        result.append((left, frozenset([name])))
    if len(result) > _MAX_SUBSETS:
        raise PatternUnsupported("too many patterns overlap")
    return result


REWRITES: Final = (
    ("dependentRequired", dependent_required),
    ("dependentSchemas", dependent_schemas),
    ("propertyNames", property_names),
    ("unevaluatedProperties", unevaluated_properties),
)
