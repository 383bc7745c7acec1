"""Regular expressions of ECMA-262: parsed, written for the engine, complemented."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptive_engine.grammar.schema import patterns
from adaptive_engine.grammar.schema.ecma import PatternInvalid, PatternUnsupported
from unit.grammar.schema.engine import Grammar, compact

EXACT = [
    (r"^\d+$", ["12"], ["", "a", "٣"]),
    (r"^a.b$", ["axb", "a\tb"], ["a\nb", "a\rb", "a\u2028b"]),
    (r"^\s$", [" ", "\ufeff", "\u00a0"], ["a", "\u0085"]),
    (r"^\u00e9\x41\/\-$", ["éA/-"], ["éA/"]),
    (r"^\u{1F600}\ud83d\ude00$", ["😀😀"], ["😀"]),
    (r"^[^]$", ["a", "\n"], ["", "ab"]),
    (r"^x[]$|^y$", ["y"], ["x"]),
    (r"^{a}{2}b{,3}$", ["{a}}b{,3}"], ["{a}b"]),
    (r"^[\w-]+[a\]-c]$", ["a-b]"], ["+"]),
    (r"^(?<year>\d{4})-(?:\d{2}){1,2}?$", ["2024-01", "2024-0101"], ["2024-"]),
    (r"a|^b", ["xa", "b"], ["xb"]),
    (r"^(a$|b)c?$", ["a", "bc"], ["ac"]),
    (r"^(?=.*\d)(?=.*[a-z]).{3,}$", ["ab1"], ["abc", "a1"]),
    (r"^(?!admin$)\w+$", ["root", "admins"], ["admin"]),
]


@pytest.mark.parametrize(("pattern", "matching", "others"), EXACT, ids=str)
def test_the_engine_reads_the_translation_as_ecma_does(pattern: str, matching: list[str], others: list[str]) -> None:
    found = patterns.translate(pattern)
    grammar = Grammar({"type": "string", "allOf": [{"pattern": part} for part in found]})
    assert [text for text in matching if not grammar.takes(compact(text))] == []
    assert [text for text in others if grammar.takes(compact(text))] == []
    assert all(patterns.matches(pattern, text) for text in matching)
    assert not any(patterns.matches(pattern, text) for text in others)


@pytest.mark.parametrize("pattern", ["(a", "a)", "[a", "*", "a{2,1}", "(?<1>a)", "[b-a]", "\\", r"\cé", r"\u{110000}"])
def test_what_is_no_regular_expression_is_told_apart(pattern: str) -> None:
    with pytest.raises(PatternInvalid):
        patterns.check(pattern)


@pytest.mark.parametrize("pattern", [r"\bword", r"(a)\1", "(?<=a)b", "a(?=b)", "(" * 200 + "a" + ")" * 200])
def test_what_the_engine_cannot_do_is_unsupported_but_valid(pattern: str) -> None:
    patterns.check(pattern)
    with pytest.raises(PatternUnsupported):
        patterns.translate(pattern)


@settings(max_examples=150, deadline=None)
@given(st.from_regex(r"\A\^?[ab](\*|\+|\?|\{1,2\})?(\|?[abc.]){0,3}(\[\^?ab\])?\$?\Z"), st.text("abc", max_size=5))
def test_complement_and_product_agree_with_pythons_regular_expressions(pattern: str, text: str) -> None:
    found = re.search(pattern, text) is not None
    assert patterns.matches(pattern, text) is found
    try:
        outside = patterns.complement(pattern)
    except PatternUnsupported:
        return  # Some small patterns have a complement that is long to write.
    assert patterns.matches(outside, text) is not found
    other = "^a|b$"
    try:
        both = patterns.combine(pattern, other, True, True)
    except PatternUnsupported:
        return
    expected = found and re.search(other, text) is not None
    assert (both is not None and patterns.matches(both, text)) is expected


def test_patterns_that_explode_are_given_up() -> None:
    for pattern in ("^.*a.{20}$", "^(a{1,1000}){1,1000}$", "^(?=.*a.{9}$)(?=.*b.{9}$).*$"):
        with pytest.raises(PatternUnsupported):
            patterns.complement(pattern)


def test_an_enum_of_many_strings_can_be_excluded() -> None:
    words = [f"word{i * 7919}" for i in range(500)]
    grammar = Grammar({"type": "string", "pattern": patterns.none_of(words)})
    assert not any(grammar.takes(compact(word)) for word in words[:20])
    assert all(grammar.takes(compact(word + "x")) and grammar.takes(compact(word[:-1] + "_")) for word in words[:20])


@pytest.mark.parametrize(
    ("pattern", "least", "most", "expected"),
    [
        ("ab+c", 0, None, "abc"),
        ("ab+c", 5, 5, 5),
        (r"^[A-Z]{2,5}-\d{4}$", 0, None, "AA-0000"),
        (r"foo.*bar", 0, None, "foobar"),
        (r"^(?=.*\d)[a-z\d]{3}$", 0, None, 3),
        ("^abc$", 5, None, None),
    ],
)
def test_an_example_of_a_pattern(pattern: str, least: int, most: int | None, expected: str | int | None) -> None:
    found = patterns.example(pattern, least, most)
    if isinstance(expected, int):
        assert found is not None
        assert len(found) == expected
        assert patterns.matches(pattern, found)
        assert found.isprintable()
    else:
        assert found == expected
