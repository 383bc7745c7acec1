"""Results as Markdown tables, and as a picture.

    python benchmarks/report.py benchmarks/results/FILE.json [docs/performance.md]

Prints the tables and writes the picture beside the file; or puts the tables into the document, in place of those that
are there, and the picture beside it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

from plot import picture
from results import Results, Spread, outcomes, spread

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
NAMES = {
    "ours": "Adaptive Engine",
    "bare": "Adaptive Engine, in process",
    "deterministic": "Adaptive Engine, deterministic, in process",
    "genai": "OpenVINO GenAI, in process",
    "llama": "llama-server",
    "vllm": "vLLM",
}
# Scenario, title, what its cases are, and the values that are shown.
TABLES: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...] = (
    ("decode", "Tokens per second of streams at a time", "x{}", (("tokens_per_second", ""),)),
    (
        "sampled",
        "Tokens per second of streams at a time, at temperature 0.7 and top-p 0.9",
        "x{}",
        (("tokens_per_second", ""),),
    ),
    ("ttft", "Milliseconds to the first token of a new prompt", "{} tokens", (("ttft_ms", ""),)),
    (
        "session",
        "Milliseconds to the first token of a chat's later turns",
        "{}",
        (("later_ms", "median"), ("of_cold", "of a new prompt's")),
    ),
    (
        "mixed",
        "A long prompt among eight streams, in milliseconds",
        "{} tokens",
        (
            ("normal_step_ms", "normal step"),
            ("worst_gap_ms", "worst gap"),
            ("worst_gap_steps", "in steps"),
            ("newcomer_ttft_ms", "its first token"),
        ),
    ),
    ("overhead", "The server's cost: tokens per second", "x{}", (("tokens_per_second", ""),)),
    (
        "start",
        "A server's start, and its memory",
        "{}",
        (("first_token_s", "seconds to the first token"), ("peak_mib", "peak MiB at 32 streams")),
    ),
)


def markdown(results: Results) -> str:
    parts = [_facts(results)]
    for scenario, title, case_name, values in TABLES:
        if results.cases(scenario):
            parts.append(f"### {title}\n\n" + _figures(results, scenario, case_name, values))
    parts.append("### Goals\n\n" + _goals(results))
    return "\n\n".join(parts)


def _facts(results: Results) -> str:
    facts = [f"| {name.replace('_', ' ')} | {_plain(value)} |" for name, value in results.facts.items()]
    others = [row.others for row in results.rows]
    noise = f"| used by other programs | {statistics.median(others):.0%} (up to {max(others):.0%}) |" if others else ""
    return "\n".join(["| | |", "|---|---|", *facts, *([noise] if noise else [])])


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _figures(results: Results, scenario: str, case_name: str, values: tuple[tuple[str, str], ...]) -> str:
    cases = results.cases(scenario)
    heads = [" ".join(filter(None, (case_name.format(case), name))) for case in cases for _, name in values]
    lines = []
    for subject in results.subjects(scenario):
        cells = [
            _cell(spread(results.by_round(scenario, case, subject, value).values()))
            for case in cases
            for value, _ in values
        ]
        lines.append([NAMES[subject], *cells])
    return table(["", *heads], lines)


def _goals(results: Results) -> str:
    lines = []
    for outcome in outcomes(results):
        what = f"{outcome.goal.scenario} {outcome.case}".strip() + f": {outcome.goal.what}"
        if outcome.against is not None and len(outcome.goal.against) > 1:
            what += f" ({NAMES[outcome.against]})"
        met = "ok" if outcome.met else "(!)"
        lines.append([what, _cell(outcome.spread), outcome.goal.limit, met, f"{outcome.others:.0%}"])
    return table(["", "measured", "goal", "", "others, at most"], lines) if lines else "None of them was measured."


def _cell(figures: Spread | None) -> str:
    """The median, and the least and the greatest of the rounds."""
    if figures is None:
        return ""
    show: Callable[[float], str] = lambda value: f"{value:.0f}" if value >= 100 else f"{value:.3g}"  # noqa: E731
    if figures.low == figures.high:
        return show(figures.median)
    return f"{show(figures.median)} ({show(figures.low)}-{show(figures.high)})"


def table(head: list[str], lines: Iterable[list[str]]) -> str:
    """Padded, so that it can be read as it is."""
    rows = [head, *lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])


def into(document: str, tables: str) -> str:
    """The document with `tables` between its marks. Raises ValueError when it has none."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the document has no place for tables: a line {BEGIN} and, below it, one {END}")
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("document", type=Path, nargs="?")
    options = arguments.parse_args()
    results = Results.load(options.file)
    if not any(results.cases(scenario) for scenario, *_ in TABLES):
        arguments.error(f"{options.file} has no figures of `make bench-serving`, which are what this shows")
    target: Path = options.document or options.file
    if options.document:
        target.write_text(into(target.read_text(), markdown(results)))
    else:
        print(markdown(results))
    target.with_suffix(".svg").write_text(picture(results))


if __name__ == "__main__":
    main()
