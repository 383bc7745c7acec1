"""Judging: what the scores of a test say about its arms by now, and whether one of them has won.

The winner has to beat every other arm. With K arms each of these K - 1 comparisons is made at alpha / (K - 1), which
bounds the probability of ever naming an arm that is not the best by alpha, whatever the arms are: such an arm would
have to beat the best one, or one of the best, in one of at most K - 1 pairs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from adaptive_engine.experiments.sequential import (
    Interval,
    difference_p_value,
    mean_interval,
    sign_p_value,
    win_rate_interval,
)


@dataclass(frozen=True, slots=True)
class ScoreSums:
    """The scores of one arm, by unit: a unit with `m` scores that sum to `s` adds to each of the sums.

    Scores of one session are alike. So sessions are what is counted as independent, and not scores. Values are as
    distances from `centre`, so that squares of large values do not drown their differences.
    """

    model_id: UUID
    units: int = 0
    scores: int = 0
    """Sum of m."""
    total: float = 0.0
    """Sum of s."""
    scores_squared: float = 0.0
    """Sum of m * m."""
    total_squared: float = 0.0
    """Sum of s * s."""
    products: float = 0.0
    """Sum of m * s."""
    centre: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.centre + self.total / self.scores if self.scores else None

    def variance(self, *, is_bool: bool) -> float:
        """Of the mean, allowing for scores of one unit that are alike (the delta method for a ratio of sums).

        Deng, Knoblich and Lu, "Applying the delta method in metric analytics" (KDD 2018). A bool that was the same in
        all units so far still varies: as much as if it had been the other in one of two more.
        """
        offset = self.total / self.scores
        spread = self.total_squared - 2 * offset * self.products + offset * offset * self.scores_squared
        found = max(spread, 0.0) / self.scores**2 * self.units / (self.units - 1)
        rare = 1 / (self.units + 2)
        return max(found, rare * (1 - rare) / self.units) if is_bool else found


@dataclass(frozen=True, slots=True)
class PairCounts:
    """What comparisons said about two arms, seen from the first."""

    model_id: UUID
    other_id: UUID
    wins: int = 0
    losses: int = 0
    ties_good: int = 0
    ties_bad: int = 0

    @property
    def scores(self) -> int:
        return self.wins + self.losses + self.ties_good + self.ties_bad

    def reversed(self) -> PairCounts:
        return PairCounts(self.other_id, self.model_id, self.losses, self.wins, self.ties_good, self.ties_bad)


@dataclass(frozen=True, slots=True)
class ArmReport:
    """`mean` and its interval are of the scores; in a comparison test, of wins among comparisons that had a winner."""

    model_id: UUID
    scores: int
    units: int
    mean: float | None = None
    interval: Interval | None = None
    comparisons: tuple[PairCounts, ...] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    arms: tuple[ArmReport, ...]
    has_enough_scores: bool
    p_value: float | None
    """Of the leading arm against the others, always valid; None while nothing can be said."""
    winner: UUID | None


def judge_scores(
    arms: Sequence[ScoreSums], *, is_bool: bool, lower_is_better: bool, alpha: float, min_scores: int
) -> Report:
    """Compare the arms' means."""
    enough = len(arms) > 1 and all(arm.units >= max(min_scores, 2) for arm in arms)
    p_value, leader = None, arms[0].model_id
    if enough:
        sign = -1 if lower_is_better else 1
        ranked = sorted(arms, key=lambda arm: sign * (arm.mean or 0.0), reverse=True)
        others = [_difference_p_value(ranked[0], other, is_bool, alpha) for other in ranked[1:]]
        leader, p_value = ranked[0].model_id, min(1.0, max(others) * len(others))
    winner = leader if p_value is not None and p_value <= alpha else None
    return Report(tuple(_score_report(arm, is_bool, alpha) for arm in arms), enough, p_value, winner)


def judge_comparisons(
    model_ids: Sequence[UUID], pairs: Sequence[PairCounts], *, alpha: float, min_scores: int
) -> Report:
    """Compare the arms' wins, pair by pair, each pair once in `pairs`. A tie says nothing about who is better."""
    seen = {(p.model_id, p.other_id): p for pair in pairs for p in (pair, pair.reversed())}
    table = {
        model: [seen.get((model, other), PairCounts(model, other)) for other in model_ids if other != model]
        for model in model_ids
    }
    reports = tuple(_comparison_report(model, table[model], alpha) for model in model_ids)
    enough = len(model_ids) > 1 and all(report.scores >= min_scores for report in reports)
    p_value, leader = (1.0 if pairs else None), None
    for model, against in table.items():
        if against and all(pair.wins > pair.losses for pair in against):
            leader = model
            p_value = min(1.0, max(sign_p_value(pair.wins, pair.losses) for pair in against) * len(against))
    winner = leader if enough and p_value is not None and p_value <= alpha else None
    return Report(reports, enough, p_value, winner)


def _difference_p_value(one: ScoreSums, other: ScoreSums, is_bool: bool, alpha: float) -> float:
    variances = [arm.variance(is_bool=is_bool) * arm.units for arm in (one, other)]
    difference = (one.mean or 0.0) - (other.mean or 0.0)
    if not any(variances):
        return 1.0 if difference == 0 else 0.0
    return float(difference_p_value(difference, (variances[0], one.units), (variances[1], other.units), alpha))


def _score_report(arm: ScoreSums, is_bool: bool, alpha: float) -> ArmReport:
    mean = arm.mean
    interval = None
    if mean is not None and arm.units > 1:
        found = mean_interval(mean, arm.variance(is_bool=is_bool), arm.units, alpha)
        interval = Interval(max(found.start, 0.0), mean, min(found.end, 1.0)) if is_bool else found
        interval = interval if all(map(math.isfinite, interval)) else None
    return ArmReport(arm.model_id, arm.scores, arm.units, mean, interval)


def _comparison_report(model: UUID, against: Sequence[PairCounts], alpha: float) -> ArmReport:
    wins, losses = sum(pair.wins for pair in against), sum(pair.losses for pair in against)
    count = sum(pair.scores for pair in against)
    interval = win_rate_interval(wins, losses, alpha)
    return ArmReport(model, count, count, interval.middle if interval else None, interval, tuple(against))
