"""Short completions of unfinished JSON, so that an answer can be closed before its budget of tokens runs out.

llguidance says which tokens may come next, not how far the end is. So the end is searched: a completion that was found
is a proof, and the number of its tokens an upper bound of what is needed. The bound is tight where it matters (strings
are closed, optional keys left out, arrays ended) and only loose for patterns, where other texts might be shorter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from adaptive_engine.grammar.masks import GrammarError, Matcher, TokenIds, Vocabulary

# How much of the tree is searched when the obvious way does not lead to an end.
_BEAM = 12
_MOST_TOKENS = 4096
# Tokens tried in a search, 0.1 to 0.4 ms each; the smaller number while a whole batch waits for it.
_MOST_NODES = 2000
_MOST_NODES_RUNNING = 32
# Tokens that are walked, and looked at again, while a whole batch waits: some milliseconds.
_MOST_STEPS_RUNNING = 96
_MOST_REPEATED = 1500
# A string or number that does not end within so many tokens needs a search.
_LONG_VALUE = 32

_SMALL_VALUES = (b"null", b"true", b"false", b"0", b"1", b"{}", b"[]", b'""')


class Preference:
    """The order in which tokens of a vocabulary are tried to get to the end of a JSON text."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.token_bytes = vocabulary.token_bytes
        self.examples: list[bytes] = []
        """JSON strings that match patterns of the schema, without the opening quote."""
        # By token id; lower is tried first. The same token closes a string or opens one, depending on where it comes.
        self._rank_outside = np.array([_rank(text, inside=False) for text in self.token_bytes])
        self._rank_inside = np.array([_rank(text, inside=True) for text in self.token_bytes])

    def with_examples(self, strings: Iterable[str]) -> Preference:
        """The same, which tries `strings` where a string has to match a pattern."""
        other = copy(self)
        other.examples = [json.dumps(text, ensure_ascii=False)[1:].encode() for text in strings]
        return other

    @cached_property
    def _first_byte(self) -> TokenIds:
        return np.array([text[0] if text else -1 for text in self.token_bytes])

    @cached_property
    def _length(self) -> TokenIds:
        return np.array([len(text) for text in self.token_bytes])

    def best(self, allowed: TokenIds, inside: bool) -> int:
        """`inside` a string, that is."""
        rank = self._rank_inside if inside else self._rank_outside
        return int(allowed[rank[allowed].argmin()])

    def varied(self, allowed: TokenIds, inside: bool, most: int) -> list[int]:
        """The best, and the shortest token for each first byte: whatever way there is, one of them begins it."""
        ascii_only = allowed[self._first_byte[allowed] < 0x80]
        # Other characters take several bytes, and hardly any text needs them.
        allowed = ascii_only if len(ascii_only) else allowed
        order = np.lexsort((self._length[allowed], self._first_byte[allowed]))
        ids = allowed[order]
        _, first = np.unique(self._first_byte[ids], return_index=True)
        # Not in alphabetic order: what few of the allowed tokens begin with is more likely a way out.
        counts = np.diff(np.append(first, len(ids)))
        shortest = [int(ids[i]) for i in first[np.argsort(counts, kind="stable")]]
        best = self.best(allowed, inside)
        return [best, *(token for token in shortest if token != best)][:most]

    def ends_value(self, token: int, inside: bool) -> bool:
        """Whether `token` ends a string or number, or is no part of one."""
        text = self.token_bytes[token]
        return b'"' in text if inside else bool(text.strip(b"0123456789.+-eE"))

    def inside_after(self, tokens: list[int], inside: bool) -> bool:
        """Whether a JSON text that goes on by `tokens` is within a string then."""
        return _inside_after(b"".join(self.token_bytes[token] for token in tokens), inside)


def _inside_after(text: bytes, inside: bool) -> bool:
    # A backslash at the very end of a token is forgotten: a wrong guess costs a longer completion, never a wrong one.
    quotes = text.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"')
    return inside ^ bool(quotes % 2)


def _rank(text: bytes, *, inside: bool) -> float:
    if not text:
        return 1e9
    if inside:
        content, quote, rest = text.partition(b'"')
        if not quote or content:
            # Where a string has to go on, long tokens get further.
            return 5 - len(text) / 1000
        return -1 - len(rest) if not rest.strip(b"]}") else 1
    if not text.strip(b"]}"):
        return -len(text)
    if text in _SMALL_VALUES or text.isdigit():
        return 2 + len(text) / 100
    # A quote alone leaves open what the string is.
    return 3 if text == b'"' else 4 + len(text) / 1000


