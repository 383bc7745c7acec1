"""Who is next: one queue for each owner, and turns by what each was served.

The virtual token counter of "Fairness in Serving Large Language Models" (Sheng et al., 2024): an owner's counter grows
by each token that is computed for it, and the owner with the smallest counter is next. Who comes back after a pause
starts at the smallest counter of those who are there: nobody saves up turns, and nobody loses debts by a short pause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from adaptive_engine.engine.sequence import Sequence


@dataclass(eq=False, slots=True)
class _Owner:
    served: int = 0
    """Tokens, prompt and generated. What was in the cache, or is computed a second time, costs nothing."""
    alive: int = 0
    """Its sequences, waiting and running."""
    waiting: deque[Sequence] = field(default_factory=deque)


class FairQueue:
    """The waiting sequences, and what the owners of all sequences were served. Not thread-safe."""

    def __init__(self) -> None:
        self._owners: dict[bytes, _Owner] = {}

    def __len__(self) -> int:
        return sum(len(owner.waiting) for owner in self._owners.values())

    def __contains__(self, sequence: Sequence) -> bool:
        owner = self._owners.get(sequence.request.owner)
        return owner is not None and sequence in owner.waiting

    def add(self, sequence: Sequence) -> None:
        """A new sequence, behind the others of its owner."""
        present = [owner.served for owner in self._owners.values() if owner.alive]
        if not present:
            # Nobody was kept waiting by what came before.
            self._owners.clear()
        owner = self._owners.setdefault(sequence.request.owner, _Owner())
        if not owner.alive:
            owner.served = max(owner.served, min(present, default=0))
        owner.alive += 1
        owner.waiting.append(sequence)

    def take(self, sequence: Sequence) -> None:
        """It runs from here on. What it begins with is charged at once, so that the next turn is another owner's."""
        self._of(sequence).waiting.remove(sequence)
        self.charge(sequence, len(sequence.tokens))

    def put_back(self, sequence: Sequence) -> None:
        """A running one that had to give way: before the others of its owner."""
        self._of(sequence).waiting.appendleft(sequence)

    def leave(self, sequence: Sequence) -> None:
        """It has ended, waiting or running."""
        owner = self._of(sequence)
        owner.alive -= 1
        if sequence in owner.waiting:
            owner.waiting.remove(sequence)

    def running(self, owner: bytes) -> int:
        """How many of its sequences do not wait."""
        found = self._owners.get(owner)
        return found.alive - len(found.waiting) if found is not None else 0

    def charge(self, sequence: Sequence, stop: int) -> None:
        """The owner was served the tokens of `sequence` before `stop`, as far as it was not charged for them."""
        paid = max(sequence.charged, sequence.computed)
        if stop > paid:
            self._of(sequence).served += stop - paid
            sequence.charged = stop

    def in_turn(self) -> Iterator[Sequence]:
        """All that wait, each time one of the owner served least; of equals, of the one with fewer sequences.

        Those in the background come after all others. The one that came may be taken meanwhile, which can change whose
        turn is next.
        """
        yield from self._turns(background=False)
        yield from self._turns(background=True)

    def _turns(self, *, background: bool) -> Iterator[Sequence]:
        waiting = (
            (owner, deque(one for one in owner.waiting if one.request.background is background))
            for owner in self._owners.values()
        )
        left = [turn for turn in waiting if turn[1]]
        while left:
            turn = min(left, key=lambda pair: (pair[0].served, pair[0].alive))
            yield turn[1].popleft()
            if not turn[1]:
                left.remove(turn)

    def clear(self) -> None:
        self._owners.clear()

    def _of(self, sequence: Sequence) -> _Owner:
        return self._owners[sequence.request.owner]
