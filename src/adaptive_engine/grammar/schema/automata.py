"""Sets of strings as deterministic automata: complement, intersection, emptiness, and the way back to a pattern.

A pattern is a search: the set of a pattern is all strings with a match somewhere in them. Everything is bounded;
`TooLarge` says that an answer would cost more than it is worth.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from adaptive_engine.grammar.schema import ecma
from adaptive_engine.grammar.schema.ecma import Alt, Anchor, Cat, Chars, PatternUnsupported, Ranges, Regex, Repeat

_MAX_NFA = 3_000
_MAX_STATES = 300
_MAX_SYMBOLS = 120
_MAX_PATTERN = 6_000


class Effort:
    """How much work is left for one schema, in elementary steps, and what is known already.

    It is counted and not timed, and not shared between schemas, so that the same schema always has the same result.
    """

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.known: dict[Any, Any] = {}

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooLarge("the patterns of this schema take too long to compare")


effort: ContextVar[Effort | None] = ContextVar("effort", default=None)


def _spend(steps: int) -> None:
    if (current := effort.get()) is not None:
        current.spend(steps)


class TooLarge(PatternUnsupported):
    """The automaton, or the pattern made of it, would be too large."""


@dataclass(frozen=True, slots=True)
class Dfa:
    """A complete automaton that starts in state 0. `alphabet[i]` is where the i-th range of characters starts."""

    alphabet: tuple[int, ...]
    moves: tuple[tuple[int, ...], ...]
    accepting: frozenset[int]

    def empty(self) -> bool:
        return not self.accepting

    def complement(self) -> Dfa:
        return Dfa(self.alphabet, self.moves, frozenset(range(len(self.moves))) - self.accepting)

    def shortest(self) -> str | None:
        """A string that is accepted, of as few characters as possible; None when there is none."""
        characters = [self._plain_character(symbol) for symbol in range(len(self.alphabet))]
        # Letters and digits before control characters.
        symbols = sorted(range(len(characters)), key=lambda symbol: (characters[symbol] < 0x20, symbol))
        reached: dict[int, str] = {0: ""}
        for state in (queue := [0]):  # Grows meanwhile.
            if state in self.accepting:
                return reached[state]
            _spend(len(self.alphabet))
            for symbol in symbols:
                following = self.moves[state][symbol]
                if following not in reached:
                    reached[following] = reached[state] + chr(characters[symbol])
                    queue.append(following)
        return None

    def _plain_character(self, symbol: int) -> int:
        """One of the characters of `symbol`, a letter or digit where there is one."""
        low = self.alphabet[symbol]
        high = self.alphabet[symbol + 1] if symbol + 1 < len(self.alphabet) else low + 1
        return next((code for code in (0x61, 0x41, 0x30, max(low, 0x20)) if low <= code < high), low)

    def accepts(self, text: str) -> bool:
        state = 0
        for char in text:
            state = self.moves[state][bisect_right(self.alphabet, ord(char)) - 1]
        return state in self.accepting


def automata(*regexes: Regex) -> list[Dfa]:
    """One automaton for each expression, over one alphabet, so that they can be combined."""
    starts = {0}
    for regex in regexes:
        for chars in _leaves(regex):
            if chars.raw:
                raise PatternUnsupported(f"the Unicode property {chars.raw[:40]}")
            for low, high in chars.ranges:
                starts.update((low, high + 1))
    alphabet = tuple(sorted(code for code in starts if code <= ecma.TOP))
    if len(alphabet) > _MAX_SYMBOLS:
        raise TooLarge("too many different characters")
    return [_minimal(_Nfa(alphabet).determinise(regex)) for regex in regexes]


def product(left: Dfa, right: Dfa, keep: Callable[[bool, bool], bool]) -> Dfa:
    """The strings for which `keep(in left, in right)`; both over the same alphabet."""
    index = {(0, 0): 0}
    order = [(0, 0)]
    moves: list[tuple[int, ...]] = []
    for a, b in order:  # Grows meanwhile.
        _spend(len(left.alphabet))
        row = []
        for pair in zip(left.moves[a], right.moves[b], strict=True):
            if pair not in index:
                if len(order) >= _MAX_STATES * 8:
                    raise TooLarge("too many states")
                index[pair] = len(order)
                order.append(pair)
            row.append(index[pair])
        moves.append(tuple(row))
    accepting = frozenset(i for i, (a, b) in enumerate(order) if keep(a in left.accepting, b in right.accepting))
    return _minimal(Dfa(left.alphabet, tuple(moves), accepting))


def _leaves(regex: Regex) -> Iterable[Chars]:
    match regex:
        case Chars():
            yield regex
        case Cat(parts) | Alt(parts):
            for part in parts:
                yield from _leaves(part)
        case Repeat(part):
            yield from _leaves(part)
        case ecma.Look(part):
            raise PatternUnsupported("look-ahead inside a pattern")


class _Nfa:
    """Thompson's construction. Edges labelled "^" are open before the first character, "$" after the last."""

    def __init__(self, alphabet: tuple[int, ...]) -> None:
        self.alphabet = alphabet
        self.free: list[list[int]] = []
        self.anchored: list[list[tuple[str, int]]] = []
        self.edges: list[tuple[range | tuple[int, ...], int] | None] = []

    def state(self) -> int:
        if len(self.free) >= _MAX_NFA:
            raise TooLarge("too many states")
        self.free.append([])
        self.anchored.append([])
        self.edges.append(None)
        return len(self.free) - 1

    def build(self, regex: Regex, start: int) -> int:
        """Add `regex` after `start`; its last state."""
        match regex:
            case Chars(ranges):
                source, end = self.state(), self.state()
                self.free[start].append(source)
                self.edges[source] = (self.symbols(ranges), end)
                return end
            case Cat(parts):
                for part in parts:
                    start = self.build(part, start)
                return start
            case Alt(parts):
                end = self.state()
                for part in parts:
                    self.free[self.build(part, start)].append(end)
                return end
            case Repeat(part, least, most):
                for _ in range(least):
                    start = self.build(part, start)
                if most is None:
                    loop = self.state()
                    self.free[start].append(loop)
                    self.free[self.build(part, loop)].append(loop)
                    return loop
                end = self.state()
                for _ in range(most - least):
                    self.free[start].append(end)
                    start = self.build(part, start)
                self.free[start].append(end)
                return end
            case Anchor(at_start):
                end = self.state()
                self.anchored[start].append(("^" if at_start else "$", end))
                return end
            case _:
                raise PatternUnsupported("look-ahead inside a pattern")

    def symbols(self, ranges: Ranges) -> tuple[int, ...]:
        result: list[int] = []
        for low, high in ranges:
            result.extend(range(bisect_right(self.alphabet, low) - 1, bisect_right(self.alphabet, high)))
        return tuple(result)

    def closure(self, states: Iterable[int], anchors: str) -> frozenset[int]:
        seen = set(states)
        stack = list(seen)
        while stack:
            state = stack.pop()
            after = [*self.free[state], *(end for anchor, end in self.anchored[state] if anchor in anchors)]
            stack.extend(new for new in after if new not in seen)
            seen.update(after)
        return frozenset(seen)

    def determinise(self, regex: Regex) -> Dfa:
        everything = (tuple(range(len(self.alphabet))),)
        before, inner = self.state(), self.state()
        self.free[before].append(inner)
        self.edges[before] = (everything[0], before)
        last = self.build(regex, inner)
        first = self.closure([before], "^")
        index = {first: 0}
        order = [first]
        moves: list[tuple[int, ...]] = []
        accepting = set()
        # Once matched, whatever follows: one state, the automaton needs no copy of the rest.
        won: int | None = None
        for number, states in enumerate(order):  # Grows meanwhile.
            if last in states:
                won = number if won is None else won
                accepting.add(number)
                moves.append((number,) * len(self.alphabet))
                continue
            if last in self.closure(states, "^$" if number == 0 else "$"):
                accepting.add(number)
            targets: list[set[int]] = [set() for _ in self.alphabet]
            for state in states:
                if (edge := self.edges[state]) is not None:
                    for symbol in edge[0]:
                        targets[symbol].add(edge[1])
            row = []
            for target in targets:
                after = self.closure(target, "")
                _spend(1 + len(after))
                if last in after and won is not None:
                    row.append(won)
                    continue
                if after not in index:
                    if len(order) >= _MAX_STATES:
                        raise TooLarge("too many states")
                    index[after] = len(order)
                    order.append(after)
                row.append(index[after])
            moves.append(tuple(row))
        return Dfa(self.alphabet, tuple(moves), frozenset(accepting))


