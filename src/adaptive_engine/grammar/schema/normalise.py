"""Rewrite a schema into keywords that the engine enforces.

A rewritten schema has the same instances. Where there is no such rewriting, only the keyword in question is left out,
which is noted as `unenforced`. Rewriting keeps references as references: every target is translated once,
under `$defs`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from adaptive_engine.grammar.schema import automata, numbers, objects
from adaptive_engine.grammar.schema.algebra import Algebra, Inexact
from adaptive_engine.grammar.schema.document import Document, Schema, escape
from adaptive_engine.grammar.schema.keywords import DEPENDENT, Node
from adaptive_engine.grammar.schema.modern import Modern
from adaptive_engine.grammar.schema.report import Normalised, Note, SchemaRefused
from adaptive_engine.grammar.schema.satisfiable import prune
from adaptive_engine.grammar.schema.spelling import in_vain_nullable, misspelled

__all__ = ["Normalised", "Note", "SchemaRefused", "normalise"]

# The rewritten schema may have this many times the objects of the client's, and at least so many.
_GROWTH: Final = 4
# Steps of work on automata: 0.1 to 0.3 s.
_EFFORT: Final = 150_000
_LEAST_BUDGET: Final = 2_000
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
        # What to say where the whole turns out to be impossible.
        self.contradiction: SchemaRefused | None = None
        self.spent = 0
        self.budget = max(_GROWTH * len(document.nodes), _LEAST_BUDGET)
        self.trying = 0
        self.partitions: dict[tuple[str, ...], objects.Partition] = {}
        # Counted also for what was given up again, so that giving up cannot be repeated for ever.
        self.work = 0
        self.names: dict[int, str] = {}
        self.pending: list[tuple[str, dict[str, Any]]] = []
        self.dependent = any(node.keys() & DEPENDENT for _, node in document.nodes)
        self.banned = numbers.banned_divisors([self.modern(node) for _, node in document.nodes], self.modern)

    def run(self) -> Normalised:
        root = self.document.root
        assert isinstance(root, dict)
        for at, key, keyword in misspelled(self.document.nodes):
            reason = f"JSON Schema has no such keyword, so it says nothing; '{keyword}' was probably meant."
            self.note("unenforced", f"{at}/{escape(key)}", key, reason, unknown=True)
        for at in in_vain_nullable(self.document.nodes):
            reason = (
                "JSON Schema has no 'nullable', so this allows no null. "
                'Add "null" to its types, or {"type": "null"} as an alternative in \'anyOf\'.'
            )
            self.note("narrowed", f"{at}/nullable", "nullable", reason, unknown=True)
        schema = self.rewrite(root, "")
        definitions: dict[str, Any] = {}
        while self.pending:
            name, node = self.pending.pop()
            definitions[name] = self.rewrite(node, "")
        if schema is False:
            raise self.contradiction or SchemaRefused("unsatisfiable_schema", "", "No value satisfies this schema.")
        assert isinstance(schema, dict)
        _flatten(schema, definitions)
        if definitions:
            schema = {**schema, "$defs": definitions}
        if not prune(schema):
            reason = "No finite value satisfies this schema."
            raise self.contradiction or SchemaRefused("unsatisfiable_schema", "", reason)
        # What is only enforced in some alternatives, or in part, is told as what it is in the end.
        kept = [note for note in self.notes.values() if not self.is_weaker(note)]
        notes = sorted(kept, key=lambda note: (note.pointer, note.kind))
        return Normalised(schema, tuple(notes), tuple(self.enforced))

    def note(self, kind: Any, at: str, keyword: str, reason: str, *, unknown: bool = False) -> None:
        # A node may be rewritten several times, as a part of several alternatives.
        self.notes.setdefault((kind, at, keyword), Note(kind, at, keyword, reason, unknown))

    def impossible(self, at: str, reason: str) -> None:
        self.contradiction = self.contradiction or SchemaRefused("unsatisfiable_schema", at, reason)

    def is_weaker(self, note: Note) -> bool:
        return note.kind == "rewritten" and ("unenforced", note.pointer, note.keyword) in self.notes

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
        return Node(self, self.modern(schema), at, id(schema) in self.document.pointers, beside).run()

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
