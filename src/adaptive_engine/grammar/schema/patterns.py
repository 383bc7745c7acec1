"""What becomes of a `pattern`: patterns in Rust's dialect that together mean the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from itertools import takewhile
from typing import Any, TypeVar, cast

import jsonschema_rs

from adaptive_engine.grammar.schema import automata, ecma
from adaptive_engine.grammar.schema.ecma import Anchor, Cat, Chars, Look, PatternInvalid, PatternUnsupported, Regex
from adaptive_engine.grammar.schema.limits import DEFAULT

_MAX_TRIE_DEPTH = 60
F = TypeVar("F", bound=Callable[..., Any])


def _once(function: F) -> F:
    """Remember results as long as the current schema is worked on."""

    @wraps(function)
    def call(*args: Any) -> Any:
        current = automata.effort.get()
        if current is None:
            return function(*args)
        key = (function.__name__, *args)
        if key not in current.known:
            try:
                current.known[key] = function(*args)
            except (PatternInvalid, PatternUnsupported) as error:
                current.known[key] = error
        if isinstance(found := current.known[key], Exception):
            raise found
        return found

    return cast("F", call)


def check(pattern: str) -> None:
    """Raise `PatternInvalid` for what no dialect takes as a regular expression."""
    try:
        ecma.parse(pattern)
    except PatternUnsupported:
        pass
    except PatternInvalid:
        if not _rust_takes(pattern):
            raise


@_once
def translate(pattern: str) -> tuple[str, ...]:
    """Patterns in Rust's dialect; a string matches all of them iff it matches `pattern`.

    Look-aheads right after `^` become patterns of their own. Raises `PatternUnsupported` where there is no exact
    translation.
    """
    try:
        regex = ecma.parse(pattern)
    except PatternInvalid:
        # Inline flags, \A and \z are no ECMA-262, but common, and mean the same to the engine.
        if _rust_takes(pattern):
            return (pattern,)
        raise
    done = []
    for part, positive in _conjuncts(regex):
        if not positive or not _anchors_outside(part):
            (found,) = automata.automata(part)
            done.append(automata.pattern(found if positive else found.complement()))
        else:
            done.append(ecma.rust(part))
    return tuple(text for text in done if text not in ("", "^", "$")) or ("",)


def complement(pattern: str) -> str:
    """A pattern that a string matches iff it does not match `pattern`. Raises `PatternUnsupported`."""
    return automata.pattern(_language(pattern)[0].complement())


def disjoint(left: str, right: str) -> bool:
    """Whether no string matches both. Raises `PatternUnsupported` where that cannot be told."""
    return _apart(left, right) or _common(left, right).empty()


@_once
def _common(left: str, right: str) -> automata.Dfa:
    one, two = _language(left, right)
    return automata.product(one, two, lambda a, b: a and b)


def _apart(left: str, right: str) -> bool:
    """Whether two patterns begin with different characters: most do, and it is cheap to see."""
    if left == right:
        return False
    return any(not _meet(a, b) for a, b in zip(_prefix(left), _prefix(right), strict=False))


@_once
def _prefix(pattern: str) -> tuple[Chars, ...]:
    """The characters that a match begins with, where it begins with the string."""
    regex = ecma.parse(pattern)
    if not isinstance(regex, Cat) or regex.parts[:1] != (Anchor(True),):
        return ()
    return tuple(takewhile(lambda part: isinstance(part, Chars) and not part.raw, regex.parts[1:]))  # type: ignore[arg-type]


def _meet(left: Chars, right: Chars) -> bool:
    """Whether two classes of characters have one in common."""
    return any(a <= d and c <= b for a, b in left.ranges for c, d in right.ranges)


@_once
def combine(left: str, right: str, in_left: bool, in_right: bool) -> str | None:
    """A pattern for the strings that match `left` iff `in_left` and `right` iff `in_right`; None if there are none."""
    if _apart(left, right) and in_left + in_right == 1:
        return single(left if in_left else right)
    if in_left and in_right and (_apart(left, right) or _common(left, right).empty()):
        return None
    one, two = _language(left, right)
    result = automata.product(one, two, lambda a, b: a is in_left and b is in_right)
    if result.empty():
        return None
    # What is not touched keeps its own, shorter form.
    if in_left and in_right is False and result == one:
        return single(left)
    if in_right and in_left is False and result == two:
        return single(right)
    return automata.pattern(result)


@_once
def single(pattern: str) -> str:
    """`translate` as one pattern."""
    found = translate(pattern)
    return found[0] if len(found) == 1 else automata.pattern(_language(pattern)[0])


def matches(pattern: str, text: str) -> bool:
    """Whether a pattern has a match in `text`. Raises `PatternUnsupported`."""
    return _language(pattern)[0].accepts(text)


def example(pattern: str, least: int, most: int | None) -> str | None:
    """A short string of at least `least` and at most `most` characters that matches; None when there is none.

    Raises `PatternUnsupported` where that cannot be told.
    """
    if least == 0 and most is None:
        return _language(pattern)[0].shortest()
    return _common(pattern, length(least, most)).shortest()


def length(least: int, most: int | None) -> str:
    longest = None if most is None or most > DEFAULT.length else most
    return f"^{ecma.rust(ecma.Repeat(ecma.ANY, least, longest))}$"


def one_of(strings: list[str]) -> str:
    """A pattern for exactly these strings."""
    return "^(?:" + "|".join(ecma.rust(ecma.literal(text)) for text in strings) + ")$"


def none_of(strings: list[str]) -> str:
    """A pattern for every string but these, by a trie over their characters. Raises `PatternUnsupported`."""
    if max(map(len, strings), default=0) > _MAX_TRIE_DEPTH or sum(map(len, strings)) > 20_000:
        raise PatternUnsupported("the excluded strings are too long")
    trie: dict[str, dict] = {}  # type: ignore[type-arg]
    for text in strings:
        level = trie
        for char in text:
            level = level.setdefault(char, {})
        level[""] = {}
    return f"^(?:{_outside(trie)})$"


def _outside(trie: dict[str, dict]) -> str:  # type: ignore[type-arg]
    if trie.keys() == {""}:
        return r"[\s\S]+"
    other = Chars(ecma.complement(tuple((ord(char), ord(char)) for char in trie if char)))
    parts = [] if "" in trie else [""]
    parts.append(ecma.rust(other) + r"[\s\S]*")
    for char, rest in trie.items():
        if char:
            parts.append(f"{ecma.rust(ecma.literal(char))}(?:{_outside(rest)})")
    return "|".join(parts)


def _language(*patterns: str) -> list[automata.Dfa]:
    """One automaton a pattern, over one alphabet."""
    groups = [_conjuncts(ecma.parse(pattern)) for pattern in patterns]
    found = iter(automata.automata(*(part for group in groups for part, _ in group)))
    result = []
    for group in groups:
        parts = [(next(found), positive) for _, positive in group]
        whole, positive = parts[0]
        whole = whole if positive else whole.complement()
        for part, positive in parts[1:]:
            whole = automata.product(whole, part, lambda a, b, p=positive: a and b is p)  # type: ignore[misc]
        result.append(whole)
    return result


def _conjuncts(regex: Regex) -> list[tuple[Regex, bool]]:
    """`^(?=a)(?!b)c` as `^a`, not `^b`, `^c`."""
    if not isinstance(regex, Cat) or not any(isinstance(part, Look) for part in regex.parts):
        return [(regex, True)]
    at = 1
    result: list[tuple[Regex, bool]] = []
    if regex.parts[0] != Anchor(True):
        raise PatternUnsupported("look-ahead elsewhere than after '^'")
    while at < len(regex.parts) and isinstance(look := regex.parts[at], Look):
        inner = look.part.parts if isinstance(look.part, Cat) else (look.part,)
        result.extend((part, look.positive) for part, _ in _conjuncts(Cat((Anchor(True), *inner))))
        at += 1
    rest = Cat((Anchor(True), *regex.parts[at:]))
    if any(isinstance(part, Look) for part in rest.parts):
        raise PatternUnsupported("look-ahead elsewhere than after '^'")
    return [*result, (rest, True)]


def _anchors_outside(regex: Regex, start: bool = True, end: bool = True) -> bool:
    """Whether `^` stands only where an expression begins and `$` where it ends: the engine takes no others."""
    match regex:
        case Anchor(at_start):
            return start if at_start else end
        case Cat(parts):
            last = len(parts) - 1
            return all(_anchors_outside(part, start and i == 0, end and i == last) for i, part in enumerate(parts))
        case ecma.Alt(parts):
            return all(_anchors_outside(part, start, end) for part in parts)
        case ecma.Repeat(part) | Look(part):
            return _anchors_outside(part, False, False)
        case _:
            return True


def _rust_takes(pattern: str) -> bool:
    try:
        options = jsonschema_rs.RegexOptions()
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, pattern_options=options)
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True