def _minimal(dfa: Dfa) -> Dfa:
    """Moore's algorithm: split until states in one block agree on where every symbol leads."""
    block = [int(state in dfa.accepting) for state in range(len(dfa.moves))]
    count = 0
    while True:
        _spend(len(dfa.moves) * len(dfa.alphabet))
        names: dict[tuple[int, ...], int] = {}
        block = [
            names.setdefault((block[state], *(block[to] for to in row)), len(names))
            for state, row in enumerate(dfa.moves)
        ]
        if len(names) == count:
            break
        count = len(names)
    moves: dict[int, tuple[int, ...]] = {}
    for state, row in enumerate(dfa.moves):
        moves.setdefault(block[state], tuple(block[to] for to in row))
    # State 0 is first in its block, so its block has number 0.
    accepting = frozenset(block[state] for state in dfa.accepting)
    return Dfa(dfa.alphabet, tuple(moves[name] for name in range(len(moves))), accepting)


def pattern(dfa: Dfa) -> str:
    """A pattern in Rust's dialect for exactly the strings of `dfa`, by elimination of states."""
    total = len(dfa.moves)
    start, end = total, total + 1
    edges: dict[int, dict[int, Regex]] = {state: {} for state in (*range(total), start, end)}
    edges[start][0] = ecma.EMPTY
    for state, row in enumerate(dfa.moves):
        ranges: dict[int, list[tuple[int, int]]] = {}
        for symbol, to in enumerate(row):
            high = dfa.alphabet[symbol + 1] - 1 if symbol + 1 < len(dfa.alphabet) else ecma.TOP
            ranges.setdefault(to, []).append((dfa.alphabet[symbol], high))
        for to, pairs in ranges.items():
            edges[state][to] = Chars(ecma.union(tuple(pairs)))
        if state in dfa.accepting:
            edges[state][end] = ecma.EMPTY
    left = _useful(edges, start, end) - {start, end}
    sources = {state: {s for s in (*left, start) if state in edges[s]} for state in (*left, end)}
    while left:
        out = min(left, key=lambda s: (len(sources[s] - {s}) * len(edges[s].keys() & left), s))
        left.discard(out)
        loop = edges[out].pop(out, None)
        sources[out].discard(out)
        middle: tuple[Regex, ...] = () if loop is None else (Repeat(loop, 0, None),)
        for source in sources[out]:
            into = edges[source].pop(out)
            for to, onward in edges[out].items():
                if to not in left and to != end:
                    continue
                path = _cat(into, *middle, onward)
                known = edges[source].get(to)
                edges[source][to] = path if known is None else _alt(known, path)
                sources[to].add(source)
                size = _size(edges[source][to])
                _spend(size)
                if size > _MAX_PATTERN // 4:
                    raise TooLarge("the pattern would be too long")
        for to in edges[out]:
            if to in sources:
                sources[to].discard(out)
    result = edges[start].get(end)
    text = "^(?:" + ecma.rust(Chars(()) if result is None else result) + ")$"
    if len(text) > _MAX_PATTERN:
        raise TooLarge("the pattern would be too long")
    return text


def _useful(edges: dict[int, dict[int, Regex]], start: int, end: int) -> set[int]:
    """States on some path from start to end. All are reachable, so those that reach the end."""
    back: dict[int, list[int]] = {}
    for state, out in edges.items():
        for to in out:
            back.setdefault(to, []).append(state)
    seen, stack = {end}, [end]
    while stack:
        for state in back.get(stack.pop(), ()):
            if state not in seen:
                seen.add(state)
                stack.append(state)
    return seen


def _cat(*parts: Regex) -> Regex:
    flat: list[Regex] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Cat) else (part,))
    return flat[0] if len(flat) == 1 else Cat(tuple(flat))


def _alt(left: Regex, right: Regex) -> Regex:
    if isinstance(left, Chars) and isinstance(right, Chars):
        return Chars(ecma.union(left.ranges, right.ranges))
    flat: list[Regex] = []
    for part in (left, right):
        flat.extend(part.parts if isinstance(part, Alt) else (part,))
    return Alt(tuple(flat))


def _size(regex: Regex) -> int:
    stack, count = [regex], 0
    while stack:
        match stack.pop():
            case Cat(parts) | Alt(parts):
                stack.extend(parts)
            case Repeat(part):
                stack.append(part)
        count += 1
    return count
