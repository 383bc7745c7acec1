"""From a client's schema to a grammar for a model, within limits of time and memory.

A child process looks at the schema first: whatever that costs, it costs the child. What is compiled here, for the
model's tokens and without holding the interpreter, is known to be cheap by then.
"""

from __future__ import annotations

import time
from functools import cached_property
from weakref import WeakKeyDictionary

from adaptive_engine.grammar.checker import Checked, Checkers
from adaptive_engine.grammar.closing import Preference, find_completion
from adaptive_engine.grammar.constraint import Constraint
from adaptive_engine.grammar.masks import Grammar, GrammarError, Vocabulary
from adaptive_engine.grammar.schema.report import Normalised, SchemaRefused
from adaptive_engine.grammar.worker import probe

# No answer that takes more tokens is looked for when an answer is to be closed in time.
_LONGEST_COMPLETION = 4096
# One for all schemas of a vocabulary, which lives no longer for it.
_preferences: WeakKeyDictionary[Vocabulary, Preference] = WeakKeyDictionary()


class CompiledSchema:
    """A schema that was checked, and compiled for one vocabulary."""

    def __init__(self, text: str, checked: Checked, grammar: Grammar | None, seconds: float = 0.0) -> None:
        self.text = text
        """The client's schema as JSON."""
        self.normalised: Normalised = checked.normalised
        self.unexpressed = checked.unexpressed
        """Why nothing of the schema can be enforced, if that is so."""
        self.grammar = grammar
        """None exactly if there is `unexpressed`."""
        self._examples = checked.examples
        self.seconds = checked.seconds + seconds
        """What checking and compiling took."""

    @property
    def exact(self) -> bool:
        """Whether the grammar enforces all of the schema."""
        return self.grammar is not None and self.normalised.exact

    @cached_property
    def completion(self) -> list[int] | None:
        """A short answer, so that its length is an upper bound of what is needed; None when none was found.

        Takes up to some tenths of a second.
        """
        if self.grammar is None:
            return None
        try:
            return find_completion(self.grammar.start(), self._preference, _LONGEST_COMPLETION)
        except GrammarError:
            return None

    @cached_property
    def _preference(self) -> Preference:
        assert self.grammar is not None
        return _preference(self.grammar.vocabulary).with_examples(self._examples)

    def constraint(self, *, closed: bool = False) -> Constraint:
        """For one generation. With `closed` the answer is complete before its budget ends; there is a `completion`."""
        assert self.grammar is not None
        constraint = Constraint(self.grammar)
        if closed:
            assert self.completion is not None
            constraint.keep_closable(self.completion, self._preference)
        return constraint


def compile_schema(text: str, vocabulary: Vocabulary, checkers: Checkers) -> CompiledSchema:
    """Check and compile; blocks for milliseconds. `text` is a schema in JSON. Raises SchemaRefused, CheckerBusy."""
    checked = checkers.check(text)
    if checked.unexpressed is not None:
        return CompiledSchema(text, checked, None)
    start = time.perf_counter()
    try:
        grammar = Grammar.compile(checked.normalised.schema, vocabulary)
        # Limits on masks are met earlier with a model's tokens than with bytes.
        probe(grammar)
    except GrammarError as exc:
        reason = f"Its masks cannot be computed for this model ({' '.join(str(exc).split())[:200]}). Make it simpler."
        raise SchemaRefused("schema_too_complex", "", reason) from exc
    return CompiledSchema(text, checked, grammar, time.perf_counter() - start)


def _preference(vocabulary: Vocabulary) -> Preference:
    known = _preferences.get(vocabulary)
    if known is None:
        known = _preferences[vocabulary] = Preference(vocabulary)
    return known
