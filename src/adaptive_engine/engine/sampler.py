"""Choose the next token of each row of logits.

Greedy rows are one vectorised argmax. A sampled row costs three passes over the vocabulary and no sort of it: top-p
looks at the most likely tokens first and only sorts more when those do not hold enough probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Seq
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.engine.sequence import Sequence

Logits = NDArray[np.float32]
TokenIds = NDArray[np.intp]
_ANY: Mapping[int, TokenIds] = MappingProxyType({})
# Nearly every nucleus fits; measured with 49k tokens, partition + sort of 256 costs a tenth of a full sort.
_NUCLEUS_GUESS = 256
_COLUMNS = 256


def sample(logits: Logits, sequences: Seq[Sequence], allowed: Mapping[int, TokenIds] = _ANY) -> list[int | None]:
    """One token per row, None for a row that has no finite maximum.

    `logits` is `[rows, vocabulary]`, float32, and is not changed; -inf is a token that cannot be drawn. Rows in
    `allowed` draw from these token ids only, which must be ascending.
    """
    if not sequences:
        return []
    best = logits.argmax(axis=1)
    # A NaN is the argmax of its row.
    sound = np.isfinite(logits[np.arange(len(sequences)), best])
    tokens: list[int | None] = best.tolist()
    for row, sequence in enumerate(sequences):
        params = sequence.request.params
        if not sound[row]:
            tokens[row] = None
        elif row in allowed:
            tokens[row] = _sample_among(allowed[row], logits[row], sequence)
        elif params.temperature > 0:
            # The draw is taken even when it is not needed, so that a seed gives the same draws at every step.
            draw = sequence.rng.random()
            tokens[row] = _sample_row(logits[row], int(best[row]), params.temperature, params.top_p, draw)
    return tokens


def _sample_among(ids: TokenIds, logits: Logits, sequence: Sequence) -> int | None:
    """Only the allowed logits are looked at: often there are few."""
    params = sequence.request.params
    draw = sequence.rng.random() if params.temperature > 0 else 0.0
    if len(ids) == 1:
        return int(ids[0])
    candidates = logits[ids]
    best = int(candidates.argmax())
    if not np.isfinite(candidates[best]):
        return None
    if params.temperature > 0:
        return int(ids[_sample_row(candidates, best, params.temperature, params.top_p, draw)])
    return int(ids[best])


def _sample_row(logits: Logits, best: int, temperature: float, top_p: float, draw: float) -> int:
    # Temperatures near zero would overflow the division; they are greedy to every digit that matters.
    if temperature < 1e-4:
        return best
    weights = np.exp((logits - logits[best]) * np.float32(1.0 / temperature))
    if top_p < 1.0:
        return _nucleus(weights, top_p, draw)
    return _pick(weights, draw)


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
