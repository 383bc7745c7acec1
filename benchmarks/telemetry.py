"""What it costs a request to be counted, and its log line to be searched for secrets.

    python benchmarks/telemetry.py [--models 20] [--secrets 5] [--rounds 20000]

In process, with so many models that were asked before and secrets that are known. Prints the processor time of each
part in microseconds, the best of five rounds; what a look at /metrics takes; and what tracing a request would add (it
needs OpenTelemetry). Exits with 1 when the parts of a request together pass 20 µs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from adaptive_engine.telemetry.answered import Answered
from adaptive_engine.telemetry.exposition import Exposition
from adaptive_engine.telemetry.meter import Meter
from adaptive_engine.telemetry.redaction import hide, hide_in_request, redact
from adaptive_engine.telemetry.tracing import Response
from adaptive_engine.types import Interaction, Usage, now_ms, uuid7

GOAL_US = 20
_LINE = (
    '{"key": "fn7issnag6zv", "completion": "chatcmpl-01a203ce472f73b98ce98d201e641f29", "method": "POST", "path": '
    '"/api/v1/chat/completions", "status": 200, "ms": 87.0, "event": "request", "request_id": '
    '"req-01a203ceeae4769a8f961f1006423d65", "level": "info", "logger": "adaptive_engine.server.middleware", '
    '"timestamp": "2026-11-22T15:09:40.100471Z"}'
)


def main() -> int:
    options = argparse.ArgumentParser(description="What telemetry costs a request.")
    options.add_argument("--models", type=int, default=20)
    options.add_argument("--secrets", type=int, default=5)
    options.add_argument("--rounds", type=int, default=20_000)
    chosen = options.parse_args()
    meter = Meter()
    rows = [row(f"model-{number}") for number in range(chosen.models)]
    for number in range(chosen.secrets):
        hide(f"sk-secret-of-a-provider-{number:020}")
    hide_in_request("ad_fn7issnag6zv_" + "0123456789abcdef" * 4)

    def answer() -> None:
        now = time.perf_counter()
        answered = Answered(rows[-1], now - 0.81, now - 0.81, now - 0.8, now, now, None)
        meter.answered(answered)

    def request() -> None:
        meter.began()
        meter.ended("/api/v1/chat/completions", "POST", 200, 0.8)

    for each in rows:
        meter.answered(Answered(each, 0.0, 0.0, 0.0, 1.0, 1.0, None))
    request()
    parts: dict[str, Callable[[], object]] = {
        "count the request": request,
        "count its answer": answer,
        "search its log line": lambda: redact(_LINE),
    }
    total = 0.0
    for name, part in parts.items():
        took = best(part, chosen.rounds)
        total += took
        print(f"{name:24}{took:8.2f} µs")
    print(f"{'together':24}{total:8.2f} µs, goal {GOAL_US}")
    exposition = Exposition([meter.readings])
    print(f"{'a look at /metrics':24}{best(lambda: exposition.render(''), 20):8.0f} µs")
    print(f"{'tracing it, if on':24}{best(traced(rows[-1]), chosen.rounds // 10):8.0f} µs")
    return 0 if total <= GOAL_US else 1


def traced(answer: Interaction) -> Callable[[], object]:
    """A request with an answer, as it is traced; exporting it is the work of another thread."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

    from adaptive_engine.telemetry.otel import OtelTracing

    tracing = OtelTracing(TracerProvider(), MeterProvider())

    def trace() -> None:
        now = time.perf_counter()
        answered = [Answered(answer, now - 0.81, now - 0.81, now - 0.8, now, now, None)]
        tracing.begin("POST", "/api/v1/chat/completions", {}, now - 0.81).end(
            Response("/api/v1/chat/completions", 200, "chatcmpl-1", answered)
        )

    return trace


def best(part: Callable[[], object], rounds: int) -> float:
    """Microseconds of processor time for one, in the best of five rounds."""
    found = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(rounds):
            part()
        found.append((time.process_time() - started) / rounds * 1e6)
    return min(found)


def row(model: str) -> Interaction:
    timings = {"queue_ms": 1.0, "ttft_ms": 30.0, "total_ms": 800.0}
    usage = Usage(200, 64, 128)
    return Interaction(
        uuid7(), uuid7(), uuid7(), [], "complete", "LIVE", now_ms(), model_key=model, finish_reason="stop",
        timings=timings, usage=usage,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
