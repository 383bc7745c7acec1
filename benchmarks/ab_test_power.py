"""How many scores an A/B test takes to end, by simulation: `python benchmarks/ab_test_power.py` prints the table of
docs/ab_tests.md.

Each run is a test that somebody looks at all the time; the numbers are scores per model (comparisons, for preferences)
when half of the runs, and four fifths of them, have named the better model. A test that is planned for one look needs
the scores in the last column for the same four fifths, and must then not be looked at before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptive_engine.experiments.sequential import difference_p_value, sign_p_value

ALPHA = 0.05
MIN_SCORES = 30
RUNS = 500
MOST_SCORES = 12_000

Values = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Values]


@dataclass(frozen=True)
class Effect:
    """A better arm among others that are alike. `size` is their difference in standard deviations."""

    name: str
    better: Draw
    other: Draw
    size: float


def bools(rate: float) -> Draw:
    return lambda rng, shape: (rng.random(shape) < rate).astype(float)


def normals(mean: float) -> Draw:
    return lambda rng, shape: rng.normal(mean, 1.0, shape)


def effects() -> list[Effect]:
    found = []
    for low, high in ((0.5, 0.55), (0.5, 0.6), (0.5, 0.7), (0.1, 0.15), (0.02, 0.04)):
        middle = (low + high) / 2
        size = (high - low) / math.sqrt(middle * (1 - middle))
        found.append(Effect(f"yes or no: {high:.0%} instead of {low:.0%}", bools(high), bools(low), size))
    for size in (0.1, 0.2, 0.5):
        found.append(Effect(f"number: {size} standard deviations", normals(size), normals(0.0), size))
    return found


def scores_to_win(effect: Effect, arms: int) -> Values:
    """For each run the scores per arm when the better one had beaten every other; infinite where it never did."""
    rng = np.random.default_rng(1)
    looks = np.unique(np.geomspace(MIN_SCORES, MOST_SCORES, 400).astype(int))
    ends = np.full(RUNS, np.inf)
    for run in range(RUNS):
        values = np.stack([draw(rng, (MOST_SCORES,)) for draw in [effect.better, *[effect.other] * (arms - 1)]])
        totals, squares = np.cumsum(values, axis=1)[:, looks - 1], np.cumsum(values**2, axis=1)[:, looks - 1]
        n = looks.astype(float)
        means = totals / n
        variances = np.maximum((squares - n * means**2) / (n - 1), 1e-9)
        won = np.ones(len(looks), dtype=bool)
        for other in range(1, arms):
            difference = means[0] - means[other]
            p_values = difference_p_value(difference, (variances[0], n), (variances[other], n), ALPHA)
            won &= (p_values * (arms - 1) <= ALPHA) & (difference > 0)
        if won.any():
            ends[run] = looks[won.argmax()]
    return ends


def comparisons_to_win(rate: float) -> Values:
    """The same for preferences between two arms, of which one wins that share of the comparisons with a winner."""
    rng = np.random.default_rng(2)
    ends = np.full(RUNS, np.inf)
    for run in range(RUNS):
        wins = np.cumsum(rng.random(MOST_SCORES) < rate)
        for at in range(MIN_SCORES, MOST_SCORES + 1, 5):
            if 2 * wins[at - 1] > at and sign_p_value(int(wins[at - 1]), at - int(wins[at - 1])) <= ALPHA:
                ends[run] = at
                break
    return ends


def main() -> None:
    print("| Difference | 2 models: half, four fifths | 4 models: half, four fifths | planned, one look, 2 models |")
    print("|---|---|---|---|")
    for effect in effects():
        two, four = (shown(scores_to_win(effect, arms)) for arms in (2, 4))
        print(f"| {effect.name} | {two} | {four} | {2 * (1.96 + 0.84) ** 2 / effect.size**2:.0f} |")
    for rate in (0.55, 0.6, 0.7):
        planned = (1.96 * 0.5 + 0.84 * math.sqrt(rate * (1 - rate))) ** 2 / (rate - 0.5) ** 2
        print(
            f"| preference: {rate:.0%} of the comparisons won | {shown(comparisons_to_win(rate))} | | {planned:.0f} |"
        )


def shown(ends: Values) -> str:
    median, most = (np.quantile(ends, share, method="higher") for share in (0.5, 0.8))
    return ", ".join(f"{count:.0f}" if np.isfinite(count) else f"more than {MOST_SCORES}" for count in (median, most))


if __name__ == "__main__":
    main()
