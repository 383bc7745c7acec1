"""Rows of measurements, and what follows from them: medians, ratios within a round, goals."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

SERVERS = ("llama", "vllm")
PEERS = ("genai", *SERVERS)
SUBJECTS = ("ours", "bare", "deterministic", *PEERS)


@dataclass(frozen=True)
class Row:
    """What one subject did in one round of one case of a scenario."""

    scenario: str
    case: str
    subject: str
    round: int
    values: dict[str, Any]
    others: float
    """The share of all processors that other programs used meanwhile."""


@dataclass(frozen=True)
class Results:
    facts: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        content = json.loads(path.read_text())
        return cls(content["facts"], [Row(**row) for row in content["rows"]])

    def cases(self, scenario: str) -> list[str]:
        return list(dict.fromkeys(row.case for row in self.rows if row.scenario == scenario))

    def subjects(self, scenario: str) -> list[str]:
        """In the order in which tables list them."""
        there = {row.subject for row in self.rows if row.scenario == scenario}
        return [subject for subject in SUBJECTS if subject in there]

    def by_round(self, scenario: str, case: str, subject: str, value: str) -> dict[int, float]:
        return {
            row.round: row.values[value]
            for row in self.rows
            if (row.scenario, row.case, row.subject) == (scenario, case, subject) and value in row.values
        }


class Spread(NamedTuple):
    """Of one figure over the rounds."""

    median: float
    low: float
    high: float


def spread(values: Iterable[float]) -> Spread | None:
    """None of no values."""
    known = sorted(values)
    return Spread(statistics.median(known), known[0], known[-1]) if known else None


@dataclass(frozen=True)
class Goal:
    scenario: str
    what: str
    value: str
    at_least: float | None = None
    at_most: float | None = None
    against: tuple[str, ...] = ()
    """Ours is divided by the best of these, by its median over all rounds; by none of them it stays as it is."""
    case: str | None = None
    """None: every case of the scenario."""

    def __post_init__(self) -> None:
        assert (self.at_least is None) != (self.at_most is None), "a goal has one limit"

    @property
    def limit(self) -> str:
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"

    def met(self, value: float) -> bool:
        return value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0)


MORE_IS_BETTER = {"tokens_per_second"}


def decode_goals() -> list[Goal]:
    goals = []
    for case, genai, server in (("1", 1, 1.5), ("4", 1, 1.8), ("8", 1.15, 2.2), ("16", 1.15, 1.9), ("32", 1.15, 1.7)):
        goals += [
            Goal("decode", "ours / genai", "tokens_per_second", at_least=genai, against=("genai",), case=case),
            Goal("decode", "ours / best server", "tokens_per_second", at_least=server, against=SERVERS, case=case),
        ]
    return goals


GOALS = (
    *decode_goals(),
    Goal("ttft", "ours / best peer", "ttft_ms", at_most=1, against=PEERS),
    Goal("session", "later turns, ours / best peer", "later_ms", at_most=0.5, against=PEERS),
    Goal("session", "later turns, warm / cold", "of_cold", at_most=0.2),
    Goal("mixed", "worst gap in normal steps", "worst_gap_steps", at_most=3),
    Goal("mixed", "worst gap, ours / best peer", "worst_gap_ms", at_most=0.2, against=PEERS),
    Goal("mixed", "newcomer's first token, ours / best peer", "newcomer_ttft_ms", at_most=1.3, against=PEERS),
    Goal("overhead", "over HTTP / in process", "tokens_per_second", at_least=0.97, against=("bare",)),
    Goal("start", "seconds to the first token", "first_token_s", at_most=3),
    Goal("start", "peak memory at 32 streams, MiB", "peak_mib", at_most=800),
)


@dataclass(frozen=True)
class Outcome:
    goal: Goal
    case: str
    against: str | None
    """The subject that ours was divided by."""
    spread: Spread
    others: float
    """The greatest share of the processors that other programs used in any row of the case."""

    @property
    def met(self) -> bool:
        return self.goal.met(self.spread.median)


def outcomes(results: Results, goals: Sequence[Goal] = GOALS) -> list[Outcome]:
    """Of the goals about which the results say something."""
    found = []
    for goal in goals:
        for case in results.cases(goal.scenario):
            if goal.case in (None, case):
                outcome = judge(results, goal, case)
                found += [outcome] if outcome else []
    return found


def judge(results: Results, goal: Goal, case: str) -> Outcome | None:
    """None when ours, or all that it is to be compared with, was not measured."""
    ours = results.by_round(goal.scenario, case, "ours", goal.value)
    others = max((row.others for row in results.rows if (row.scenario, row.case) == (goal.scenario, case)), default=0.0)
    if not goal.against:
        figures = spread(ours.values())
        return Outcome(goal, case, None, figures, others) if figures else None
    peers = {peer: results.by_round(goal.scenario, case, peer, goal.value) for peer in goal.against}
    measured = {peer: values for peer, values in peers.items() if values}
    if not measured:
        return None
    pick: Callable[..., str] = max if goal.value in MORE_IS_BETTER else min
    best = pick(measured, key=lambda peer: statistics.median(measured[peer].values()))
    ratios = spread(ours[number] / value for number, value in measured[best].items() if number in ours)
    return Outcome(goal, case, best, ratios, others) if ratios else None
