"""What would become of a schema, said before anybody relies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from adaptive_engine.grammar.checker import Checkers, schema_text
from adaptive_engine.grammar.compiler import compile_schema
from adaptive_engine.grammar.masks import Grammar, Vocabulary
from adaptive_engine.grammar.schema.report import Note, SchemaRefused

Verdict = Literal["enforced", "partly_enforced", "not_enforced", "refused"]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What masks enforce of one schema, and what they do not."""

    verdict: Verdict
    """`partly_enforced` answers are validated when they are finished; `refused` schemas are an error."""
    enforced: tuple[str, ...] = ()
    """Keywords that are enforced as they are."""
    notes: tuple[Note, ...] = ()
    """What became of the others."""
    refusal: SchemaRefused | None = None
    unexpressed: str | None = None
    """Why nothing can be enforced."""
    compile_ms: float = 0.0
    """Check and compilation, which happen once per schema."""
    shortest: str | None = None
    """The shortest answer that was found."""
    shortest_tokens: int | None = None
    forced_share: float | None = None
    """How much of that answer the schema leaves no choice about, 0 to 1: these tokens take no step of the model."""


def inspect(schema: Any, vocabulary: Vocabulary, checkers: Checkers) -> Inspection:
    """Blocks for milliseconds, for some tenths of a second at most. Raises CheckerBusy."""
    try:
        compiled = compile_schema(schema_text(schema), vocabulary, checkers)
    except SchemaRefused as exc:
        return Inspection("refused", refusal=exc)
    compile_ms = 1000 * compiled.seconds
    normalised = compiled.normalised
    if compiled.grammar is None:
        return Inspection("not_enforced", unexpressed=compiled.unexpressed, compile_ms=compile_ms)
    shortest = compiled.completion
    return Inspection(
        "enforced" if normalised.exact else "partly_enforced",
        enforced=normalised.enforced,
        notes=normalised.notes,
        compile_ms=compile_ms,
        shortest=None if shortest is None else vocabulary.decode(shortest).decode("utf-8", "replace"),
        shortest_tokens=None if shortest is None else len(shortest),
        forced_share=None if shortest is None else _forced_share(compiled.grammar, shortest),
    )


def _forced_share(grammar: Grammar, answer: list[int]) -> float:
    matcher, at, forced = grammar.start(), 0, 0
    while True:
        taken = len(matcher.take_forced(len(answer) - at))
        at, forced = at + taken, forced + taken
        if at >= len(answer):
            return forced / max(len(answer), 1)
        matcher.accept(answer[at])
        at += 1
