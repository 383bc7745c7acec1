from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from results import GOALS, SERVERS, Goal, Results, Row, outcomes, spread

FASTER = Goal("decode", "ours / best server", "tokens_per_second", at_least=1.5, against=SERVERS)


def row(subject: str, number: int, scenario: str = "decode", case: str = "8", **values: Any) -> Row:
    return Row(scenario, case, subject, number, values, 0.1)


def speeds(**subjects: list[float]) -> Results:
    """Tokens per second by round."""
    return Results(
        {},
        [
            row(subject, number, tokens_per_second=value)
            for subject, values in subjects.items()
            for number, value in enumerate(values)
        ],
    )


def test_a_spread_is_the_median_between_the_extremes() -> None:
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert spread([]) is None


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was slow in the second round, for both of them.
    (outcome,) = outcomes(speeds(ours=[200, 20, 200], llama=[100, 10, 100]), [FASTER])
    assert outcome.spread == (2.0, 2.0, 2.0)
    assert outcome.met


def test_the_best_peer_is_best_by_its_median() -> None:
    (outcome,) = outcomes(speeds(ours=[100, 100, 100], llama=[90, 80, 80], vllm=[10, 70, 200]), [FASTER])
    assert outcome.against == "llama"
    assert outcome.spread.median == 1.25
    assert not outcome.met


def test_the_best_peer_of_times_is_the_one_with_the_least() -> None:
    goal = Goal("ttft", "ours / best peer", "ttft_ms", at_most=1, against=("genai", "llama"))
    rows = [row(subject, 1, "ttft", ttft_ms=ms) for subject, ms in (("ours", 90.0), ("genai", 100.0), ("llama", 200.0))]
    (outcome,) = outcomes(Results({}, rows), [goal])
    assert (outcome.against, outcome.spread.median, outcome.met) == ("genai", 0.9, True)


def test_rounds_that_only_one_side_has_are_left_out() -> None:
    (outcome,) = outcomes(speeds(ours=[100, 100], llama=[50, 50, 1000]), [FASTER])
    assert outcome.spread == (2.0, 2.0, 2.0)


def test_a_goal_without_its_subjects_says_nothing() -> None:
    assert outcomes(speeds(ours=[100], genai=[100]), [FASTER]) == []
    assert outcomes(speeds(llama=[100]), [FASTER]) == []


def test_a_goal_of_one_case_is_judged_in_that_case_only() -> None:
    goal = Goal("decode", "ours / genai", "tokens_per_second", at_least=1, against=("genai",), case="4")
    assert outcomes(speeds(ours=[100], genai=[100]), [goal]) == []


@pytest.mark.parametrize(("value", "met"), [(2.9, True), (3.0, True), (3.1, False)])
def test_an_absolute_goal_compares_with_nobody(value: float, met: bool) -> None:
    goal = Goal("start", "seconds to the first token", "first_token_s", at_most=3)
    (outcome,) = outcomes(Results({}, [row("ours", 1, "start", "", first_token_s=value)]), [goal])
    assert (outcome.against, outcome.met) == (None, met)


def test_results_are_the_same_after_a_file(tmp_path: Path) -> None:
    results = Results({"cores": 2}, [row("ours", 1, turns_ms=[1.5, 2.5])])
    results.save(tmp_path / "new" / "results.json")
    assert Results.load(tmp_path / "new" / "results.json") == results


def test_every_concurrency_has_its_goals() -> None:
    assert [goal.case for goal in GOALS if goal.scenario == "decode" and goal.against == SERVERS] == [
        *("1", "4", "8", "16", "32")
    ]
