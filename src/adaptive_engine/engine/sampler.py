"""Choose the next token from a row of logits.

Greedy is one argmax. Sampling costs three passes over the vocabulary and no sort of it: top-p looks at the most likely
tokens first and only sorts more when those do not hold enough probability.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.engine.sequence import SamplingParams

Logits = NDArray[np.float32]
TokenIds = NDArray[np.intp]
# Nearly every nucleus fits; measured with 49k tokens, partition + sort of 256 costs a tenth of a full sort.
_NUCLEUS_GUESS = 256
_COLUMNS = 256


def sample(logits: Logits, params: SamplingParams, rng: random.Random, allowed: TokenIds | None = None) -> int | None:
    """One token, or None where there is no finite maximum.

    `logits` is `[vocabulary]`, float32, and is not changed; -inf is a token that cannot be drawn. Only `allowed` ids
    can be drawn, which must be ascending; None allows all. A sampled token takes exactly one draw of `rng`, also where
    nothing is left to chance, so that a seed gives the same draws at every step.
    """
    draw = rng.random() if params.temperature > 0 else 0.0
    if allowed is None:
        return _draw(logits, params, draw)
    if len(allowed) == 1:
        return int(allowed[0])
    # Often there are few.
    chosen = _draw(logits[allowed], params, draw)
    return None if chosen is None else int(allowed[chosen])


def _draw(logits: Logits, params: SamplingParams, draw: float) -> int | None:
    best = int(logits.argmax())
    # A NaN is the argmax of its row.
    if not np.isfinite(logits[best]):
        return None
    # Temperatures near zero would overflow the division; they are greedy to every digit that matters.
    if params.temperature < 1e-4:
        return best
    weights = np.exp((logits - logits[best]) * np.float32(1.0 / params.temperature))
    return _nucleus(weights, params.top_p, draw) if params.top_p < 1.0 else _pick(weights, draw)


def _nucleus(weights: Logits, top_p: float, draw: float) -> int:
    """Sample from the smallest set of tokens whose probability is at least `top_p` (Holtzman et al., 2019)."""
    wanted = top_p * float(weights.sum(dtype=np.float64))
    candidates = min(_NUCLEUS_GUESS, weights.size)
    while True:
        if candidates < weights.size:
            top = np.argpartition(weights, weights.size - candidates)[-candidates:]
        else:
            top = np.arange(weights.size)
        # Ties are ordered by token id, so that the choice does not depend on how the partition went.
        top = top[np.lexsort((top, -weights[top]))]
        cumulative = np.cumsum(weights[top], dtype=np.float64)
        size = int(np.searchsorted(cumulative, wanted)) + 1
        if size <= candidates or candidates == weights.size:
            size = min(size, candidates)
            return int(top[_first_above(cumulative[:size], draw * float(cumulative[size - 1]))])
        candidates = min(candidates * 16, weights.size)


def _pick(weights: Logits, draw: float) -> int:
    """Inverse-CDF sampling in two levels, which is several times faster than one cumulative sum of everything."""
    whole = weights.size - weights.size % _COLUMNS
    rows = weights[:whole].reshape(-1, _COLUMNS).sum(axis=1, dtype=np.float64)
    tail = weights[whole:]
    if tail.size:
        rows = np.append(rows, tail.sum(dtype=np.float64))
    cumulative = np.cumsum(rows)
    target = draw * float(cumulative[-1])
    row = _first_above(cumulative, target)
    before = float(cumulative[row - 1]) if row else 0.0
    within = np.cumsum(weights[row * _COLUMNS : (row + 1) * _COLUMNS], dtype=np.float64)
    return row * _COLUMNS + _first_above(within, target - before)


def _first_above(cumulative: NDArray[np.float64], target: float) -> int:
    """The first index whose cumulative weight exceeds `target`: never one of weight zero, whatever the rounding."""
    below_total = min(target, float(np.nextafter(cumulative[-1], 0)))
    return int(np.searchsorted(cumulative, below_total, side="right"))
