"""Choose the next token from a row of logits.

Greedy is one argmax. Sampling costs a few passes over the vocabulary and no sort of it: top-p only sorts what can be in
the nucleus.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.engine.sequence import SamplingParams

Logits = NDArray[np.float32]
TokenIds = NDArray[np.intp]
# A million tokens of this weight, as an exponent, are together nothing beside the best one, as far as float32 tells.
_NEGLIGIBLE = np.float32(-30)
# Where more than one in so many count, it is faster to look at all.
_FEW = 4
# Tokens of a smaller weight are rarely needed for a nucleus.
_MOSTLY_ENOUGH = 1e-3
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
    weights = logits - logits[best]
    weights *= np.float32(1.0 / params.temperature)
    likely = weights >= _NEGLIGIBLE
    few = _FEW * np.count_nonzero(likely) < likely.size
    if few:
        ids = np.flatnonzero(likely)
        weights = weights[ids]
    np.exp(weights, out=weights)
    chosen = _nucleus(weights, params.top_p, draw) if params.top_p < 1.0 else _pick(weights, draw)
    return int(ids[chosen]) if few else chosen


def _nucleus(weights: Logits, top_p: float, draw: float) -> int:
    """Sample from the smallest set of tokens whose probability is at least `top_p` (Holtzman et al., 2019)."""
    total = float(weights.sum())
    wanted = top_p * total
    # All that weigh less than this are together less than what the nucleus may lack.
    least = (total - wanted) / weights.size
    top = weights[np.flatnonzero(weights >= max(least, _MOSTLY_ENOUGH))]
    if least < _MOSTLY_ENOUGH and float(top.sum()) < wanted:
        top = weights[np.flatnonzero(weights >= least)]
    # Numbers alone are sorted several times faster than tokens by them.
    top = np.sort(top)[::-1]
    cumulative = np.cumsum(top, dtype=np.float64)
    size = int(np.searchsorted(cumulative, wanted)) + 1
    place = _first_above(cumulative[:size], draw * float(cumulative[:size][-1]))
    # Those that weigh the same stand in the order of their ids.
    same = np.flatnonzero(weights == top[place])
    return int(same[place - np.count_nonzero(top > top[place])])


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
