"""What becomes of each keyword of one schema object."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from adaptive_engine.grammar.schema import arrays, formats, numbers, objects, patterns
from adaptive_engine.grammar.schema.algebra import Inexact, type_of
from adaptive_engine.grammar.schema.document import Schema, escape
from adaptive_engine.grammar.schema.ecma import PatternInvalid, PatternUnsupported
from adaptive_engine.grammar.schema.limits import DEFAULT
from adaptive_engine.grammar.schema.modern import any_of
from adaptive_engine.grammar.schema.report import SchemaRefused
from adaptive_engine.grammar.schema.satisfiable import ALL, Kinds, kinds_of_type

if TYPE_CHECKING:
    from adaptive_engine.grammar.schema.normalise import Rewriter

# Alternatives that one object may multiply out to: the engine distributes them when it merges `allOf`.
_MAX_PRODUCT: Final = 200
_PLAIN: Final = frozenset(["type", "required", "minItems", "maxItems"])
DEPENDENT: Final = frozenset(["minProperties", "maxProperties", "patternProperties", "propertyNames"])
_ABOUT_KEYS: Final = DEPENDENT | {"properties", "dependentRequired", "dependentSchemas"}
_CONTEXT: Final = frozenset(["type", "required", "properties", "additionalProperties", "enum", "const", "$ref"])


class Node:
    """One object on its way: `node` is the client's, `out` the engine's, `extra` what else a value has to match."""

    def __init__(
        self, rewriter: Rewriter, node: dict[str, Any], at: str, own: bool, beside: tuple[dict[str, Any], ...]
    ) -> None:
        self.rewriter = rewriter
        self.node = node
        self.at = at
        self.chain = (*beside, node)
        # Whether the keywords are the client's, so that their pointers can be named one by one.
        self.own = own
        self.out: dict[str, Any] = {}
        self.extra: list[Schema] = []
        self.dropped: set[str] = set()
        self.product = 1
        self.kinds: Kinds = kinds_of_type(node["type"]) if "type" in node else ALL

    def where(self, keyword: str) -> str:
        return f"{self.at}/{keyword}" if self.own else self.at

    def note(self, kind: str, keyword: str, reason: str) -> None:
        self.rewriter.note(kind, self.where(keyword), keyword, reason)

    def rewrite(self, schema: Schema, keyword: str) -> Schema:
        return self.rewriter.rewrite(schema, self.where(keyword))

    def in_place(self, schema: Schema, keyword: str) -> Schema:
        return self.rewriter.rewrite(schema, self.where(keyword), self.chain)

    def attempt(self, make: Callable[[], Schema], keyword: str) -> Schema:
        return self.rewriter.attempt(make, self.where(keyword), self.chain)

    def run(self) -> Schema:
        for key, value in self.node.items():
            if key in _PLAIN:
                self.out[key] = value
                self.enforce(key)
            elif (handler := getattr(self, f"on_{key.replace('$', '')}", None)) is not None:
                handler(value)
        for keyword, make in (*objects.REWRITES, *arrays.REWRITES):
            if keyword in self.node:
                self.conjoin(keyword, make)
        if False in self.extra:
            return False
        if self.extra:
            self.out["allOf"] = [*self.out.get("allOf", ()), *self.extra]
        return self.out

    def enforce(self, keyword: str) -> None:
        if self.own:
            self.rewriter.enforced[keyword] = None

    def conjoin(self, keyword: str, make: Callable[[Node], Schema]) -> bool:
        """Add what `make` says instead of `keyword`, or note why that is impossible. Whether it was possible."""
        try:
            found = self.attempt(lambda: self.capped(make(self)), keyword)
        except Inexact as error:
            self.note("unenforced", keyword, f"'{keyword}' is only checked afterwards: {error}.")
            return False
        if found != {}:
            self.extra.append(found)
        self.note("rewritten", keyword, f"'{keyword}' is enforced in another spelling.")
        return True

    def capped(self, schema: Schema) -> Schema:
        size = _alternatives(schema)
        if self.product * size > _MAX_PRODUCT:
            raise Inexact("it multiplies with the alternatives beside it")
        self.product *= size
        return schema

    # Values -------------------------------------------------------------------------------------------------------

    def on_const(self, value: Any) -> None:
        if numbers.exact(value):
            self.out["const"] = value
            self.enforce("const")
        else:
            self.note("unenforced", "const", "The engine has no exact form for a number in this value.")

    def on_enum(self, values: list[Any]) -> None:
        kept = [value for value in values if numbers.exact(value)]
        if kept:
            self.out["enum"] = kept
            self.enforce("enum")
        if not kept:
            self.note("unenforced", "enum", "The engine has no exact form for numbers in these values.")
        elif len(kept) < len(values):
            self.note("narrowed", "enum", "Values with numbers that the engine cannot write exactly are never chosen.")

    def bound(self, value: float, keyword: str) -> None:
        if abs(value) <= numbers.SAFE:
            self.out[keyword] = value
            self.enforce(keyword)
            if "fraction" in self.kinds and numbers.leaks(self.node, keyword):
                reason = f"The engine takes {value:g} itself, as the other bound is less than 1 away."
                self.note("unenforced", keyword, reason)
            return
        low = "inimum" in keyword
        if (value < 0) is low:
            self.out["minimum" if low else "maximum"] = -numbers.SAFE if low else numbers.SAFE
            self.note("narrowed", keyword, "Only numbers up to 2^53 - 1 can be written exactly, so no larger are used.")
        else:
            self.note("unenforced", keyword, "Numbers beyond 2^53 - 1 have no exact form in the engine.")

    def on_minimum(self, value: float) -> None:
        self.bound(value, "minimum")

    def on_maximum(self, value: float) -> None:
        self.bound(value, "maximum")

    def on_exclusiveMinimum(self, value: float) -> None:
        self.bound(value, "exclusiveMinimum")

    def on_exclusiveMaximum(self, value: float) -> None:
        self.bound(value, "exclusiveMaximum")

    def on_multipleOf(self, value: float) -> None:
        size = numbers.divisor(value)
        if 0 < size <= numbers.MAX_DIVISOR and value not in self.rewriter.banned:
            self.out["multipleOf"] = int(value) if float(value).is_integer() else value
            self.enforce("multipleOf")
            return
        found = numbers.multiples(self.node, "fraction" not in self.kinds)
        if found is None:
            reason = "This divisor is too large for the engine, alone or with others of the same value."
            self.note("unenforced", "multipleOf", reason)
            return
        if not found and self.kinds <= {"integer", "fraction"}:
            reason = f"No multiple of {value:g} lies within the bounds."
            raise SchemaRefused("unsatisfiable_schema", self.where("multipleOf"), reason)
        others = self.kinds - {"integer", "fraction"}
        schema: Schema = {"enum": found} if found else False
        from_others: list[dict[str, Any]] = [{"type": sorted(others)}] if others else []
        self.extra.append(any_of([*([schema] if isinstance(schema, dict) else []), *from_others]))
        self.note("rewritten", "multipleOf", "The multiples within the bounds are listed.")

    def on_minLength(self, value: int) -> None:
        if value <= DEFAULT.length:
            self.out["minLength"] = value
            self.enforce("minLength")
        else:
            # Of the opposite of a `maxLength`; a client's own is refused before.
            others = self.kinds - {"string"}
            self.extra.append(type_of(others) if others else False)

    def on_maxLength(self, value: int) -> None:
        if value <= DEFAULT.length:
            self.out["maxLength"] = value
        self.enforce("maxLength")

    def on_pattern(self, value: str) -> None:
        try:
            found = patterns.translate(value)
        except PatternInvalid as error:
            reason = f"This pattern is not a regular expression: {error}."
            raise SchemaRefused("invalid_schema", self.where("pattern"), reason) from None
        except PatternUnsupported as error:
            reason = f"The engine has no grammar for this pattern ({error}), so it is only checked afterwards."
            self.note("unenforced", "pattern", reason)
            return
        self.on_rust(list(found))
        if len(found) == 1:
            self.enforce("pattern")
        else:
            self.note("rewritten", "pattern", "Look-aheads became patterns of their own.")

    def on_rust(self, found: list[str]) -> None:
        for pattern in found:
            if pattern == "":
                continue
            if "pattern" not in self.out:
                self.out["pattern"] = pattern
            else:
                self.extra.append({"pattern": pattern})

    def on_format(self, name: str) -> None:
        if not self.kinds & {"string"}:
            return
        known = formats.SAME.get(name, name)
        if known in formats.NATIVE:
            self.out["format"] = known
            if known in formats.EXTRA:
                self.on_rust([formats.EXTRA[known]])
            self.enforce("format")
        elif known in formats.PATTERNS:
            self.on_rust([formats.PATTERNS[known]])
            self.note("rewritten", "format", f"The format '{name}' is enforced as a pattern.")
        else:
            self.on_rust([formats.ROUGHLY[known]] if known in formats.ROUGHLY else [])
            self.note("unenforced", "format", f"The engine has no grammar for the format {name[:60]!r}.")

    # Applicators --------------------------------------------------------------------------------------------------

    def on_ref(self, targets: list[Schema]) -> None:
        for target in targets:
            found = self.rewriter.reference(target) if not self.depends(target) else self.inlined(target)
            if isinstance(found, dict) and found.keys() == {"$ref"} and "$ref" not in self.out:
                self.out["$ref"] = found["$ref"]
            elif found is not True:
                self.extra.append(found)
        self.enforce("$ref")

    def inlined(self, target: Schema) -> Schema:
        try:
            return self.attempt(lambda: target, "$ref")
        except Inexact:
            return self.rewriter.reference(target)

    def depends(self, target: Schema) -> bool:
        """Whether what the target becomes depends on what else applies here, so that it cannot be shared."""
        algebra = self.rewriter.algebra
        if isinstance(target, bool) or not self.rewriter.dependent:
            return False
        if any(self.rewriter.modern(target) is node for node in self.chain):
            return False
        if not any(part.keys() & DEPENDENT for part in algebra.in_place(target)):
            return False
        inside = {id(part) for part in algebra.in_place(target)}
        around = (part for part in algebra.in_place(self.chain[0]) if id(part) not in inside)
        return any(part.keys() & _ABOUT_KEYS for part in around)

    def on_allOf(self, parts: list[Schema]) -> None:
        self.out["allOf"] = [self.in_place(part, "allOf") for part in parts]
        self.enforce("allOf")

    def on_anyOf(self, parts: list[Schema]) -> None:
        self.out["anyOf"] = [self.in_place(part, "anyOf") for part in parts]
        self.product *= max(1, len(parts))
        self.enforce("anyOf")

    def on_oneOf(self, parts: list[Schema]) -> None:
        rest = {key: value for key, value in self.node.items() if key in _CONTEXT}
        parts, every = self.rewriter.algebra.gathered(parts)
        overlapping = self.rewriter.algebra.overlaps(every, rest)
        if not overlapping:
            found = self.alternatives(parts)
            self.note("rewritten", "oneOf", "The branches exclude each other, so that 'anyOf' says the same.")
        else:
            try:
                found = self.attempt(lambda: self.exclusive(parts, every, overlapping), "oneOf")
                self.note("rewritten", "oneOf", "Each branch excludes what other branches match.")
            except Inexact as error:
                found = self.alternatives(parts)
                reason = f"Branches may overlap, so that a value of several is only found out afterwards: {error}."
                self.note("unenforced", "oneOf", reason)
        if found is False:
            self.rewriter.impossible(self.where("oneOf"), "No value matches exactly one branch of this 'oneOf'.")
        self.product *= max(1, len(parts))
        if isinstance(found, dict) and found.keys() == {"anyOf"} and "anyOf" not in self.node:
            self.out["anyOf"] = found["anyOf"]
        else:
            self.extra.append(found)

    def alternatives(self, parts: list[Schema]) -> Schema:
        found = [self.in_place(part, "oneOf") for part in parts if part is not False]
        return {"anyOf": found} if found else False

    def exclusive(self, parts: list[Schema], every: list[Schema], overlapping: list[tuple[int, int]]) -> Schema:
        branches: list[dict[str, Any]] = []
        for index, part in enumerate(parts):
            if part is False:
                continue
            others = {a + b - index for a, b in overlapping if index in (a, b)}
            kinds = self.rewriter.algebra.kinds(part) & self.kinds
            excluded = [any_of(self.rewriter.algebra.negate(every[other], kinds)) for other in sorted(others)]
            branch = {"allOf": [part, *excluded]}
            if False not in excluded and not self.rewriter.algebra.all_disjoint([branch, True], {}):
                branches.append(branch)
        return any_of(branches)

    def on_not(self, value: Schema) -> None:
        self.conjoin("not", lambda node: any_of(self.rewriter.algebra.negate(value, self.kinds)))

    def on_if(self, value: Schema) -> None:
        def make(node: Node) -> Schema:
            then, other = self.node.get("then", True), self.node.get("else", True)
            outside = any_of(self.rewriter.algebra.negate(value, self.kinds))
            return any_of([{"allOf": [value, then]}, {"allOf": [outside, other]}])

        self.conjoin("if", make)

    def on_properties(self, value: dict[str, Schema]) -> None:
        self.out["properties"] = {
            name: self.rewriter.rewrite(item, f"{self.where('properties')}/{escape(name)}" if self.own else self.at)
            for name, item in value.items()
        }
        self.enforce("properties")

    def on_additionalProperties(self, value: Schema) -> None:
        if "additionalProperties" in self.dropped:
            return
        self.out["additionalProperties"] = self.rewrite(value, "additionalProperties")
        self.enforce("additionalProperties")

    def on_patternProperties(self, value: dict[str, Schema]) -> None:
        objects.pattern_properties(self, value)

    def on_items(self, value: Schema) -> None:
        self.out["items"] = self.rewrite(value, "items")
        self.enforce("items")

    def on_prefixItems(self, value: list[Schema]) -> None:
        self.out["prefixItems"] = [self.rewrite(item, "prefixItems") for item in value]
        self.enforce("prefixItems")

    def on_minProperties(self, value: int) -> None:
        objects.count_properties(self)

    def on_maxProperties(self, value: int) -> None:
        if "minProperties" not in self.node:
            objects.count_properties(self)


def _alternatives(schema: Schema) -> int:
    """How many combinations of branches a merge of this may try, capped."""
    if isinstance(schema, bool):
        return 1
    size = sum(_alternatives(part) for part in schema.get("anyOf", ())) or 1
    return min(size * math.prod(_alternatives(part) for part in schema.get("allOf", ())), 10_000)
