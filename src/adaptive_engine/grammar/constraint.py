"""Where one answer is in its grammar."""

from __future__ import annotations

from adaptive_engine.grammar.closing import Preference, shorten
from adaptive_engine.grammar.masks import Grammar, GrammarError, TokenIds


class Constraint:
    """Says which tokens may come next, and which come without a choice.

    Made for one generation and used by one thread at a time. Every method may raise GrammarError.
    """

    def __init__(self, grammar: Grammar, *, force: bool = True) -> None:
        """Without `force` forced tokens come one by one, as sampled ones, to the same text."""
        self._matcher = grammar.start()
        self._force = force
        self._completion: list[int] | None = None
        self._inside = False

    def keep_closable(self, completion: list[int], preference: Preference) -> None:
        """Promise that the answer is complete before its budget ends. `completion` is an answer that fits into it."""
        self._completion = completion
        self._preference = preference

    @property
    def finished(self) -> bool:
        """The answer is complete, and nothing can follow."""
        return self._matcher.finished

    @property
    def closed(self) -> bool:
        """The answer was to be closed within its budget, and is."""
        return self._completion is not None and self._matcher.accepting

    def begin(self, budget: int) -> list[int]:
        """The tokens that every answer starts with, at most `budget`."""
        taken = self._matcher.take_forced(budget) if self._force else []
        if self._completion is not None:
            rest = shorten(self._matcher, self._preference, self._completion, taken, budget - len(taken), inside=False)
            self._inside = self._preference.inside_after(taken, False)
            self._completion = self._completion[len(taken) :] if rest is None else rest
        return taken

    def allowed(self) -> TokenIds:
        """Ids of the tokens that may come next, ascending."""
        return self._matcher.allowed()

    def admits(self, tokens: list[int]) -> int:
        """How many of `tokens`, from the first, may come next. Changes nothing."""
        # A copy: a limit that is met on the way is none of this answer, which may go another one.
        return self._matcher.copy().admits(tokens)

    def take(self, token: int, budget: int) -> list[int]:
        """Go on by the sampled `token`; returns what is appended: it and the tokens forced behind it.

        Another token than the sampled one, when with that the answer could no longer be closed in `budget` tokens.
        """
        if self._completion is not None:
            return self._take_closable(token, budget, self._completion)
        self._matcher.accept(token)
        return [token, *self._forced(budget - 1)]

    def _take_closable(self, token: int, budget: int, completion: list[int]) -> list[int]:
        before = self._matcher.copy()
        self._matcher.accept(token)
        taken = [token, *self._forced(budget - 1)]
        inside = self._preference.inside_after(taken, self._inside)
        try:
            rest = shorten(self._matcher, self._preference, completion, taken, budget - len(taken), inside=inside)
        except GrammarError:
            # A limit was met where the answer may never come: there is still the known way.
            rest = None
        if rest is None:
            taken, rest = completion[:1] or [before.vocabulary.end_ids[0]], completion[1:]
            self._matcher = before
            self._matcher.accept(taken[0])
            inside = self._preference.inside_after(taken, self._inside)
        self._completion, self._inside = rest, inside
        return taken

    def _forced(self, limit: int) -> list[int]:
        return self._matcher.take_forced(limit) if self._force and limit > 0 else []
