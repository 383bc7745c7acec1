"""Results as one SVG picture: a panel of bars for each scenario. Whiskers show the least and the greatest round."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from results import Results, Spread, spread

# Told apart by people who see colours differently (Okabe and Ito).
COLOURS = {
    "ours": "#0072b2",
    "bare": "#56b4e9",
    "deterministic": "#b0b0b0",
    "genai": "#e69f00",
    "llama": "#009e73",
    "vllm": "#cc79a7",
}
LABELS = {
    "ours": "Adaptive Engine",
    "bare": "… in process",
    "deterministic": "… deterministic, in process",
    "genai": "OpenVINO GenAI, in process",
    "llama": "llama-server",
    "vllm": "vLLM",
}
WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 52, 44
HEAD = 60
TICKS = 4


@dataclass(frozen=True)
class Panel:
    title: str
    note: str
    groups: list[str]
    axis: str
    """What the groups are."""
    series: dict[str, list[Spread | None]]
    """By subject, a figure for each group."""


def picture(results: Results) -> str:
    panels = list(_panels(results))
    subjects = [subject for subject in COLOURS if any(subject in panel.series for panel in panels)]
    columns = min(len(panels), 2) or 1
    width, height = columns * WIDTH, HEAD + HEIGHT * -(-len(panels) // 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#333">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        _text(
            LEFT,
            22,
            f"{results.facts['model']} on {results.facts['processor']}, {results.facts['threads']} threads",
            14,
        ),
        *_legend(subjects),
    ]
    for number, panel in enumerate(panels):
        x, y = WIDTH * (number % 2), HEAD + HEIGHT * (number // 2)
        parts += [f'<g transform="translate({x} {y})">', *_bars(panel), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panels(results: Results) -> Iterator[Panel]:
    for scenario, title, note, axis, value in (
        ("decode", "Tokens per second", "more is better", "streams at a time", "tokens_per_second"),
        (
            "ttft",
            "Milliseconds to the first token of a new prompt",
            "less is better",
            "tokens of the prompt",
            "ttft_ms",
        ),
    ):
        cases = results.cases(scenario)
        if cases:
            series = {
                subject: [spread(results.by_round(scenario, case, subject, value).values()) for case in cases]
                for subject in results.subjects(scenario)
            }
            yield Panel(title, note, cases, axis, series)
    if results.rows and (turns := _turns(results)):
        count = max(len(figures) for figures in turns.values())
        yield Panel(
            "Milliseconds to the first token, as a chat grows",
            "less is better",
            [str(turn + 1) for turn in range(count)],
            "turn of the chat",
            turns,
        )
    if cases := results.cases("mixed"):
        series = {
            subject: [spread(results.by_round("mixed", case, subject, "worst_gap_ms").values()) for case in cases]
            for subject in results.subjects("mixed")
        }
        note, axis = "less is better", "tokens of the prompt that comes while they run"
        yield Panel("Longest pause of eight streams, in milliseconds", note, cases, axis, series)


def _turns(results: Results) -> dict[str, list[Spread | None]]:
    found = {}
    for subject in results.subjects("session"):
        rounds = [row.values["turns_ms"] for row in results.rows if (row.scenario, row.subject) == ("session", subject)]
        found[subject] = [spread(turn) for turn in zip(*rounds, strict=True)]
    return found


def _legend(subjects: list[str]) -> Iterator[str]:
    x = float(LEFT)
    for subject in subjects:
        yield f'<rect x="{x:.0f}" y="36" width="11" height="11" fill="{COLOURS[subject]}"/>'
        yield _text(x + 16, 46, LABELS[subject])
        x += 40 + 6.4 * len(LABELS[subject])


def _bars(panel: Panel) -> Iterator[str]:
    top = max((figure.high for figures in panel.series.values() for figure in figures if figure), default=1.0)
    step = nice_step(top / TICKS)
    scale = (HEIGHT - TOP - BOTTOM) / (step * math.ceil(top / step))
    base = HEIGHT - BOTTOM
    yield _text(LEFT, 20, panel.title, 13, weight="600")
    yield _text(LEFT, 37, panel.note, 11, fill="#777")
    for tick in range(math.ceil(top / step) + 1):
        y = base - tick * step * scale
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>'
        yield _text(LEFT - 6, y + 4, f"{tick * step:,g}", 11, anchor="end", fill="#777")
    group_width = (WIDTH - LEFT - RIGHT) / len(panel.groups)
    bar = min(0.8 * group_width / len(panel.series), 46)
    for place, group in enumerate(panel.groups):
        middle = LEFT + group_width * (place + 0.5)
        yield _text(middle, base + 17, group, 11, anchor="middle")
        for number, (subject, figures) in enumerate(panel.series.items()):
            figure = figures[place] if place < len(figures) else None
            if figure is not None:
                x = middle + bar * (number - len(panel.series) / 2)
                yield from _bar(x, bar, base, scale, figure, COLOURS[subject])
    yield _text(LEFT + (WIDTH - LEFT - RIGHT) / 2, base + 35, panel.axis, 11, anchor="middle", fill="#777")


def _bar(x: float, width: float, base: float, scale: float, figure: Spread, colour: str) -> Iterator[str]:
    top, middle = base - figure.median * scale, x + width / 2
    low, high = base - figure.low * scale, base - figure.high * scale
    yield f'<rect x="{x + 0.5:.1f}" y="{top:.1f}" width="{width - 1:.1f}" height="{base - top:.1f}" fill="{colour}"/>'
    yield f'<path d="M{middle:.1f} {low:.1f}V{high:.1f}" stroke="#333" stroke-opacity="0.6"/>'
    if width >= 20:
        yield _text(middle, high - 4, f"{figure.median:,.0f}", 10, anchor="middle")


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 and 10 times a power of ten that is not below `least`, which is above 0."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least * (1 - 1e-9))


def _text(
    x: float, y: float, text: str, size: int = 12, *, anchor: str = "start", fill: str = "#333", weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{fill}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )
