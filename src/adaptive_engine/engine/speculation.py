"""Speculative decoding without a draft model.

Answers repeat what stands before them: names, quotes, code, JSON. What followed the last time the text was as it is now
is a good guess at what comes next (prompt lookup decoding, Saxena 2023). A step computes the guess along with the last
token; each guessed token that is the one sampled is a step saved. Sampling is not changed: the tokens are those of the
same draws without speculation.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adaptive_engine.engine.runner import StepCosts

DRAFTS = 4
"""So many at a time, or none: steps of ever other sizes would cost more than a few drafts more or less."""
# Shorter matches are chance, longer ones say nothing more.
_SHORTEST, _LONGEST = 2, 4
_WIDTH = array("i").itemsize
# The first guesses of a sequence are as good as most, and it takes about ten to know better.
_FIRST_CHANCE, _MEMORY = 0.5, 0.9


def pays(chance: float, costs: StepCosts, rows: int) -> bool:
    """Whether a step gives more tokens per second with drafts, each of which is right with `chance` if all before are.

    A step of `rows` rows takes `1 + costs.row * rows` and gives a token for each. Drafts are rows more. A single stream
    has a graph of its own to come back to; other batches change their size for a burst of drafts, and back.
    """
    extra = DRAFTS if rows == 1 else DRAFTS + 2 * costs.resize
    tokens_lost = extra * costs.row * rows / (1 + costs.row * rows)
    return sum(chance**n for n in range(1, DRAFTS + 1)) > tokens_lost


class Drafter:
    """Guesses how one sequence goes on, and keeps count of how often it was right.

    It knows nothing but the tokens of its own sequence, so the same request always has the same drafts.
    """

    def __init__(self) -> None:
        self.chance = _FIRST_CHANCE
        """Of a draft to be right, where all before it are; from the latest ones."""
        self._text = bytearray()
        self._guess: list[int] = []

    def propose(self, tokens: list[int]) -> list[int]:
        """Drafts of what comes behind `tokens`, which only grow from call to call."""
        self._guess = self._look_up(tokens)
        return self._guess

    def observe(self, tokens: list[int]) -> None:
        """`tokens` came behind those of the last proposal, whether or not it was made use of."""
        for guessed, token in zip(self._guess, tokens, strict=False):
            right = guessed == token
            self.chance = _MEMORY * self.chance + (1 - _MEMORY) * right
            if not right:
                break
        self._guess = []

    def _look_up(self, tokens: list[int]) -> list[int]:
        text = self._text
        text += array("i", tokens[len(text) // _WIDTH :]).tobytes()
        for length in range(min(_LONGEST, len(tokens) - 1), _SHORTEST - 1, -1):
            pattern = text[-length * _WIDTH :]
            # An earlier place: it ends before the last token.
            at = text.rfind(pattern, 0, len(text) - _WIDTH)
            while at > 0 and at % _WIDTH:
                at = text.rfind(pattern, 0, at + len(pattern) - 1)
            if at >= 0:
                start = at // _WIDTH + length
                found = tokens[start : start + DRAFTS]
                # Where the text has begun to go in circles, it goes on.
                return (found * DRAFTS)[:DRAFTS]
        return []
