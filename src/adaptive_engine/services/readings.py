"""The numbers that the parts of a server keep anyway, read when somebody looks at /metrics."""

from __future__ import annotations

import os
from collections.abc import Iterator

from adaptive_engine._version import __version__
from adaptive_engine.errors import StorageUnavailable
from adaptive_engine.services.backends import Backends
from adaptive_engine.services.grading import Grading
from adaptive_engine.services.readiness import Readiness
from adaptive_engine.services.routing import Routing
from adaptive_engine.store import Database, Recorder, judgements
from adaptive_engine.telemetry.meter import MAX_SERIES, Meter, Part, Reading

# The name of a family, and the field of EngineStats that it is.
_OF_ENGINES = {
    "num_requests_running": "running",
    "num_requests_waiting": "waiting",
    "kv_cache_blocks": "kv_blocks_total",
    "num_preemptions": "preemptions",
    "engine_steps": "steps",
    "engine_forward_seconds": "forward_seconds",
    "engine_computed_prompt_tokens": "prompt_tokens",
    "engine_mask_seconds": "mask_seconds",
    "engine_forced_tokens": "forced_tokens",
    "spec_decode_num_draft_tokens": "draft_tokens",
    "spec_decode_num_accepted_tokens": "accepted_tokens",
    "encoded_images": "encoded_images",
    "encode_seconds": "encode_seconds",
}


class Readings:
    """Of one server. Blocks for a query: not for an event loop."""

    def __init__(
        self,
        meter: Meter,
        readiness: Readiness,
        backends: Backends,
        routing: Routing,
        recorder: Recorder,
        grading: Grading,
        database: Database,
    ) -> None:
        self._meter = meter
        self._readiness = readiness
        self._backends = backends
        self._routing = routing
        self._recorder = recorder
        self._grading = grading
        self._database = database

    def part(self) -> Part:
        """All of this process."""
        return Part(os.getpid(), [*self._meter.readings(), *self._kept()])

    def _kept(self) -> Iterator[Reading]:
        yield "build_info", (__version__,), 1
        yield "ready", (), self._readiness.look().ready
        yield from _models(self._backends, self._routing.wanted())
        yield from self._providers()
        yield from _recorder(self._recorder)
        yield from self._graders()

    def _providers(self) -> Iterator[Reading]:
        for upstream in self._backends.providers.asked()[:MAX_SERIES]:
            model = upstream.model
            for outcome, count in list(upstream.outcomes.items()):
                yield "upstream_requests", (model, upstream.vendor, outcome), count
            yield "upstream_retries", (model,), upstream.budget.taken
            yield "upstream_retry_budget", (model,), upstream.budget.left
            yield "upstream_breaker_open", (model, upstream.vendor), upstream.breaker.is_open

    def _graders(self) -> Iterator[Reading]:
        for outcome, count in list(self._grading.outcomes.items()):
            yield "judgements", (outcome,), count
        if self._recorder.problem is None:
            try:
                with self._database.read() as connection:
                    yield "judgements_due", (), judgements.count_open(connection)
            except StorageUnavailable:
                # `store_writable` tells, as soon as something was to be stored.
                return


def _models(backends: Backends, wanted: set[str]) -> Iterator[Reading]:
    offline = backends.problems(wanted)
    for key in sorted(wanted):
        yield "model_online", (key,), key not in offline
        stats, memory = backends.engines.stats(key), backends.engines.status(key).memory
        if stats is None or memory is None:
            continue
        for name, field in _OF_ENGINES.items():
            yield name, (key,), getattr(stats, field)
        yield "kv_cache_usage_perc", (key,), stats.kv_blocks_used / max(stats.kv_blocks_total, 1)
        yield "model_memory_bytes", (key, "weights"), memory.weights
        yield "model_memory_bytes", (key, "kv_cache"), memory.kv_cache


def _recorder(recorder: Recorder) -> Iterator[Reading]:
    stats = recorder.stats
    yield "store_writable", (), recorder.problem is None
    for state, count in stats.by_state.items():
        yield "interactions", (state,), count
    yield "store_commits", (), stats.transactions
    yield "store_commit_seconds", (), stats.commit_seconds
    yield "store_pending", (), stats.pending
    yield "store_failed", (), stats.failed
    yield "store_unsaved", (), stats.unsaved
    yield "store_lost", (), stats.lost
