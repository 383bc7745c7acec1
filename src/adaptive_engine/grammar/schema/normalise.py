"""Rewrite a schema into keywords that the engine enforces.

A rewritten schema has the same instances. Where there is no such rewriting, only the keyword in question is left out,
which is noted as `unenforced`. Rewriting keeps references as references: every target is translated once,
under `$defs`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from adaptive_engine.grammar.schema import arrays, automata, formats, numbers, objects, patterns
from adaptive_engine.grammar.schema.algebra import Algebra, Inexact
from adaptive_engine.grammar.schema.document import Document, Schema, escape
from adaptive_engine.grammar.schema.ecma import PatternInvalid, PatternUnsupported
from adaptive_engine.grammar.schema.modern import Modern, any_of
from adaptive_engine.grammar.schema.report import Normalised, Note, SchemaRefused
from adaptive_engine.grammar.schema.satisfiable import ALL, Kinds, kinds_of_type, prune

__all__ = ["Normalised", "Note", "SchemaRefused", "normalise"]

# The rewritten schema may have this many times the objects of the client's, and at least so many.
_GROWTH: Final = 4
# Steps of work on automata: 0.1 to 0.3 s.
_EFFORT: Final = 150_000
_LEAST_BUDGET: Final = 2_000
# Alternatives that one object may multiply out to: the engine distributes them when it merges `allOf`.
_MAX_PRODUCT: Final = 200
_PLAIN: Final = frozenset(["type", "required", "minLength", "maxLength", "minItems", "maxItems"])
_MAPS: Final = frozenset(["properties"])
# Beyond this many levels of JSON, parts move to $defs: the engine's reader stops at 128.
_MAX_DEPTH: Final = 90


def normalise(schema: dict[str, Any] | bool) -> Normalised:
    """What the engine compiles instead of `schema`, which has passed `lint` and is not changed.

    Raises `SchemaRefused` for contradictions that show while rewriting.
    """
    if schema is False:
        raise SchemaRefused("unsatisfiable_schema", "", "The schema is false, so no value is allowed.")
    if schema is True:
        return Normalised({}, (), ())
    token = automata.effort.set(automata.Effort(_EFFORT))
    try:
        return Rewriter(Document.of(schema)).run()
    finally:
        automata.effort.reset(token)


class _Overgrown(Exception):
    """A rewriting would make the schema too large."""


class Rewriter:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.modern = Modern(document)
        self.algebra = Algebra(self.modern)
        self.notes: dict[tuple[str, str, str], Note] = {}
        self.enforced: dict[str, None] = {}
        self.spent = 0
        self.budget = max(_GROWTH * len(document.nodes), _LEAST_BUDGET)
        self.trying = 0
        self.partitions: dict[tuple[str, ...], objects.Partition] = {}
        # Counted also for what was given up again, so that giving up cannot be repeated for ever.
        self.work = 0
        self.names: dict[int, str] = {}
        self.pending: list[tuple[str, dict[str, Any]]] = []
        self.dependent = any(node.keys() & _DEPENDENT for _, node in document.nodes)
        self.banned = numbers.banned_divisors([self.modern(node) for _, node in document.nodes], self.modern)

    def run(self) -> Normalised:
        root = self.document.root
        assert isinstance(root, dict)
        schema = self.rewrite(root, "")
        definitions: dict[str, Any] = {}
        while self.pending:
            name, node = self.pending.pop()
            definitions[name] = self.rewrite(node, "")
        if schema is False:
            raise SchemaRefused("unsatisfiable_schema", "", "No value satisfies this schema.")
        assert isinstance(schema, dict)
        _flatten(schema, definitions)
        if definitions:
            schema = {**schema, "$defs": definitions}
        if not prune(schema):
            raise SchemaRefused("unsatisfiable_schema", "", "No finite value satisfies this schema.")
        notes = sorted(self.notes.values(), key=lambda note: (note.pointer, note.kind))
        return Normalised(schema, tuple(notes), tuple(self.enforced))

    def note(self, kind: Any, at: str, keyword: str, reason: str) -> None:
        # A node may be rewritten several times, as a part of several alternatives.
        self.notes.setdefault((kind, at, keyword), Note(kind, at, keyword, reason))

    def rewrite(self, schema: Schema, at: str, beside: tuple[dict[str, Any], ...] = ()) -> Schema:
        """`schema` for the engine. `at` stands for its place where it is not the client's own.

        `beside` are the nodes, outermost first, that apply to the same value.
        """
        if isinstance(schema, bool):
            return schema
        self.spent += 1
        self.work += 1 + len(beside)
        if self.trying and (self.spent > self.budget or self.work > 3 * self.budget):
            raise _Overgrown
        at = self.document.pointers.get(id(schema), at)
        return _Node(self, self.modern(schema), at, id(schema) in self.document.pointers, beside).run()

    def reference(self, target: Schema) -> Schema:
        if isinstance(target, bool):
            return target
        if id(target) not in self.names:
            last = re.sub(r"[^A-Za-z0-9_]", "_", self.document.pointers[id(target)].rpartition("/")[2])[:40] or "root"
            name, count = last, 1
            taken = set(self.names.values()) if len(self.names) < 2000 else set()
            while name in taken:
                count += 1
                name = f"{last}_{count}"
            name = name if len(self.names) < 2000 else f"{last}_{len(self.names)}"
            self.names[id(target)] = name
            self.pending.append((name, target))
        return {"$ref": f"#/$defs/{self.names[id(target)]}"}

    def partition(
        self, names: tuple[str, ...], make: Callable[[tuple[str, ...]], objects.Partition]
    ) -> objects.Partition:
        if names not in self.partitions:
            self.partitions[names] = make(names)
        return self.partitions[names]

    def attempt(self, make: Callable[[], Schema], at: str, beside: tuple[dict[str, Any], ...]) -> Schema:
        """`make()` rewritten. Raises `Inexact`, and then nothing has happened."""
        if self.work > 3 * self.budget:
            raise Inexact("the rewritten schema would be too large")
        # All of these only grow, so that their lengths say what to take back.
        grown: tuple[Any, ...] = (self.notes, self.enforced, self.names, self.pending)
        lengths, spent = [len(one) for one in grown], self.spent
        self.trying += 1
        try:
            return self.rewrite(make(), at, beside)
        except (_Overgrown, Inexact) as error:
            self.spent = spent
            for one, length in zip(grown, lengths, strict=True):
                while len(one) > length:
                    one.pop() if isinstance(one, list) else one.popitem()
            if isinstance(error, Inexact):
                raise
            raise Inexact("the rewritten schema would be too large") from None
        finally:
            self.trying -= 1


class _Node:
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

    def conjoin(self, keyword: str, make: Callable[[_Node], Schema]) -> None:
        """Add what `make` says instead of `keyword`, or note why that is impossible."""
        try:
            found = self.attempt(lambda: self.capped(make(self)), keyword)
        except Inexact as error:
            self.note("unenforced", keyword, f"'{keyword}' is only checked afterwards: {error}.")
            return
        if found != {}:
            self.extra.append(found)
        self.note("rewritten", keyword, f"'{keyword}' is enforced in another spelling.")

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
        if not any(part.keys() & _DEPENDENT for part in algebra.in_place(target)):
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
        parts = [part for part in parts if part is not False]
        rest = {key: value for key, value in self.node.items() if key in _CONTEXT}
        overlapping = self.rewriter.algebra.overlaps(parts, rest)
        if not overlapping:
            found: Schema = {"anyOf": [self.in_place(part, "oneOf") for part in parts]} if parts else False
            self.note("rewritten", "oneOf", "The branches exclude each other, so that 'anyOf' says the same.")
        else:
            try:
                found = self.attempt(lambda: self.exclusive(parts, overlapping), "oneOf")
                self.note("rewritten", "oneOf", "Each branch excludes what other branches match.")
            except Inexact as error:
                found = {"anyOf": [self.in_place(part, "oneOf") for part in parts]}
                reason = f"Branches may overlap, so that a value of several is only found out afterwards: {error}."
                self.note("unenforced", "oneOf", reason)
        self.product *= max(1, len(parts))
        if isinstance(found, dict) and found.keys() == {"anyOf"} and "anyOf" not in self.node:
            self.out["anyOf"] = found["anyOf"]
        else:
            self.extra.append(found)

    def exclusive(self, parts: list[Schema], overlapping: list[tuple[int, int]]) -> Schema:
        branches: list[dict[str, Any]] = []
        for index, part in enumerate(parts):
            others = {a + b - index for a, b in overlapping if index in (a, b)}
            kinds = self.rewriter.algebra.kinds(part) & self.kinds
            excluded = [any_of(self.rewriter.algebra.negate(parts[other], kinds)) for other in sorted(others)]
            if False not in excluded:
                branches.append({"allOf": [part, *excluded]} if excluded else {"allOf": [part]})
        return any_of(branches)

    def on_not(self, value: Schema) -> None:
        self.conjoin("not", lambda node: any_of(self.rewriter.algebra.negate(value, self.kinds)))

    def on_if(self, value: Schema) -> None:
        def make(node: _Node) -> Schema:
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


_DEPENDENT: Final = frozenset(["minProperties", "maxProperties", "patternProperties", "propertyNames"])
_ABOUT_KEYS: Final = _DEPENDENT | {"properties", "dependentRequired", "dependentSchemas"}
_CONTEXT: Final = frozenset(["type", "required", "properties", "additionalProperties", "enum", "const", "$ref"])


def _alternatives(schema: Schema) -> int:
    """How many combinations of branches a merge of this may try, capped."""
    if isinstance(schema, bool):
        return 1
    size = sum(_alternatives(part) for part in schema.get("anyOf", ())) or 1
    return min(size * math.prod(_alternatives(part) for part in schema.get("allOf", ())), 10_000)


def _flatten(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Move what is nested too deeply to a definition of its own."""
    queue: list[tuple[Any, int]] = [(schema, 0), *((item, 2) for item in definitions.values())]
    for value, depth in queue:  # Grows meanwhile.
        below: list[tuple[Any, Any]] = (
            list(value.items())
            if isinstance(value, dict)
            else list(enumerate(value))
            if isinstance(value, list)
            else []
        )
        for key, item in below:
            if key in ("const", "enum"):
                continue
            if depth >= _MAX_DEPTH // 2 and isinstance(item, dict) and "type" in item and isinstance(item["type"], str):
                name = f"part_{len(definitions)}"
                definitions[name] = item
                value[key] = {"$ref": f"#/$defs/{name}"}
                queue.append((item, 2))
            else:
                queue.append((item, depth + 1))
