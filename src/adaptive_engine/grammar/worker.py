"""The child process that looks at schemas first: `python -m adaptive_engine.grammar.worker CPU_SECONDS BYTES`.

Nobody vouches for a client's schema, and a small one can take a compiler minutes and gigabytes. So it is checked,
rewritten and compiled here, within limits that cost this process its life and the server nothing.

`{"schema": ...}` is answered with `{"checked": ...}` or `{"refused": ...}`, and `{"schema": ..., "answer": ...}` with
`{"violation": ...}` or `{"unknown": ...}`; `sandbox/child.py` adds to that.
"""

from __future__ import annotations

import dataclasses
import random
import sys
import textwrap
import time
from contextlib import suppress
from typing import Any

from adaptive_engine.grammar.masks import Grammar, GrammarError, Vocabulary
from adaptive_engine.grammar.schema import automata, patterns
from adaptive_engine.grammar.schema.document import Document, children
from adaptive_engine.grammar.schema.ecma import PatternInvalid, PatternUnsupported
from adaptive_engine.grammar.schema.lint import lint
from adaptive_engine.grammar.schema.normalise import normalise
from adaptive_engine.grammar.schema.report import Code, SchemaRefused
from adaptive_engine.grammar.validator import Validator
from adaptive_engine.sandbox.child import Answer, serve

_PROBE_STEPS = 24
# Finding the place of a problem must not cost so much that the problem itself is not told.
_LOCATE_SECONDS = 0.1
_EXAMPLE_STEPS = 150_000
_LONGEST_EXAMPLE = 500

# Without these a value may be of any type, or references lead nowhere: that blames nothing.
_FRAME = frozenset(["type", "$schema", "$defs", "definitions"])

# Beginnings of llguidance's messages, the second in lower case, as they come in both; what is in neither list is
# something it cannot express.
_CONTRADICTIONS = ("Unsatisfiable schema", "NoExtensionBias")
_TOO_COMPLEX = (
    "schema too large",
    "schema intersection stack level exceeded",
    "initial lexer configuration",
    "fuel exhausted",
    "recursion limit exceeded",
    "parser error",
    "lexer error",
    "too many",
)


def check(schema: Any, vocabulary: Vocabulary) -> dict[str, Any]:
    """What became of `schema`: `schema`, `notes` and `enforced` of a Normalised; `unexpressed`, why it cannot be
    compiled at all, or None; and `examples` of its patterns. Raises SchemaRefused.
    """
    lint(schema)
    try:
        normalised = normalise(schema)
    except SchemaRefused as exc:
        if exc.pointer or exc.code != "unsatisfiable_schema":
            raise
        raise _refusal(exc.code, exc.reason, schema, vocabulary) from exc
    unexpressed = None
    try:
        probe(Grammar.compile(normalised.schema, vocabulary))
    except GrammarError as exc:
        code = _code(str(exc))
        if code is not None:
            raise _refusal(code, str(exc), schema, vocabulary) from exc
        pointer, _ = locate(schema, vocabulary)
        unexpressed = f"{_readable(str(exc))} (at {pointer or 'the root'})"
    return {**dataclasses.asdict(normalised), "unexpressed": unexpressed, "examples": examples(schema)}


def examples(schema: Any) -> list[str]:
    """Strings that match the patterns in `schema`: they help to find out how an answer can be completed."""
    found: dict[str, None] = {}
    token = automata.effort.set(automata.Effort(_EXAMPLE_STEPS))
    try:
        for _, node in Document.of(schema).nodes:
            if isinstance(node.get("pattern"), str):
                with suppress(PatternInvalid, PatternUnsupported):
                    text = patterns.example(node["pattern"], int(node.get("minLength", 0)), node.get("maxLength"))
                    if text is not None and len(text) < _LONGEST_EXAMPLE:
                        found[text] = None
    finally:
        automata.effort.reset(token)
    return list(found)


