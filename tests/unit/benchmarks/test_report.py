from __future__ import annotations

from xml.etree import ElementTree

import pytest
from plot import nice_step, picture
from report import BEGIN, END, into, markdown
from results import Results, Row

FACTS = {"model": "smollm2 <Q4_1>", "processor": "Some CPU", "threads": 2, "instructions": ["avx2", "avx512f"]}


def measured() -> Results:
    rows = []
    for number, factor in enumerate((1.0, 1.2, 0.9)):
        for subject, speed in (("llama", 100.0), ("ours", 200.0), ("genai", 150.0)):
            for case in ("1", "32"):
                values = {"tokens_per_second": factor * speed}
                rows.append(Row("decode", case, subject, number, values, 0.25))
            turns = {"turns_ms": [900.0, 100.0, 120.0], "later_ms": 110.0 * factor, "of_cold": 0.15}
            rows.append(Row("session", "turns 2 to 3", subject, number, turns, 0.05))
    return Results(FACTS, rows)


def test_tables_show_medians_with_the_least_and_the_greatest() -> None:
    text = markdown(measured())
    assert "| instructions | avx2, avx512f |" in text
    assert "| used by other programs | 25% (up to 25%) |" in text
    assert "| Adaptive Engine            | 200 (180-240) | 200 (180-240) |" in text
    assert "to the first token of a new prompt" not in text


def test_the_goals_say_whether_they_were_met() -> None:
    goals = markdown(measured()).partition("### Goals")[2].splitlines()
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:6]] for line in goals if "|" in line
    }
    assert cells["decode 32: ours / best server (llama-server)"] == ["2", "≥ 1.7", "ok", "25%"]
    assert cells["decode 32: ours / genai"] == ["1.33", "≥ 1.15", "ok", "25%"]
    assert cells["session turns 2 to 3: later turns, ours / best peer (OpenVINO GenAI, in process)"] == [
        "1",
        "≤ 0.5",
        "(!)",
        "5%",
    ]


def test_the_picture_has_a_bar_for_each_figure() -> None:
    svg = ElementTree.fromstring(picture(measured()))
    bars = [rect for rect in svg.iter("{http://www.w3.org/2000/svg}rect") if rect.get("fill") == "#0072b2"]
    # The legend, two concurrencies, three turns.
    assert len(bars) == 1 + 2 + 3
    assert any(text.text and "smollm2 <Q4_1>" in text.text for text in svg.iter("{http://www.w3.org/2000/svg}text"))


def test_nothing_measured_is_no_error() -> None:
    assert "None of them was measured." in markdown(Results(FACTS))
    ElementTree.fromstring(picture(Results(FACTS)))


def test_tables_take_the_place_of_those_in_a_document() -> None:
    once = into(f"# Speed\n\n{BEGIN}\n{END}\n\nThat is all.\n", "| fast |")
    assert once == f"# Speed\n\n{BEGIN}\n\n| fast |\n\n{END}\n\nThat is all.\n"
    assert into(once, "| faster |") == once.replace("fast", "faster")
    with pytest.raises(ValueError, match="no place for tables"):
        into("# Speed\n", "| fast |")


@pytest.mark.parametrize(("least", "step"), [(0.7, 1), (1, 1), (11, 20), (23, 25), (26, 50), (2600, 5000)])
def test_steps_of_an_axis_are_round(least: float, step: float) -> None:
    assert nice_step(least) == step
