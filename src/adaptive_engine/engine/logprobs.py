"""Log probabilities of generated tokens, for who asks for them."""

from __future__ import annotations

from collections.abc import Sequence as Seq

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.types import TokenLogprob

TokenIds = NDArray[np.intp]


def token_logprob(
    logits: NDArray[np.float32], allowed: TokenIds | None, token: int, top: int, token_bytes: Seq[bytes]
) -> TokenLogprob:
    """`logits` is `[vocabulary]`; `allowed` are the ids that could be drawn, ascending, or None for all."""
    values = (logits if allowed is None else logits[allowed]).astype(np.float64)
    values -= values.max()
    values -= np.log(np.exp(values).sum())
    place = token if allowed is None else int(np.searchsorted(allowed, token))
    count = min(top, values.size)
    best = np.argpartition(values, values.size - count)[values.size - count :] if count else np.array([], np.intp)
    # Ties are ordered by id.
    best = best[np.lexsort((best, -values[best]))]
    ids = best if allowed is None else allowed[best]
    ranked = zip(ids.tolist(), values[best].tolist(), strict=True)
    return TokenLogprob(
        token_bytes[token],
        float(values[place]),
        tuple((token_bytes[i], logprob) for i, logprob in ranked if np.isfinite(logprob)),
    )


def forced_logprob(token: int, top: int, token_bytes: Seq[bytes]) -> TokenLogprob:
    """Of a token that nothing else could have taken the place of."""
    text = token_bytes[token]
    return TokenLogprob(text, 0.0, ((text, 0.0),) if top else ())
