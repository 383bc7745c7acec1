"""What this server costs as a gateway: requests to a provider that answers at once, beside other gateways.

    make bench-gateway     or     python benchmarks/gateway.py [--rounds 3] [--seconds 3] [--subject ours,nginx]

Subjects: ours (every answer stored), unstored (the same server, `store: false`), those of gateways.py that are
installed (`python benchmarks/gateways.py` sees to that), and direct, the upstream itself.

Scenarios:

    json      64 requests at a time, answers in one piece: requests per second
    streams   64 streams at a time, of 50 events as fast as they go: streams per second
    paced     256 streams at a time, of 50 events each 10 ms: what is added to the time that an event, and the first
              one, takes

The gateway has the first processor to itself. Upstream and load generator, two programs in C that this compiles with
`cc`, share the second. Everybody gets the same request, with the same answer, over kept connections. In each round the
subjects take turns, and the round after begins with another one; a figure is the median of the rounds, a ratio is taken
within a round. What other programs took of the processors meanwhile is reported with the figures.

What is not equal: ours checks a key that it has in a database and stores each interaction; the others check a key of
their configuration or none, and store nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gateways
import machine
from common import KEY, end_in_order, running, running_server
from gateways import Gateway, Target, Upstreams
from report import table
from results import Results, Row, Spread, spread

from adaptive_engine import Adaptive
from adaptive_engine.registry import ensure_default_model

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(__file__).with_name("gateway_tools")
RESULTS = Path(__file__).with_name("results")
BEGIN, END = "<!-- figures of the gateway -->", "<!-- end of the gateway's figures -->"
EVENTS, PACE_MS = 50, 10
NAMES = {
    "ours": "Adaptive Engine",
    "unstored": "Adaptive Engine, `store: false`",
    "portkey": "Portkey",
    "litellm": "LiteLLM",
    "tensorzero": "TensorZero",
    "nginx": "nginx",
    "direct": "the upstream itself",
}
MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Tell me a short story about the sea and the keeper of a lighthouse."},
]


class Scenario(NamedTuple):
    upstream: str
    at_once: int
    events: int


SCENARIOS = {
    "json": Scenario("fast", 64, 0),
    "streams": Scenario("fast", 64, EVENTS),
    "paced": Scenario("paced", 256, EVENTS),
}


class Figure(NamedTuple):
    """A column of the report."""

    scenario: str
    value: str
    title: str


FIGURES = (
    Figure("json", "per_second", "JSON requests/s"),
    Figure("json", "cpu_ms", "ms of processor each"),
    Figure("streams", "per_second", "streams/s"),
    Figure("streams", "cpu_ms", "ms of processor each"),
    Figure("paced", "event_p50_ms", "paced: event, median ms"),
    Figure("paced", "event_p99_ms", "99 %"),
    Figure("paced", "first_p50_ms", "first event, median ms"),
    Figure("paced", "first_p99_ms", "99 %"),
)


class Goal(NamedTuple):
    what: str
    subject: str
    scenario: str
    value: str
    at_least: float | None = None
    against: str | None = None
    """A subject whose figure is the most that this one's may be."""


GOALS = (
    Goal("JSON requests/s, stored", "ours", "json", "per_second", at_least=2000),
    Goal("JSON requests/s, not stored", "unstored", "json", "per_second", at_least=4000),
    Goal("streams/s, stored", "ours", "streams", "per_second", at_least=1000),
    Goal("paced: 99 % of events, of Portkey's", "ours", "paced", "event_p99_ms", against="portkey"),
    Goal("paced: 99 % of first events, of Portkey's", "ours", "paced", "first_p99_ms", against="portkey"),
)


