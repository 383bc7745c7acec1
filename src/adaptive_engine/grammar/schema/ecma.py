"""ECMA-262 regular expressions, as far as they are regular: parsed into a tree and written in Rust's dialect.

The tree is small on purpose: whatever it can hold can be written for the engine and turned into an automaton.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adaptive_engine.grammar.schema.limits import DEFAULT

TOP: Final = 0x10FFFF
Ranges = tuple[tuple[int, int], ...]


class PatternInvalid(ValueError):
    """Not a regular expression."""


class PatternUnsupported(ValueError):
    """A regular expression that the engine has no grammar for."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character in `ranges`, or with a Unicode property that only Rust's tables know (`raw`, then no ranges)."""

    ranges: Ranges
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Cat:
    parts: tuple[Regex, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    parts: tuple[Regex, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    part: Regex
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """`^` or `$`."""

    start: bool


@dataclass(frozen=True, slots=True)
class Look:
    """A look-ahead; `(?!` where not `positive`."""

    part: Regex
    positive: bool


Regex = Chars | Cat | Alt | Repeat | Anchor | Look
EMPTY: Final = Cat(())
ANY: Final = Chars(((0, TOP),))


def union(*sets: Ranges) -> Ranges:
    merged: list[tuple[int, int]] = []
    for low, high in sorted(pair for ranges in sets for pair in ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(ranges: Ranges) -> Ranges:
    result, start = [], 0
    for low, high in union(ranges):
        if start < low:
            result.append((start, low - 1))
        start = high + 1
    if start <= TOP:
        result.append((start, TOP))
    return tuple(result)


_DIGIT: Final[Ranges] = ((48, 57),)
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final[Ranges] = union(
    ((9, 13), (32, 32), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)),
    ((0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
_CLASSES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CLASSES.update({name.upper(): complement(ranges) for name, ranges in list(_CLASSES.items())})
_DOT: Final = Chars(complement(((10, 10), (13, 13), (0x2028, 0x2029))))
_CONTROL: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_MAX_NESTING: Final = 60


def parse(pattern: str) -> Regex:
    """The tree of a pattern. Raises `PatternInvalid` or `PatternUnsupported`, both with a readable reason."""
    return _Parser(pattern).whole()


def rust(regex: Regex) -> str:
    """The same expression in Rust's dialect. Raises `PatternUnsupported` for a look-ahead."""
    match regex:
        case Chars(ranges, raw):
            return raw or _class(ranges)
        case Cat(parts):
            return "".join(_group(part) if isinstance(part, Alt) else rust(part) for part in parts)
        case Alt(parts):
            return "|".join(rust(part) for part in parts)
        case Repeat(part, least, most):
            return _group(part, repeated=True) + _quantifier(least, most)
        case Anchor(start):
            return "^" if start else "$"
        case Look():
            raise PatternUnsupported("look-ahead inside a pattern")


def _group(regex: Regex, repeated: bool = False) -> str:
    text = rust(regex)
    return text if repeated and isinstance(regex, Chars) else f"(?:{text})"


def _quantifier(least: int, most: int | None) -> str:
    short = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
    if short is None:
        short = f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"
    return short


def _class(ranges: Ranges) -> str:
    # Rust has no surrogates, and no text of ours can hold one; only an end of a range in the block has to move.
    moved = [(0xE000 if 0xD800 <= a < 0xE000 else a, 0xD7FF if 0xD800 <= b < 0xE000 else b) for a, b in ranges]
    ranges = tuple((a, b) for a, b in moved if a <= b)
    # A class that contains nothing is spelled so, because Rust has no empty brackets.
    if not ranges:
        return r"[^\x{0}-\x{10FFFF}]"
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return _char(ranges[0][0])
    inverse = complement(ranges)
    if not inverse:
        return r"[\s\S]"
    negated = ranges[-1][1] == TOP
    body = "".join(_char(a) if a == b else f"{_char(a)}-{_char(b)}" for a, b in (inverse if negated else ranges))
    return f"[^{body}]" if negated else f"[{body}]"


def _char(code: int) -> str:
    return chr(code) if code < 128 and chr(code).isalnum() else rf"\x{{{code:X}}}"


def literal(text: str) -> Regex:
    return Cat(tuple(Chars(((ord(char), ord(char)),)) for char in text))


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.at = 0
        self.depth = 0

    def whole(self) -> Regex:
        regex = self.alternatives()
        if self.at < len(self.text):
            raise PatternInvalid(f"unmatched ')' at position {self.at}")
        return regex

    def peek(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def take(self, text: str) -> bool:
        if self.peek(text):
            self.at += len(text)
            return True
        return False

    def alternatives(self) -> Regex:
        self.depth += 1
        if self.depth > _MAX_NESTING:
            raise PatternUnsupported(f"more than {_MAX_NESTING} nested groups")
        parts = [self.sequence()]
        while self.take("|"):
            parts.append(self.sequence())
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Alt(tuple(parts))

    def sequence(self) -> Regex:
        parts: list[Regex] = []
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            start = self.at
            part = self.atom()
            parts.append(self.repeated(part, start))
        return parts[0] if len(parts) == 1 else Cat(tuple(parts))

    def repeated(self, part: Regex, start: int) -> Regex:
        least, most = 1, 1
        found: tuple[int, int | None] | None = None
        if self.take("*"):
            found = (0, None)
        elif self.take("+"):
            found = (1, None)
        elif self.take("?"):
            found = (0, 1)
        elif self.peek("{"):
            found = self.braces()
        if found is None:
            return part
        self.take("?")  # Lazy: the same language.
        if self.at < len(self.text) and self.text[self.at] in "*+?":
            raise PatternInvalid(f"nothing to repeat at position {self.at}")
        if isinstance(part, Anchor):
            raise PatternInvalid(f"an anchor cannot be repeated, at position {start}")
        if isinstance(part, Look):
            raise PatternUnsupported("a repeated look-ahead")
        least, most = found[0], found[1]  # type: ignore[assignment]
        if most is not None and most < least:
            raise PatternInvalid(f"numbers out of order in a quantifier at position {start}")
        return Repeat(part, least, most)

    def braces(self) -> tuple[int, int | None] | None:
        end = self.text.find("}", self.at)
        body = self.text[self.at + 1 : end] if end > 0 else ""
        low, comma, high = body.partition(",")
        if not (low.isascii() and low.isdigit() and (high == "" or (high.isascii() and high.isdigit()))):
            return None  # A literal brace.
        least = int(low)
        most = least if not comma else int(high) if high else None
        if least > DEFAULT.length:
            raise PatternUnsupported(f"a quantifier above {DEFAULT.length:,}")
        self.at = end + 1
        # No text is so long that a larger number would bound it.
        return least, None if most is None or most > DEFAULT.length >= least else most

    def atom(self) -> Regex:
        char = self.text[self.at]
        if char in "*+?":
            raise PatternInvalid(f"nothing to repeat at position {self.at}")
        if char == "{" and self.braces() is not None:
            raise PatternInvalid(f"nothing to repeat at position {self.at}")
        if char == "(":
            return self.group()
        if char == "[":
            return self.brackets()
        self.at += 1
        if char == ".":
            return _DOT
        if char in "^$":
            return Anchor(char == "^")
        if char == "\\":
            escaped = self.escape(in_class=False)
            return escaped if isinstance(escaped, Chars) else Chars(((escaped, escaped),))
        return Chars(((ord(char), ord(char)),))

    def group(self) -> Regex:
        start = self.at
        self.at += 1
        look: bool | None = None
        if self.take("?=") or self.peek("?!"):
            look = not self.take("?!")
        elif self.peek("?<=") or self.peek("?<!"):
            raise PatternUnsupported("look-behind")
        elif self.take("?<"):
            end = self.text.find(">", self.at)
            if not self.text[self.at : end].replace("$", "_").isidentifier():
                raise PatternInvalid(f"bad group name at position {start}")
            self.at = end + 1
        elif self.peek("?") and not self.take("?:"):
            raise PatternInvalid(f"unknown group syntax at position {start}")
        inner = self.alternatives()
        if not self.take(")"):
            raise PatternInvalid(f"unclosed group at position {start}")
        return inner if look is None else Look(inner, look)

    def escape(self, in_class: bool) -> int | Chars:
        """After a backslash: one character, or a class."""
        if self.at >= len(self.text):
            raise PatternInvalid("a backslash at the end")
        char = self.text[self.at]
        self.at += 1
        if char in _CLASSES:
            return Chars(_CLASSES[char])
        if char in _CONTROL:
            return _CONTROL[char]
        if char == "b" and in_class:
            return 8
        if char in "bB":
            raise PatternUnsupported(f"the word boundary \\{char}")
        if char == "0" and not self.text[self.at : self.at + 1].isdigit():
            return 0
        if char.isdigit() and char.isascii():
            if in_class:
                raise PatternInvalid(f"the escape \\{char} in brackets")
            raise PatternUnsupported(f"the back-reference \\{char}")
        if char == "k":
            raise PatternUnsupported("a named back-reference")
        if char in "pP":
            return self.prop(char)
        if char == "c":
            letter = self.text[self.at : self.at + 1]
            if not (letter.isascii() and letter.isalpha()):
                raise PatternInvalid("\\c without a letter")
            self.at += 1
            return ord(letter) % 32
        if char in "xu":
            return self.hexadecimal(char)
        if char.isascii() and char.isalnum():
            raise PatternInvalid(f"the unknown escape \\{char} at position {self.at - 2}")
        return ord(char)

    def hexadecimal(self, kind: str) -> int:
        # Rust writes \x{41}, which would be of little use in ECMA-262.
        if self.take("{"):
            digits, _, _ = self.text[self.at :].partition("}")
            self.at += len(digits) + 1
        else:
            digits = self.text[self.at : self.at + (2 if kind == "x" else 4)]
            self.at += len(digits)
            if len(digits) < (2 if kind == "x" else 4):
                raise PatternInvalid(f"a short \\{kind} escape")
        try:
            code = int(digits, 16)
        except ValueError:
            raise PatternInvalid(f"the escape \\{kind}{digits[:8]} is not hexadecimal") from None
        if 0xD800 <= code < 0xDC00 and self.peek("\\u"):
            mark = self.at
            self.at += 2
            low = self.hexadecimal("u")
            if 0xDC00 <= low < 0xE000:
                return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            self.at = mark
        if not 0 <= code <= TOP:
            raise PatternInvalid(f"\\u{{{digits[:8]}}} is not a character")
        return code

    def prop(self, kind: str) -> Chars:
        end = self.text.find("}", self.at)
        name = self.text[self.at + 1 : end]
        if not self.peek("{") or end < 0 or not name.replace("_", "").replace("=", "").isalnum():
            raise PatternInvalid(f"\\{kind} without a property name in braces")
        self.at = end + 1
        return Chars((), rf"\{kind}{{{name}}}")

    def brackets(self) -> Regex:
        start = self.at
        self.at += 1
        negated = self.take("^")
        sets: list[Ranges] = []
        raw: list[str] = []
        while not self.take("]"):
            first = self.member(start)
            if self.peek("-") and not self.peek("-]") and isinstance(first, int):
                mark = self.at
                self.at += 1
                last = self.member(start)
                if isinstance(last, int):
                    if last < first:
                        raise PatternInvalid(f"range out of order at position {mark}")
                    sets.append(((first, last),))
                    continue
                sets.append(((45, 45),))
                sets.append(((first, first),))
                first = last
            if isinstance(first, int):
                sets.append(((first, first),))
            elif first.raw:
                raw.append(first.raw)
            else:
                sets.append(first.ranges)
        ranges = union(*sets)
        if raw:
            body = "".join(f"{_char(a)}-{_char(b)}" for a, b in ranges) + "".join(raw)
            return Chars((), f"[{'^' if negated else ''}{body}]")
        return Chars(complement(ranges) if negated else ranges)

    def member(self, start: int) -> int | Chars:
        if self.at >= len(self.text):
            raise PatternInvalid(f"unclosed character class at position {start}")
        char = self.text[self.at]
        self.at += 1
        return self.escape(in_class=True) if char == "\\" else ord(char)
