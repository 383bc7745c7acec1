"""The sampler against plain definitions of what it should do."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adaptive_engine.engine.sampler import sample
from adaptive_engine.engine.sequence import SamplingParams

VOCABULARY = 3000


def sequence(seed: int = 0, **params: Any) -> Any:
    return SimpleNamespace(request=SimpleNamespace(params=SamplingParams(**params)), rng=random.Random(seed))


def logits(rows: int = 1, spread: float = 3.0) -> Any:
    return np.random.default_rng(7).normal(0, spread, (rows, VOCABULARY)).astype(np.float32)


def probabilities(row: Any, temperature: float) -> Any:
    weights = np.exp((row.astype(np.float64) - row.max()) / temperature)
    return weights / weights.sum()


def nucleus(row: Any, temperature: float, top_p: float) -> set[int]:
    p = probabilities(row, temperature)
    order = np.argsort(-p, kind="stable")
    size = int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1
    return {int(token) for token in order[:size]}


def test_greedy_takes_the_best_of_each_row() -> None:
    rows = logits(5)
    assert sample(rows, [sequence(temperature=0)] * 5) == rows.argmax(axis=1).tolist()


def test_rows_of_different_kinds_do_not_disturb_each_other() -> None:
    rows = logits(3)
    alone = sample(rows[1:2], [sequence(3, temperature=0.9)])
    mixed = sample(rows, [sequence(temperature=0), sequence(3, temperature=0.9), sequence(4, top_p=0.5)])
    assert mixed[1] == alone[0]


@pytest.mark.parametrize("vocabulary", [VOCABULARY, 256, 255, 257, 1])
def test_samples_follow_the_distribution(vocabulary: int) -> None:
    row = logits()[:, :vocabulary]
    one = sequence(temperature=0.5)
    draws = 4000
    counts = Counter(sample(row, [one])[0] for _ in range(draws))
    expected = probabilities(row[0], 0.5)
    for token in np.argsort(-expected)[:5]:
        p = expected[token]
        # Five standard deviations: a fixed seed makes this repeatable.
        assert abs(counts[int(token)] / draws - p) < 5 * np.sqrt(p * (1 - p) / draws) + 1e-9


@pytest.mark.parametrize("top_p", [1e-9, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("spread", [0.05, 3.0])
def test_top_p_samples_from_the_smallest_set_that_is_large_enough(top_p: float, spread: float) -> None:
    """With spread 0.05 nearly all tokens are needed, so the fast guess does not suffice."""
    row = logits(spread=spread)
    allowed = nucleus(row[0], 1.0, top_p)
    one = sequence(temperature=1.0, top_p=top_p)
    seen = {sample(row, [one])[0] for _ in range(300)}
    assert seen <= allowed
    assert len(seen) > min(len(allowed), 20) / 3


def test_the_same_seed_gives_the_same_tokens() -> None:
    row = logits()
    one, two = sequence(11, temperature=1.2), sequence(11, temperature=1.2)
    assert [sample(row, [one]) for _ in range(20)] == [sample(row, [two]) for _ in range(20)]


def test_extreme_temperatures_give_tokens() -> None:
    row = logits() * 100
    assert sample(row, [sequence(temperature=1e-5)]) == [int(row.argmax())]
    assert 0 <= sample(row, [sequence(temperature=2.0)])[0] < VOCABULARY


def test_tokens_of_weight_zero_are_never_drawn() -> None:
    row = np.full((1, VOCABULARY), -np.inf, np.float32)
    row[0, [5, 2999]] = 1.0
    seen = {sample(row, [sequence(seed, temperature=1.0)])[0] for seed in range(40)}
    assert seen == {5, 2999}


@pytest.mark.parametrize("params", [{"temperature": 0}, {"temperature": 1.0}, {"temperature": 1.0, "top_p": 0.9}])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_row_that_is_not_finite_spoils_no_other(params: dict[str, float], bad: float) -> None:
    rows = logits(3)
    alone = sample(rows[:1], [sequence(1, **params)])
    rows[1, 7] = bad
    rows[2, :] = -np.inf
    assert sample(rows, [sequence(1, **params) for _ in range(3)]) == [*alone, None, None]
