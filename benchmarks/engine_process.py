"""What it costs to run models in a process of their own.

    make bench-engine-process     or     python benchmarks/engine_process.py [--rounds 3] [--tokens 64]

Two servers, one with the engine inside, are asked in turns for the same streams at concurrency 1, 8 and 32. Prints the
medians of tokens per second, of the milliseconds to the first text, and of the processor time of a token in all of a
server's processes, which says something on a busy machine too. Exits with 1 when the process costs more than 3 % of the
tokens per second at 32, or 2 ms to the first text at 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import machine
import uvloop
from common import Server, end_in_order, running_server
from streams import run_streams

from adaptive_engine.registry import ensure_default_model

CONCURRENCY = (1, 8, 32)
REQUESTS = {1: 8, 8: 32, 32: 96}
MOST_SHARE = 0.03
MOST_MS = 2.0
QUESTION = (
    "Tell me a long story about the number {}, in simple words and short sentences, for somebody who likes the sea."
)


@dataclass(frozen=True)
class Figures:
    tokens_per_second: float
    first_ms: float
    cpu_ms_per_token: float


async def measure(server: Server, concurrency: int, tokens: int, first: int) -> Figures:
    questions = [QUESTION.format(number) for number in range(first, first + REQUESTS[concurrency])]
    found = await run_streams(server, questions, concurrency, tokens, machine.tree(server.pid))
    first_ms = 1000 * statistics.median(answer.ttft for answer in found.answers)
    return Figures(found.tokens_per_second, first_ms, found.cpu_ms_per_token)


async def compare(servers: dict[str, Server], rounds: int, tokens: int) -> bool:
    found: dict[tuple[str, int], list[Figures]] = {}
    asked = 0
    for round_ in range(-1, rounds):
        for concurrency in CONCURRENCY if round_ >= 0 else (8,):
            for name in sorted(servers, reverse=round_ % 2 == 0):
                asked += 1000
                figures = await measure(servers[name], concurrency, tokens, asked)
                # The first one only warms up.
                if round_ >= 0:
                    found.setdefault((name, concurrency), []).append(figures)
                    print(f"round {round_}, {name} at {concurrency}: {figures}", file=sys.stderr, flush=True)
    print("| concurrency | engine | tokens/s | ms to the first text | processor ms per token |\n|---|---|---|---|---|")
    medians: dict[tuple[str, int], Figures] = {}
    for concurrency in CONCURRENCY:
        for name in servers:
            each = found[name, concurrency]
            median = Figures(
                statistics.median(figures.tokens_per_second for figures in each),
                statistics.median(figures.first_ms for figures in each),
                statistics.median(figures.cpu_ms_per_token for figures in each),
            )
            medians[name, concurrency] = median
            shown = f"{median.tokens_per_second:.1f} | {median.first_ms:.1f} | {median.cpu_ms_per_token:.2f}"
            print(f"| {concurrency} | {name} | {shown} |")
    speed = medians["process", 32].tokens_per_second / medians["inside", 32].tokens_per_second
    later = medians["process", 1].first_ms - medians["inside", 1].first_ms
    print(f"\nIn a process of its own: {speed:.3f} times the tokens/s at 32, {later:+.1f} ms to the first text at 1.")
    return speed >= 1 - MOST_SHARE and later <= MOST_MS


def main() -> int:
    options = argparse.ArgumentParser(description="What it costs to run models in a process of their own.")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--tokens", type=int, default=64)
    chosen = options.parse_args()
    end_in_order()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = {}
        for name in ("inside", "process"):
            data_dir = Path(folder) / name
            ensure_default_model(data_dir / "models")
            env = {"ADAPTIVE_ENGINE__OWN_PROCESS": str(name == "process")}
            servers[name] = stack.enter_context(running_server(data_dir, env))
        return 0 if uvloop.run(compare(servers, chosen.rounds, chosen.tokens)) else 1


if __name__ == "__main__":
    sys.exit(main())
