"""Simulations of whole experiments that somebody looks at after every single score."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from adaptive_engine.experiments.sequential import (
    difference_p_value,
    mean_interval,
    mean_p_value,
    sign_p_value,
    win_rate_interval,
)
from adaptive_engine.services.ab_tests import DEFAULT_MIN_SCORES, MIN_SCORES

ALPHA = 0.05
RUNS = 2000
SCORES = 1000
"""Per arm."""

KINDS = {
    "bool": lambda rng, shape: rng.random(shape) < 0.5,
    "rare bool": lambda rng, shape: rng.random(shape) < 0.05,
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed": lambda rng, shape: rng.lognormal(sigma=1.0, size=shape),
    "five stars": lambda rng, shape: rng.choice([1, 2, 3, 4, 5], p=[0.05, 0.05, 0.1, 0.2, 0.6], size=shape),
}


def first_to_win(values: NDArray[np.float64], *, is_bool: bool, min_scores: int) -> NDArray[np.int64]:
    """Of experiments (run, arm, score), seen after each round of scores: the round that ended it, or -1."""
    values = values.astype(np.float64)
    runs, arms, _ = values.shape
    n = np.arange(1, values.shape[2] + 1, dtype=np.float64)
    means = np.cumsum(values, axis=2) / n
    squares = np.cumsum(values * values, axis=2)
    # Rounding may leave nothing of the variance of equal values, of which the function wants some.
    variances = np.maximum(squares - n * means**2, 1e-9) / np.maximum(n - 1, 1)
    if is_bool:
        rare = 1 / (n + 2)
        variances = np.maximum(variances, rare * (1 - rare))
    beats = np.ones((runs, arms, len(n)), dtype=bool)
    for one, other in combinations(range(arms), 2):
        difference = means[:, one] - means[:, other]
        p_values = difference_p_value(difference, (variances[:, one], n), (variances[:, other], n), ALPHA)
        decided = p_values * (arms - 1) <= ALPHA
        beats[:, one] &= decided & (difference > 0)
        beats[:, other] &= decided & (difference < 0)
    ended = beats.any(axis=1) & (n >= min_scores)
    return np.where(ended.any(axis=1), ended.argmax(axis=1), -1)


@pytest.mark.parametrize("arms", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_arms_that_are_alike_have_no_winner_however_often_one_looks(kind: str, arms: int) -> None:
    rng = np.random.default_rng([arms, list(KINDS).index(kind)])
    wrong = 0
    for _ in range(RUNS // 250):
        values = KINDS[kind](rng, (250, arms, SCORES))
        wrong += int((first_to_win(values, is_bool="bool" in kind, min_scores=MIN_SCORES) >= 0).sum())
    assert wrong / RUNS <= ALPHA


@pytest.mark.parametrize("kind", ["rare bool", "skewed"])
def test_uneven_arms_that_are_alike_have_no_winner(kind: str) -> None:
    """Nine scores of one arm for each of the other, of values whose skewness does not cancel then."""
    rng = np.random.default_rng(9)
    many, few = (KINDS[kind](rng, (RUNS, scores)).astype(float) for scores in (9 * 300, 300))
    wrong = np.zeros(RUNS, dtype=bool)
    for n in range(MIN_SCORES, 301, 10):
        a, b = many[:, : 9 * n], few[:, :n]
        variances = [np.maximum(arm.var(axis=1, ddof=1), 1e-9) for arm in (a, b)]
        difference = a.mean(axis=1) - b.mean(axis=1)
        wrong |= difference_p_value(difference, (variances[0], 9.0 * n), (variances[1], 1.0 * n), ALPHA) <= ALPHA
    assert wrong.mean() <= ALPHA


def test_a_difference_is_found() -> None:
    rng = np.random.default_rng(1)
    values = rng.random((500, 2, SCORES)) < np.array([0.5, 0.65])[None, :, None]
    ended = first_to_win(values, is_bool=True, min_scores=DEFAULT_MIN_SCORES)
    assert (ended >= 0).mean() > 0.99
    assert np.median(ended[ended >= 0]) < 350


@pytest.mark.parametrize("arms", [2, 4])
def test_preferences_without_a_difference_have_no_winner_however_often_one_looks(arms: int) -> None:
    """Each comparison is of two arms at random, and a fifth of them are ties, which say nothing."""
    rng = np.random.default_rng(arms)
    pairs = list(combinations(range(arms), 2))
    pair_of = rng.integers(len(pairs), size=(RUNS, SCORES))
    result = rng.choice([-1, 0, 1], p=[0.4, 0.2, 0.4], size=(RUNS, SCORES))
    beats = np.ones((RUNS, arms, SCORES), dtype=bool)
    wins_needed = boundary(SCORES, ALPHA / (arms - 1))
    for index, (one, other) in enumerate(pairs):
        won = np.cumsum((pair_of == index) & (result == 1), axis=1)
        lost = np.cumsum((pair_of == index) & (result == -1), axis=1)
        needed = wins_needed[won + lost]
        beats[:, one] &= won >= needed
        beats[:, other] &= lost >= needed
    wrong = beats.any(axis=(1, 2)).mean()
    assert wrong <= ALPHA


def boundary(most: int, alpha: float) -> NDArray[np.int64]:
    """For each number of comparisons with a winner, the wins that decide."""
    needed = np.full(most + 1, most + 1)
    wins = 0
    for count in range(1, most + 1):
        wins = max(wins, (count + 1) // 2)
        while wins <= count and sign_p_value(wins, count - wins) > alpha:
            wins += 1
        if wins <= count:
            needed[count] = wins
        wins = min(wins, count)
    return needed


def test_intervals_of_means_hold_at_all_times() -> None:
    rng = np.random.default_rng(3)
    n = np.arange(1, SCORES + 1)
    missed = 0
    for _ in range(300):
        values = rng.exponential(size=SCORES)
        means = np.cumsum(values) / n
        variances = (np.cumsum(values**2) - n * means**2) / (n * np.maximum(n - 1, 1))
        looks = range(DEFAULT_MIN_SCORES, SCORES, 7)
        found = [mean_interval(means[at], variances[at], at + 1, ALPHA) for at in looks]
        missed += any(not interval.start <= 1 <= interval.end for interval in found)
    assert missed / 300 <= ALPHA + 0.03


def test_intervals_of_win_rates_hold_at_all_times() -> None:
    rng = np.random.default_rng(4)
    missed = 0
    for _ in range(200):
        wins = np.cumsum(rng.random(400) < 0.7)
        found = [win_rate_interval(int(wins[at]), at + 1 - int(wins[at]), ALPHA) for at in range(0, 400, 5)]
        missed += any(interval is None or not interval.start <= 0.7 <= interval.end for interval in found)
    assert missed / 200 <= ALPHA


def test_intervals_and_p_values_agree() -> None:
    for wins, losses in [(15, 5), (60, 40), (20, 20), (0, 12), (12, 0)]:
        interval = win_rate_interval(wins, losses, ALPHA)
        assert interval is not None
        excluded = not interval.start <= 0.5 <= interval.end
        assert excluded == (sign_p_value(wins, losses) < ALPHA)
    for z in (0.5, 2.0, 3.0, 3.5, 5.0):
        interval = mean_interval(z, 1.0, 200, ALPHA)
        assert (interval.start > 0) == (mean_p_value(z * z, 200, ALPHA) < ALPHA)


def test_nothing_is_known_of_no_comparisons() -> None:
    assert win_rate_interval(0, 0, ALPHA) is None
    assert sign_p_value(0, 0) == 1
