"""What Ray adds to a request, and what a second replica brings.

    make bench-ray     or     python benchmarks/ray_serve.py [--rounds 3] [--tokens 64] [--threads 1]

Starts a Ray cluster on this machine. A server with an engine process of its own, and one that asks replicas on the
cluster, first one and then two, are asked in turns for the same streams; each engine has so many threads. Prints the
medians of the milliseconds to the first text at concurrency 1, of tokens per second at 1 and at 16, and of the
processor time of a token in all servers and all of Ray, which says something on a busy machine too. Exits with 1 when
Ray adds more than 5 ms to the first text.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path

import machine
import uvloop
from common import Server, end_in_order, running_server
from streams import Streams, run_streams

from adaptive_engine.deploy.ray import cluster
from adaptive_engine.deploy.ray.options import ReplicaOptions
from adaptive_engine.registry import ensure_default_model
from adaptive_engine.settings import EngineSettings

MOST_MS = 5.0
TOGETHER = 16
REQUESTS = {1: 24, TOGETHER: 64}
QUESTION = "Tell me a long story about the number {}, in simple words, for somebody who likes the sea."
OWN, ONE, TWO = "engine process", "Ray, 1 replica", "Ray, 2 replicas"


@dataclass(frozen=True)
class Figures:
    first_ms: float
    alone: float
    """Tokens per second of one stream at a time."""
    together: float
    cpu_alone: float
    """Milliseconds of a processor for each token, one stream at a time."""
    cpu_together: float


async def measure(server: Server, tokens: int, first: int) -> Figures:
    alone = await ask(server, 1, tokens, first)
    together = await ask(server, TOGETHER, tokens, first + 100)
    first_ms = 1000 * statistics.median(answer.ttft for answer in alone.answers)
    return Figures(
        first_ms,
        alone.tokens_per_second,
        together.tokens_per_second,
        alone.cpu_ms_per_token,
        together.cpu_ms_per_token,
    )


async def ask(server: Server, concurrency: int, tokens: int, first: int) -> Streams:
    """With the processor time of all servers and all of Ray."""
    questions = [QUESTION.format(number) for number in range(first, first + REQUESTS[concurrency])]
    pids = [pid for pid in machine.tree(os.getpid()) if pid != os.getpid()]
    return await run_streams(server, questions, concurrency, tokens, pids)


def compare(own: Server, on_ray: Server, options: ReplicaOptions, rounds: int, tokens: int) -> bool:
    found: dict[str, list[Figures]] = {OWN: [], ONE: [], TWO: []}
    asked = 0
    for round_ in range(-1, rounds):
        for name in found:
            if name != OWN:
                count = 1 if name == ONE else 2
                cluster.deploy(options.model_copy(update={"min_replicas": count, "max_replicas": count}))
            asked += 1000
            figures = uvloop.run(measure(own if name == OWN else on_ray, tokens, asked))
            # The first one only warms up.
            if round_ >= 0:
                found[name].append(figures)
                print(f"round {round_}, {name}: {figures}", file=sys.stderr, flush=True)
    print(f"| | ms to the first text | tokens/s at 1 | at {TOGETHER} | processor ms per token at 1 | at {TOGETHER} |")
    print("|---|---|---|---|---|---|")
    medians = {}
    for name, each in found.items():
        medians[name] = Figures(*(statistics.median(getattr(f, n) for f in each) for n in Figures.__annotations__))
        print(f"| {name} | {' | '.join(f'{value:.1f}' for value in astuple(medians[name]))} |")
    added = medians[ONE].first_ms - medians[OWN].first_ms
    gain = medians[TWO].together / medians[ONE].together
    print(f"\nRay adds {added:+.1f} ms to the first text; two replicas give {gain:.2f} times the tokens/s of one.")
    return added <= MOST_MS


def main() -> int:
    parser = argparse.ArgumentParser(description="What Ray adds to a request, and what a second replica brings.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1, help="inference threads of each engine")
    chosen = parser.parse_args()
    end_in_order()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        directories = [Path(folder) / name for name in ("own", "ray")]
        default, _ = (ensure_default_model(directory / "models") for directory in directories)
        ray.init(
            "local", num_cpus=2 * chosen.threads, include_dashboard=False, log_to_driver=False, logging_level="error"
        )
        stack.callback(ray.shutdown)
        options = ReplicaOptions(
            model=default.key,
            models_dir=directories[1] / "models",
            cpus=chosen.threads,
            engine=EngineSettings(threads=chosen.threads),
        )
        cluster.deploy(options)
        address = ray.get_runtime_context().gcs_address
        environments = ({"ADAPTIVE_ENGINE__THREADS": str(chosen.threads)}, {"ADAPTIVE_RAY__ADDRESS": address})
        own, on_ray = (
            stack.enter_context(running_server(directory, env))
            for directory, env in zip(directories, environments, strict=True)
        )
        return 0 if compare(own, on_ray, options, chosen.rounds, chosen.tokens) else 1


if __name__ == "__main__":
    sys.exit(main())
