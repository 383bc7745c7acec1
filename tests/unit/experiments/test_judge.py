from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np
import pytest

from adaptive_engine.experiments.judge import PairCounts, Report, ScoreSums, judge_comparisons, judge_scores

A, B, C = (UUID(int=number) for number in (1, 2, 3))


def sums(model: UUID, units: Sequence[Sequence[float]], centre: float = 0.0) -> ScoreSums:
    """What the store makes of scores, given unit by unit."""
    m = np.array([len(unit) for unit in units], dtype=float)
    s = np.array([sum(value - centre for value in unit) for unit in units])
    squares = [float((x * y).sum()) for x, y in ((m, m), (s, s), (m, s))]
    return ScoreSums(model, len(units), int(m.sum()), float(s.sum()), *squares, centre)


def judged(*arms: ScoreSums, lower: bool = False, is_bool: bool = False, min_scores: int = 30) -> Report:
    return judge_scores(arms, is_bool=is_bool, lower_is_better=lower, alpha=0.05, min_scores=min_scores)


def singles(values: Sequence[float]) -> list[list[float]]:
    return [[float(value)] for value in values]


def test_the_variance_is_that_of_the_mean() -> None:
    values = np.random.default_rng(1).normal(5, 2, size=200)
    assert sums(A, singles(values)).variance(is_bool=False) == pytest.approx(values.var(ddof=1) / 200)


def test_large_values_do_not_drown_their_differences() -> None:
    values = 1e12 + np.random.default_rng(2).normal(size=200)
    arm = sums(A, singles(values), centre=1e12)
    assert arm.mean == pytest.approx(1e12)
    assert arm.variance(is_bool=False) == pytest.approx(values.var(ddof=1) / 200, rel=0.01)


def test_scores_of_one_session_count_once() -> None:
    values = np.random.default_rng(3).normal(size=50)
    once, often = sums(A, singles(values)), sums(A, [[value] * 20 for value in values])
    assert often.scores == 1000
    assert often.variance(is_bool=False) == pytest.approx(once.variance(is_bool=False))


def test_sessions_that_differ_from_each_other_make_no_winner() -> None:
    """Models are alike, but each session has a mood of its own, in which it gives up to twenty scores."""
    rng = np.random.default_rng(10)
    looks, runs = range(10, 121, 10), 400
    wrong, naive = 0, 0
    for _ in range(runs):
        sessions = [
            [list(rng.normal(rng.normal(), 0.2, rng.integers(1, 21))) for _ in range(looks[-1])] for _ in range(2)
        ]
        arms = [[sums(model, units[:n]) for n in looks] for model, units in zip((A, B), sessions, strict=True)]
        wrong += any(judged(*pair, min_scores=10).winner for pair in zip(*arms, strict=True))
        last = [np.concatenate(units) for units in sessions]
        apart = [sums(model, singles(values)) for model, values in zip((A, B), last, strict=True)]
        naive += judged(*apart).winner is not None
    assert wrong / runs <= 0.05
    # What counting every score as independent would do, at one look alone.
    assert naive / runs > 0.1


def test_a_clear_difference_wins() -> None:
    rng = np.random.default_rng(4)
    arms = [sums(model, singles(rng.normal(mean, 1, 100))) for model, mean in ((A, 0), (B, 1.5), (C, 0.2))]
    report = judged(*arms)
    assert (report.winner, report.has_enough_scores) == (B, True)
    assert report.p_value is not None
    assert report.p_value < 0.05
    assert report.arms[1].interval is not None
    assert report.arms[1].interval.start < 1.5 < report.arms[1].interval.end
    # Of latencies the lowest wins, and A is not far enough from C.
    assert judged(*arms, lower=True).winner is None
    assert judged(arms[0], arms[1], lower=True).winner == A


def test_a_winner_has_to_beat_every_other_arm() -> None:
    rng = np.random.default_rng(5)
    arms = [sums(model, singles(rng.normal(mean, 1, 100))) for model, mean in ((A, 0), (B, 2), (C, 2))]
    assert judged(arms[0], arms[1]).winner == B
    assert judged(*arms).winner is None


def test_nothing_is_decided_before_every_arm_has_enough() -> None:
    rng = np.random.default_rng(6)
    a, b = sums(A, singles(rng.normal(0, 1, 500))), sums(B, singles(rng.normal(9, 1, 29)))
    report = judged(a, b)
    assert (report.winner, report.p_value, report.has_enough_scores) == (None, None, False)
    assert judged(a, sums(B, singles(rng.normal(9, 1, 30)))).winner == B
    # Sessions count, not scores.
    assert not judged(a, sums(B, [[9.0] * 100])).has_enough_scores
    assert judged(a, ScoreSums(B)).arms[1].mean is None


def test_a_bool_that_was_always_false_may_still_become_true() -> None:
    none, few = sums(A, singles([0] * 30)), sums(B, singles([0] * 28 + [1] * 2))
    assert judged(none, few, is_bool=True).winner is None
    interval = judged(none, few, is_bool=True).arms[0].interval
    assert interval is not None
    assert (interval.start, interval.middle) == (0, 0)
    assert 0.1 < interval.end < 0.3


def test_scores_without_any_spread() -> None:
    same = [sums(model, singles([4] * 40)) for model in (A, B)]
    assert judged(*same).p_value == 1
    assert judged(same[0], sums(B, singles([5] * 40))).winner == B


def test_preferences() -> None:
    pairs = [PairCounts(A, B, 40, 10, 3, 5), PairCounts(B, C, 20, 22), PairCounts(C, A, 8, 35)]
    report = judge_comparisons([A, B, C], pairs, alpha=0.05, min_scores=30)
    assert report.winner == A
    first = report.arms[0]
    assert (first.scores, first.mean) == (101, 75 / 93)
    assert first.comparisons == (PairCounts(A, B, 40, 10, 3, 5), PairCounts(A, C, 35, 8))
    assert report.arms[1].comparisons == (PairCounts(B, A, 10, 40, 3, 5), PairCounts(B, C, 20, 22))


def test_ties_say_nothing_about_who_is_better() -> None:
    without = judge_comparisons([A, B], [PairCounts(A, B, 30, 10)], alpha=0.05, min_scores=10)
    tied = judge_comparisons([A, B], [PairCounts(A, B, 30, 10, 500, 500)], alpha=0.05, min_scores=10)
    assert tied.p_value == without.p_value
    assert tied.arms[0].mean == 0.75
    assert tied.arms[0].scores == 1040


def test_a_circle_of_preferences_has_no_winner() -> None:
    pairs = [PairCounts(A, B, 90, 10), PairCounts(B, C, 90, 10), PairCounts(C, A, 90, 10)]
    report = judge_comparisons([A, B, C], pairs, alpha=0.05, min_scores=30)
    assert (report.winner, report.p_value) == (None, 1)


def test_without_comparisons_nothing_is_said() -> None:
    report = judge_comparisons([A, B], [], alpha=0.05, min_scores=30)
    assert (report.winner, report.p_value, report.has_enough_scores) == (None, None, False)
    assert report.arms[0].interval is None
