"""What a request costs before its prompt is rendered: checking its key, routing it, applying the model's settings.

    make bench-request-path     or     python benchmarks/request_path.py [--projects 100] [--rounds 20000]

In process, on a store on disk with so many projects of three models each, and settings as large as they get: a system
prompt of 2,000 characters with three arguments, a response format of 10 kB, all parameters. Prints the median and the
99th percentile of each part in microseconds, beside a request without settings, and what reloading the snapshot of the
store takes, which one request in five seconds does; and what limits cost, from admission to the headers of the answer.
Exits with 1 when the parts together pass 300 µs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from adaptive_engine.services import limits, model_settings
from adaptive_engine.services.keys import KeyRing
from adaptive_engine.services.limits import Limiter
from adaptive_engine.services.routing import Routing
from adaptive_engine.settings import LimitSettings
from adaptive_engine.store import Database, deployments, models, projects
from adaptive_engine.types import ChatMessage, Deployment, Model, Project, Usage, now_ms, uuid7
from adaptive_engine.wire.chat import ChatRequest

GOAL_US = 300
_SENTENCE = "Answer in the customer's language, briefly and kindly. "
_PROMPT = "You help {{ name }}, a customer of {{ shop }} since {{ year }}. " + _SENTENCE * 35
_SCHEMA = {
    "type": "object",
    "properties": {f"field_{i}": {"type": "string", "description": _SENTENCE, "maxLength": 40} for i in range(80)},
}
SETTINGS: dict[str, Any] = {
    "system_prompt": _PROMPT,
    "temperature": 0.3,
    "top_p": 0.9,
    "max_tokens": 400,
    "stop": ["END"],
    "seed": 7,
    "max_ttft_ms": 5000,
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": _SCHEMA}},
}
ARGUMENTS = {"name": "Ada", "shop": "Engines & Co", "year": 1843}


def main() -> int:
    options = argparse.ArgumentParser(description="What a request costs before its prompt is rendered.")
    options.add_argument("--projects", type=int, default=100)
    options.add_argument("--rounds", type=int, default=20_000)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, closing(Database.open(Path(folder) / "store.db")) as database:
        fill(database, chosen.projects)
        return measure(database, chosen.projects, chosen.rounds)


def fill(database: Database, count: int) -> None:
    """Projects of three models each, whose first one has all settings."""
    made = [Model(uuid7(), f"model-{i}", "M", "internal", ("TextGeneration",), 8192, 0) for i in range(3)]
    with database.write() as connection:
        for model in made:
            models.create(connection, model)
        for number in range(count):
            project = Project(uuid7(), f"project-{number}", "P", "", now_ms())
            projects.create(connection, project)
            for at, model in enumerate(made):
                settings = SETTINGS if at == 0 else {}
                deployments.create(connection, Deployment(uuid7(), project, model, at == 0, True, 0, settings))


def measure(database: Database, count: int, rounds: int) -> int:
    ring = KeyRing(database, b"p" * 32)
    _, key = ring.create("application", "inference")
    routing = Routing(database)
    principal = ring.authenticate(key)
    address = f"project-{count - 1}"
    rich, plain = (routing.deployment(principal, f"{address}/model-{at}") for at in (0, 1))
    body: dict[str, Any] = {"model": address, "messages": [{"role": "user", "content": "Where is my parcel?"}]}
    request = ChatRequest.model_validate(body)
    with_arguments = ChatRequest.model_validate({**body, "system_prompt_args": ARGUMENTS})
    turns = [ChatMessage("user", "Where is my parcel?")]

    def check_key() -> None:
        # As the middleware does it: what is not known any more is read again.
        if ring.cached(key) is None:
            ring.authenticate(key)

    def apply_settings() -> None:
        applied = model_settings.apply(with_arguments, rich)
        model_settings.with_system_prompt(turns, applied.system_prompt)

    unlimited = Limiter(LimitSettings())
    most = 10**9
    kinds = ("requests_per_minute", "tokens_per_minute", "concurrent_requests")
    given = {f"{scope}_{kind}": most for scope in ("key", "project") for kind in kinds}
    limited = Limiter(LimitSettings.model_validate(given))

    def limited_request() -> None:
        hold = limited.admit(principal, plain.project)
        assert hold is not None
        hold.reserve(*limits.estimate(request, 20, 8192))
        hold.settle(Usage(20, 50))
        hold.headers()

    parts: dict[str, Callable[[], Any]] = {
        "check the key": check_key,
        "route": lambda: routing.deployment(principal, address),
        "apply all settings": apply_settings,
        "(without settings)": lambda: model_settings.apply(request, plain),
        "(where nothing is limited)": lambda: unlimited.admit(principal, plain.project),
        "(limits of key and project)": limited_request,
    }
    print(f"{count} projects, {rounds} rounds; µs per request\n\n| | median | p99 |\n|---|---|---|")
    total = 0.0
    for name, part in parts.items():
        median, p99 = timed(part, rounds)
        if not name.startswith("("):
            total += median
        print(f"| {name} | {median:.1f} | {p99:.1f} |")
    print(f"| all three | {total:.1f} | |")
    reload, _ = timed(routing.refresh, 50)
    print(f"\nReloading the snapshot, once in 5 s: {reload / 1000:.1f} ms")
    return 0 if total <= GOAL_US else 1


def timed(part: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median and 99th percentile, in µs."""
    took = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        part()
        took.append(time.perf_counter_ns() - start)
    return statistics.median(took) / 1000, statistics.quantiles(took, n=100)[98] / 1000


if __name__ == "__main__":
    sys.exit(main())
