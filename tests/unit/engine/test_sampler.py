"""The sampler against plain definitions of what it should do."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from adaptive_engine.engine.sampler import sample
from adaptive_engine.engine.sequence import SamplingParams

VOCABULARY = 3000


def draw(row: Any, seed: int = 0, **params: Any) -> int | None:
    return sample(row, SamplingParams(**params), random.Random(seed))


def logits(spread: float = 3.0) -> Any:
    return np.random.default_rng(7).normal(0, spread, VOCABULARY).astype(np.float32)


def probabilities(row: Any, temperature: float) -> Any:
    weights = np.exp((row.astype(np.float64) - row.max()) / temperature)
    return weights / weights.sum()


def nucleus(row: Any, temperature: float, top_p: float) -> set[int]:
    p = probabilities(row, temperature)
    order = np.argsort(-p, kind="stable")
    size = int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1
    return {int(token) for token in order[:size]}


def test_greedy_takes_the_best() -> None:
    row = logits()
    assert draw(row, temperature=0) == row.argmax()


@pytest.mark.parametrize("vocabulary", [VOCABULARY, 256, 255, 257, 1])
def test_samples_follow_the_distribution(vocabulary: int) -> None:
    row = logits()[:vocabulary]
    params, rng = SamplingParams(temperature=0.5), random.Random(0)
    draws = 4000
    counts = Counter(sample(row, params, rng) for _ in range(draws))
    expected = probabilities(row, 0.5)
    for token in np.argsort(-expected)[:5]:
        p = expected[token]
        # Five standard deviations: a fixed seed makes this repeatable.
        assert abs(counts[int(token)] / draws - p) < 5 * np.sqrt(p * (1 - p) / draws) + 1e-9


@pytest.mark.parametrize("top_p", [1e-9, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("spread", [0.05, 3.0])
def test_top_p_samples_from_the_smallest_set_that_is_large_enough(top_p: float, spread: float) -> None:
    """With spread 0.05 nearly all tokens are needed, so the fast guess does not suffice."""
    row = logits(spread)
    allowed = nucleus(row, 1.0, top_p)
    seen = {draw(row, seed, temperature=1.0, top_p=top_p) for seed in range(300)}
    assert seen <= allowed
    assert len(seen) > min(len(allowed), 20) / 3


class Fixed(random.Random):
    """Draws one number only."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


@pytest.mark.parametrize("levels", [None, 5])
@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.0, 2.0])
@pytest.mark.parametrize("top_p", [0.01, 0.5, 0.9, 0.999])
def test_a_draw_is_a_place_in_the_nucleus(temperature: float, top_p: float, levels: int | None) -> None:
    """The likeliest first, of equal ones that with the least id; some cannot be drawn."""
    row = logits()
    if levels:
        row = np.round(row / row.max() * levels).astype(np.float32)
    row[::7] = -np.inf
    p = probabilities(row, temperature)
    order = np.argsort(-p, kind="stable")
    cumulative = np.cumsum(p[order])
    cumulative = cumulative[: int(np.searchsorted(cumulative, top_p)) + 1]
    params = SamplingParams(temperature=temperature, top_p=top_p)
    # In the middle of a token's part of the nucleus, where rounding changes nothing.
    for place in range(0, len(cumulative), max(len(cumulative) // 50, 1)):
        before = cumulative[place - 1] if place else 0
        drawn = Fixed(float((before + cumulative[place]) / 2 / cumulative[-1]))
        assert sample(row, params, drawn) == order[place]


def test_the_same_seed_gives_the_same_tokens() -> None:
    row, params = logits(), SamplingParams(temperature=1.2)
    one, two = random.Random(11), random.Random(11)
    assert [sample(row, params, one) for _ in range(20)] == [sample(row, params, two) for _ in range(20)]


def test_only_allowed_tokens_are_drawn_with_their_share() -> None:
    row, allowed = logits(), np.array([3, 700, 2999])
    params, rng = SamplingParams(temperature=2.0), random.Random(0)
    draws = 4000
    counts = Counter(sample(row, params, rng, allowed) for _ in range(draws))
    for token, p in zip(allowed, probabilities(row[allowed], 2.0), strict=True):
        assert abs(counts[int(token)] / draws - p) < 5 * np.sqrt(p * (1 - p) / draws)
    assert sample(row, SamplingParams(temperature=0), rng, allowed) == allowed[row[allowed].argmax()]


@pytest.mark.parametrize("allowed", [None, np.array([5]), np.array([5, 9])])
def test_a_sampled_token_takes_one_draw_and_a_greedy_one_none(allowed: Any) -> None:
    for temperature, draws in ((1.0, 1), (1e-5, 1), (0, 0)):
        rng, other = random.Random(4), random.Random(4)
        sample(logits(), SamplingParams(temperature=temperature), rng, allowed)
        for _ in range(draws):
            other.random()
        assert rng.getstate() == other.getstate()


def test_extreme_temperatures_give_tokens() -> None:
    row = logits() * 100
    assert draw(row, temperature=1e-5) == row.argmax()
    hot = draw(row, temperature=2.0)
    assert hot is not None
    assert 0 <= hot < VOCABULARY


def test_tokens_of_weight_zero_are_never_drawn() -> None:
    row = np.full(VOCABULARY, -np.inf, np.float32)
    row[[5, 2999]] = 1.0
    assert {draw(row, seed, temperature=1.0) for seed in range(40)} == {5, 2999}


@pytest.mark.parametrize("params", [{"temperature": 0}, {"temperature": 1.0}, {"temperature": 1.0, "top_p": 0.9}])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_gives_no_token(params: dict[str, float], bad: float) -> None:
    row = logits()
    row[7] = bad
    assert draw(row, **params) is None
    assert sample(row, SamplingParams(**params), random.Random(0), np.array([6, 7])) is None
    assert draw(np.full(VOCABULARY, -np.inf, np.float32), **params) is None
