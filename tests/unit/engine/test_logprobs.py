"""Log probabilities against a plain softmax."""

from __future__ import annotations

import numpy as np
import pytest

from adaptive_engine.engine.logprobs import forced_logprob, token_logprob

TEXTS = [bytes([65 + n]) for n in range(8)]
LOGITS = np.array([0.5, -2, 3, 3, 0, -np.inf, 1, 2.5], np.float32)


def softmax(values: np.ndarray) -> np.ndarray:
    return values - np.log(np.exp(values.astype(np.float64)).sum())


def test_of_all_tokens() -> None:
    found = token_logprob(LOGITS, None, 0, 3, TEXTS)
    expected = softmax(LOGITS)
    assert found.token == b"A"
    assert found.logprob == pytest.approx(expected[0])
    # The tie is ordered by id.
    assert [text for text, _ in found.top] == [b"C", b"D", b"H"]
    assert [logprob for _, logprob in found.top] == pytest.approx([expected[2], expected[3], expected[7]])


def test_of_what_a_grammar_allows() -> None:
    allowed = np.array([1, 4, 5, 6])
    found = token_logprob(LOGITS, allowed, 4, 20, TEXTS)
    expected = softmax(LOGITS[allowed])
    assert found.logprob == pytest.approx(expected[1])
    # A token that cannot come is no alternative.
    assert dict(found.top) == pytest.approx({b"G": expected[3], b"E": expected[1], b"B": expected[0]})


def test_without_alternatives() -> None:
    assert token_logprob(LOGITS, None, 2, 0, TEXTS).top == ()
    assert forced_logprob(2, 0, TEXTS).top == ()
    assert forced_logprob(2, 5, TEXTS).top == ((b"C", 0.0),)