def probe(grammar: Grammar, steps: int = _PROBE_STEPS) -> None:
    """Walk into the grammar at random: some schemas compile and fail at the first mask or the second.

    Raises GrammarError.
    """
    choose = random.Random(0)
    matcher = grammar.start()
    for _ in range(steps):
        matcher.take_forced(1000)
        if matcher.finished:
            return
        allowed = matcher.allowed()
        matcher.accept(int(allowed[choose.randrange(len(allowed))]))


def _refusal(code: Code, message: str, schema: Any, vocabulary: Vocabulary) -> SchemaRefused:
    """Says in the words of the schema what the compiler said in its own."""
    pointer, keywords = locate(schema, vocabulary)
    names = " and ".join(filter(None, [", ".join(map(repr, keywords[:-1])), *map(repr, keywords[-1:])]))
    if len(keywords) == 1:
        pointer = f"{pointer}/{keywords[0]}"
    if code == "schema_too_complex":
        cause = f"because of {names}" if names else f"({_readable(message)})"
        return SchemaRefused(code, pointer, f"It is too complex for the engine {cause}. Make it smaller or simpler.")
    if len(keywords) > 1:
        return SchemaRefused(code, pointer, f"No value satisfies {names} together; one of them has to change.")
    return SchemaRefused(code, pointer, f"No value satisfies {names or 'this part of the schema'}.")


def locate(schema: Any, vocabulary: Vocabulary) -> tuple[str, list[str]]:
    """The smallest part of a client's schema that cannot be compiled by itself: its JSON pointer, "" for all of it,
    and those of its keywords without each of which it could be compiled.
    """
    stop = time.process_time() + _LOCATE_SECONDS
    pointer, part = "", schema
    definitions = {key: schema[key] for key in ("$schema", "$defs", "definitions") if key in schema}
    while True:
        for path, child in children(part):
            if time.process_time() > stop:
                return pointer, []
            if path.startswith(("/$defs", "/definitions")) or not isinstance(child, dict):
                continue
            if not _compiles({**definitions, "allOf": [child]}, vocabulary):
                pointer, part = pointer + path, child
                break
        else:
            break
    keywords = []
    for key in part if isinstance(part, dict) else ():
        if time.process_time() > stop:
            return pointer, []
        rest = {name: value for name, value in part.items() if name != key}
        if key not in _FRAME and _compiles({**definitions, "allOf": [rest]}, vocabulary):
            keywords.append(key)
    return pointer, keywords


def _compiles(schema: dict[str, Any], vocabulary: Vocabulary) -> bool:
    try:
        probe(Grammar.compile(normalise(schema).schema, vocabulary), steps=2)
    except (GrammarError, SchemaRefused):
        return False
    return True


def _code(message: str) -> Code | None:
    if message.startswith(_CONTRADICTIONS):
        return "unsatisfiable_schema"
    if message.lower().startswith(_TOO_COMPLEX):
        return "schema_too_complex"
    return None


def _readable(message: str) -> str:
    """The message in one line."""
    return textwrap.shorten(message, 300, placeholder=" …")


def answer(question: Any, vocabulary: Vocabulary) -> dict[str, Any]:
    if "answer" in question:
        return validate(question["schema"], question["answer"])
    try:
        return {"checked": check(question["schema"], vocabulary)}
    except SchemaRefused as exc:
        refused = {"code": exc.code, "pointer": exc.pointer, "reason": exc.reason}
    except (MemoryError, RecursionError):
        refused = {
            "code": "schema_too_complex",
            "pointer": "",
            "reason": "It is too large or too deep. Make it simpler.",
        }
    return {"refused": refused}


def validate(schema: Any, text: str) -> dict[str, Any]:
    """`violation`, which is None for a valid answer; or `unknown`, why that cannot be said."""
    try:
        return {"violation": Validator(schema).violation(text)}
    except (MemoryError, RecursionError):
        return {"unknown": "The answer is nested too deeply to be checked."}
    except ValueError as exc:
        return {"unknown": f"The answer cannot be checked: {str(exc)[:300]}"}


def _ready() -> Answer:
    vocabulary = Vocabulary.of_bytes()
    return lambda question, _: (answer(question, vocabulary), b"")


if __name__ == "__main__":
    serve(_ready, sys.argv[1:])