@dataclass(frozen=True)
class Bench:
    load: Path
    folder: Path
    seconds: float
    gateways: dict[str, Gateway]

    def turn(self, name: str, scenario: Scenario) -> dict[str, Any]:
        """What the load generator says, and what of the processor the gateway used."""
        gateway = self.gateways[name]
        target = gateway.targets[scenario.upstream]
        processes = machine.tree(gateway.pid)
        before = machine.cpu_seconds(processes)
        said = self._run(name, target, scenario, self.seconds)
        used = machine.cpu_seconds(processes) - before
        if said["errors"] or not said["requests"]:
            raise RuntimeError(f"{name}: {said['errors']} errors, {said['requests']} answers; {said['first_error']}")
        values = {"per_second": said["requests"] / said["seconds"]}
        if name != "direct":
            values["cpu_ms"] = 1000 * used / said["requests"]
        for kind in ("answer", "first", "event"):
            if f"{kind}_ms" in said:
                values[f"{kind}_p50_ms"], values[f"{kind}_p99_ms"] = said[f"{kind}_ms"]
        return values

    def warm_up(self, name: str) -> None:
        for scenario in SCENARIOS.values():
            self._run(name, self.gateways[name].targets[scenario.upstream], scenario, 1)

    def _run(self, name: str, target: Target, scenario: Scenario, seconds: float) -> dict[str, Any]:
        body = self.folder / f"{name}-{scenario.events}.json"
        asked: dict[str, Any] = {"model": target.model, "messages": MESSAGES, "max_tokens": 64, "temperature": 0.2}
        asked |= {"stream": True} if scenario.events else {}
        asked |= {"store": False} if name == "unstored" else {}
        body.write_text(json.dumps(asked))
        amounts = [str(scenario.at_once), str(seconds), str(scenario.events), str(body)]
        command = [str(self.load), str(target.port), target.path, *amounts, *target.headers]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60)
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def compiled(name: str, folder: Path) -> Path:
    print(f"compiling {(TOOLS / name).relative_to(ROOT)}.c", flush=True)
    subprocess.run(["cc", "-O2", "-o", str(folder / name), str(TOOLS / f"{name}.c")], check=True)
    return folder / name


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    """What is started here runs on this processor only."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def ours(upstreams: Upstreams, folder: Path) -> Iterator[Gateway]:
    ensure_default_model(folder / "models")
    with running_server(folder) as server:
        client = Adaptive(base_url=server.url, api_key=KEY, default_project="default")
        for name, port in upstreams.items():
            endpoint = f"http://127.0.0.1:{port}/v1"
            client.models.add_external(name, "mock", provider="openai_compatible", endpoint=endpoint)
            client.models.deploy(name)
        client.close()
        port, headers = int(server.url.rpartition(":")[2]), (f"Authorization: Bearer {KEY}",)
        path = "/api/v1/chat/completions"
        yield Gateway(server.pid, {name: Target(port, path, headers, f"default/{name}") for name in upstreams})


def prepare(stack: ExitStack, folder: Path, options: argparse.Namespace) -> tuple[Bench, dict[str, Any]]:
    """Everything that takes part, started; ends with the stack."""
    gateway_cpu, other_cpu = sorted(os.sched_getaffinity(0))[:2]
    upstream, load = compiled("upstream", folder), compiled("load", folder)
    ports: dict[str, int] = {}
    with on_processor(other_cpu):
        for name, pace in (("fast", 0), ("paced", PACE_MS)):
            command = [str(upstream), "0", str(EVENTS), str(pace)]
            server = stack.enter_context(running(command, r"ready at (http://\S+)"))
            ports[name] = int(server.url.rpartition(":")[2])
    bench = Bench(load, folder, options.seconds, {})
    versions = {}
    with on_processor(gateway_cpu):
        for name in [name for name in options.subject if name not in ("direct", "unstored")]:
            print(f"starting {name}", flush=True)
            own = folder / name
            own.mkdir()
            start = ours if name == "ours" else gateways.OTHERS[name]
            bench.gateways[name] = stack.enter_context(start(ports, own))
            if name != "ours":
                versions[name] = gateways.version(name)
    if "unstored" in options.subject:
        bench.gateways["unstored"] = bench.gateways["ours"]
    if "direct" in options.subject:
        bench.gateways["direct"] = Gateway(
            os.getpid(), {name: Target(port, gateways.CHAT, (), "mock") for name, port in ports.items()}
        )
    # From here on this process starts the load generator only.
    os.sched_setaffinity(0, {other_cpu})
    return bench, versions


def measure(bench: Bench, results: Results, options: argparse.Namespace) -> None:
    names = [name for name in options.subject if name in bench.gateways]
    for name in names:
        bench.warm_up(name)
    for number in range(options.rounds):
        for title, scenario in SCENARIOS.items():
            first = number % len(names)
            for name in names[first:] + names[:first]:
                others = machine.Others()
                try:
                    values = bench.turn(name, scenario)
                except RuntimeError as exc:
                    print(f"left out: {exc}", flush=True)
                    continue
                row = Row(title, "", name, number + 1, values, round(others.share(), 4))
                results.rows.append(row)
                shown = "  ".join(f"{key} {value:.4g}" for key, value in values.items())
                print(f"round {number + 1}  {title:8} {name:11} {shown}  others {row.others:.0%}", flush=True)


def markdown(results: Results) -> str:
    shown = {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in results.facts.items()}
    facts = [[name.replace("_", " "), value] for name, value in shown.items()]
    if results.rows:
        others = [row.others for row in results.rows]
        facts.append(["used by other programs", f"{statistics.median(others):.0%} (up to {max(others):.0%})"])
    there = [name for name in NAMES if any(row.subject == name for row in results.rows)]
    figures = [
        [NAMES[name], *(_cell(spread(results.by_round(f.scenario, "", name, f.value).values())) for f in FIGURES)]
        for name in there
    ]
    goals = [[goal.what, *_judged(results, goal)] for goal in GOALS]
    return "\n\n".join(
        [
            table(["", ""], facts),
            table(["", *(figure.title for figure in FIGURES)], figures),
            table(["", "measured", "goal", ""], goals),
        ]
    )


def _judged(results: Results, goal: Goal) -> tuple[str, str, str]:
    own = results.by_round(goal.scenario, "", goal.subject, goal.value)
    limit = "≤ 1" if goal.against else f"≥ {goal.at_least:g}"
    if goal.against is not None:
        other = results.by_round(goal.scenario, "", goal.against, goal.value)
        own = {number: value / other[number] for number, value in own.items() if number in other}
    found = spread(own.values())
    if found is None:
        return "not measured", limit, ""
    met = found.median <= 1 if goal.at_least is None else found.median >= goal.at_least
    return _cell(found), limit, "ok" if met else "(!)"


def _cell(figure: Spread | None) -> str:
    if figure is None:
        return ""
    show = [f"{value:.0f}" if value >= 100 else f"{value:.3g}" for value in figure]
    return show[0] if figure.low == figure.high else f"{show[0]} ({show[1]}-{show[2]})"


def read_options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--subject", type=lambda text: text.split(","), help="some, with commas; default: all there are"
    )
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--seconds", type=float, default=3, help="of each turn")
    arguments.add_argument("--quick", action="store_true", help="one round of a second each, to see that all works")
    arguments.add_argument("--into", type=Path, metavar="DOCUMENT", help="put the tables between its marks")
    given = arguments.parse_args()
    there = ["ours", "unstored", *(name for name in gateways.OTHERS if gateways.installed(name)), "direct"]
    given.subject = given.subject or there
    if unknown := set(given.subject) - set(there):
        arguments.error(f"{', '.join(sorted(unknown))}: not installed, or none of {', '.join(NAMES)}")
    if "unstored" in given.subject and "ours" not in given.subject:
        arguments.error("the subject unstored needs ours")
    if given.quick:
        given.rounds, given.seconds = 1, 1
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        arguments.error("this needs Linux and two processors: one for the gateway, one for those around it")
    return given


def main() -> None:
    options = read_options()
    end_in_order()
    results = Results({**machine.facts(), "rounds": options.rounds, "seconds of a turn": options.seconds})
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bench, versions = prepare(stack, Path(folder), options)
        results.facts.update(versions)
        measure(bench, results, options)
    name = re.sub(r"[^a-z0-9]+", "-", results.facts["processor"].lower()).strip("-")
    path = RESULTS / f"gateway-{time.strftime('%Y-%m-%d-%H%M')}-{name}.json"
    results.save(path)
    tables = markdown(results)
    print(f"\n{tables}\n\n{path}")
    if options.into is not None:
        before, begin, rest = options.into.read_text().partition(BEGIN)
        _, end, after = rest.partition(END)
        if not end:
            raise SystemExit(f"{options.into} has no place for tables: a line {BEGIN} and, below it, one {END}")
        options.into.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}")


if __name__ == "__main__":
    main()
