"""Shares out what a step computes of prompts.

Owners have equal shares. Half of a share is the owner's oldest prompt's, which therefore always gets on; the other half
goes to its shortest ones, so that none waits for a long one.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter

from adaptive_engine.engine.batch import step_rows
from adaptive_engine.engine.sequence import Sequence, Slice

LEAST = 3
"""Attention to one token alone is computed by another kernel, with other rounding. A prompt never meets it, wherever it
is cut and however much of it was cached; with three tokens there is always a way to go on.
"""
# Fewer tokens of a prompt are not worth their place in a step.
_LEAST_SHARE = 16

Price = Callable[[Sequence], float]
"""What the next token of a prompt costs, in tokens at the begin of a prompt."""


def by_number(_: Sequence) -> float:
    """Where nobody waits for the step."""
    return 1.0


def by_depth(doubling_depth: int) -> Price:
    """Where streams do: attention to what stands before makes a token the dearer the deeper it is."""
    return lambda sequence: 1.0 + sequence.computed / doubling_depth


def share_among_owners(budget: float, prefilling: list[Sequence], price: Price) -> list[Slice]:
    """For at most `budget` tokens of the prompts in `prefilling`, oldest first.

    Owners get equal shares; what one does not need, others get. A small budget is for those with the oldest prompts.
    """
    by_owner: dict[bytes, list[Sequence]] = {}
    for sequence in prefilling:
        by_owner.setdefault(sequence.request.owner, []).append(sequence)
    groups = [(sum(one.remaining_prefill * price(one) for one in prompts), prompts) for prompts in by_owner.values()]
    groups = groups[: max(int(budget // _LEAST_SHARE), 1)]
    slices: list[Slice] = []
    for left in range(len(groups), 0, -1):
        group = min(groups, key=itemgetter(0))
        groups.remove(group)
        need, prompts = group
        share = min(need, -(-budget // left))
        slices += _share(share, prompts, price)
        budget -= share
    return slices


def fill_up(slices: list[Slice]) -> None:
    """What a step would be padded with computes more of a prompt instead."""
    rows = sum(part.rows for part in slices)
    spare = step_rows(rows) - rows
    for part in slices:
        if part.sequence.prefill_length - (part.stop + spare) >= LEAST:
            part.stop += spare
            return


def _share(budget: float, prefilling: list[Sequence], price: Price) -> list[Slice]:
    """Chunks of the prompts of one owner that together cost at most `budget`."""
    oldest, *others = prefilling
    reserved = min(oldest.remaining_prefill * price(oldest), -(-budget // 2))
    left = budget - reserved
    slices = []
    for sequence in sorted(others, key=lambda other: other.remaining_prefill):
        count = _chunk(left / price(sequence), sequence.remaining_prefill)
        if count == 0:
            break
        slices.append(Slice(sequence, sequence.computed, sequence.computed + count))
        left -= count * price(sequence)
    # However deep it is, it gets on.
    count = _chunk(max((reserved + left) / price(oldest), min(reserved + left, LEAST)), oldest.remaining_prefill)
    return [Slice(oldest, oldest.computed, oldest.computed + count), *slices] if count else slices


def _chunk(budget: float, remaining: int) -> int:
    """As much of `remaining` as fits, but never one token alone or one left over: see LEAST."""
    # What is divided by a price and multiplied with it again may be a hair less than it was.
    count = min(int(budget + 1e-6), remaining)
    if count and remaining - count == 1:
        count -= 1
    return 0 if count == 1 < remaining else count