def find_completion(matcher: Matcher, preference: Preference, limit: int) -> list[int] | None:
    """The shortest completion found from the beginning, within `limit` tokens. Milliseconds; 0.5 s where it is hard."""
    direct = complete(matcher, preference, limit, inside=False, nodes=_MOST_NODES)
    # What closes most at each token is hardly ever beaten: another look may not cost much.
    most, nodes = (limit, _MOST_NODES) if direct is None else (len(direct) - 1, _MOST_NODES // 20)
    other = _search(matcher, preference, most, False, nodes, value_only=False)
    return direct if other is None else other.tokens


def shorten(
    matcher: Matcher, preference: Preference, completion: list[int], taken: list[int], limit: int, *, inside: bool
) -> list[int] | None:
    """A completion from `matcher`, which has gone on by `taken` from where `completion` was one.

    Most of the time what is left of the old one still fits, which costs microseconds; only else one is searched.
    None when none of at most `limit` tokens is found.
    """
    if completion[: len(taken)] == taken:
        rest = completion[len(taken) :]
        return rest if len(rest) <= limit else None
    repeated = 0
    for rest in _parts(matcher.vocabulary, completion, taken):
        if len(rest) <= limit and matcher.completed_by(rest):
            return rest
        repeated += len(rest)
        if repeated > _MOST_REPEATED:
            return None
    limit = min(limit, _MOST_STEPS_RUNNING)
    return complete(matcher, preference, limit, inside=inside, nodes=_MOST_NODES_RUNNING)


def _parts(vocabulary: Vocabulary, completion: list[int], taken: list[int]) -> Iterator[list[int]]:
    """What may be left of `completion`: all of it, what `taken` has not covered, or what follows one of its values."""
    yield completion
    text, done = vocabulary.decode(completion), vocabulary.decode(taken)
    if text.startswith(done):
        yield vocabulary.encode(text[len(done) :])
    ends = [at for at in range(1, len(text)) if text[at : at + 1] in (b",", b"}", b"]", b'"')]
    for at in ends[:8]:
        yield vocabulary.encode(text[at:])


def complete(matcher: Matcher, preference: Preference, limit: int, *, inside: bool, nodes: int) -> list[int] | None:
    """Take what closes most, always; where a value does not end that way, search its end."""
    state, tokens = matcher.copy(), list[int]()
    # Where the value that is being written began: the state, the number of tokens, whether inside a string.
    value = (matcher, 0, inside)
    content = 0
    while True:
        forced = state.take_forced(limit - len(tokens) + 1)
        tokens += forced
        if state.accepting:
            return tokens if len(tokens) <= limit else None
        if len(tokens) >= min(limit, _MOST_TOKENS):
            return None
        inside = preference.inside_after(forced, inside)
        token = preference.best(state.allowed(), inside)
        if forced or preference.ends_value(token, inside):
            value, content = (state.copy(), len(tokens), inside), 0
        content += 1
        if content > _LONG_VALUE:
            before, count, inside = value
            del tokens[count:]
            found = _example(before, preference, inside) or _search(
                before, preference, limit - len(tokens), inside, nodes, value_only=True
            )
            if found is None:
                return None
            tokens += found.tokens
            inside, state = found.inside, found.state
            value, content = (state.copy(), len(tokens), inside), 0
            continue
        state.accept(token)
        inside = preference.inside_after([token], inside)
        tokens.append(token)


@dataclass(frozen=True, slots=True)
class _Path:
    """A way from where a search began."""

    tokens: list[int]
    inside: bool
    state: Matcher
    mask: bytes = b""
    idle: int = 0
    """Steps after which the same tokens were allowed as before: most likely none of them led anywhere."""


def _example(matcher: Matcher, preference: Preference, inside: bool) -> _Path | None:
    """To the end of a string by way of one that is known to match a pattern."""
    for text in preference.examples:
        tokens = matcher.vocabulary.encode(text if inside else b'"' + text)
        if matcher.may_follow(tokens):
            state = matcher.copy()
            for token in tokens:
                state.accept(token)
            return _Path(tokens, False, state)
    return None


def _search(
    matcher: Matcher, preference: Preference, limit: int, inside: bool, nodes: int, *, value_only: bool
) -> _Path | None:
    """Breadth first, over tokens that begin differently, to the end of the text or of one string or number.

    States that allow the same tokens after the same number of steps are taken for the same.
    """
    beam = [_Path([], inside, matcher.copy())]
    while beam and nodes > 0:
        found: dict[bytes, _Path] = {}
        for path in beam:
            for token in preference.varied(path.state.allowed(), path.inside, most=max(nodes // 8, 16)):
                nodes -= 1
                state = path.state.copy()
                try:
                    state.accept(token)
                    taken = [token, *state.take_forced(limit - len(path.tokens))]
                    if len(path.tokens) + len(taken) > limit:
                        continue
                    following = _Path([*path.tokens, *taken], preference.inside_after(taken, path.inside), state)
                    if state.accepting or (value_only and preference.ends_value(token, path.inside)):
                        return following
                    mask = state.mask()
                except GrammarError:
                    continue
                following = replace(following, mask=mask, idle=path.idle + (mask == path.mask))
                if mask not in found or following.idle < found[mask].idle:
                    found[mask] = following
        beam = sorted(found.values(), key=lambda path: (path.idle, len(path.tokens)))[:_BEAM]
    return None
