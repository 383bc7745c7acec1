"""Counts what requests do, in plain numbers: a request costs a few microseconds of it, a token nothing."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final, NamedTuple

from adaptive_engine.telemetry.answered import Answered
from adaptive_engine.telemetry.catalog import FAMILIES
from adaptive_engine.types import Histogram, LimitKind, LimitScope

Reading = tuple[str, tuple[str, ...], float | Histogram]
"""The name of a family without its prefix, the values of its labels, and what is said of them."""


class Part(NamedTuple):
    """What one process of a server says of itself."""

    pid: int
    readings: list[Reading]


MAX_SERIES: Final = 500
"""Of one family. What comes after has `other` for labels: an installation may have any number of models."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BOUNDS = {family.name: family.bounds for family in FAMILIES if family.kind == "histogram"}


class Meter:
    """The numbers of one server since its start. May be told from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[str, dict[tuple[str, ...], float]] = {}
        self._histograms: dict[str, dict[tuple[str, ...], Histogram]] = {}
        self._in_progress = 0

    def began(self) -> None:
        """A request has arrived."""
        with self._lock:
            self._in_progress += 1

    def ended(self, route: str, method: str, status: int, seconds: float) -> None:
        """`route` is a template of ours, never a path."""
        with self._lock:
            self._in_progress -= 1
            self._count("http_requests", (route, method if method in _METHODS else "other", str(status)))
            self._observe("http_request_duration_seconds", (route,), seconds)

    def rejected(self, reason: str) -> None:
        with self._lock:
            self._count("rejected", (reason,))

    def rate_limited(self, scope: LimitScope, limit: LimitKind) -> None:
        with self._lock:
            self._count("rate_limited", (scope, limit))

    def answered(self, answer: Answered) -> None:
        row, usage = answer.row, answer.row.usage
        model = (answer.model,)
        with self._lock:
            self._count("prompt_tokens", model, usage.prompt_tokens)
            self._count("generation_tokens", model, usage.completion_tokens)
            if answer.waited is None:
                self._count("prefix_cache_queries", model, usage.prompt_tokens)
                self._count("prefix_cache_hits", model, usage.cached_tokens)
            if row.state == "cancelled":
                self._count("cancelled", ((row.error or {}).get("phase", ""),))
            elif row.finish_reason is None:
                self._count("request_errors", (*model, (row.error or {}).get("code", "")))
            else:
                self._count("request_success", (*model, row.finish_reason))
                if answer.structured is not None:
                    self._count("structured_output", (*model, answer.structured))
                self._times(answer, model)

    def _times(self, answer: Answered, model: tuple[str]) -> None:
        self._observe("e2e_request_latency_seconds", model, answer.ended - answer.arrived)
        if answer.waited is not None:
            self._observe("gateway_overhead_seconds", model, answer.ended - answer.arrived - answer.waited)
        first = answer.first_token()
        if first is None:
            return
        timings, tokens = answer.row.timings, answer.row.usage.completion_tokens
        decode = (timings["total_ms"] - timings["ttft_ms"]) / 1000
        self._observe("time_to_first_token_seconds", model, first - answer.arrived)
        self._observe("request_queue_time_seconds", model, timings["queue_ms"] / 1000)
        self._observe("request_prefill_time_seconds", model, (timings["ttft_ms"] - timings["queue_ms"]) / 1000)
        self._observe("request_decode_time_seconds", model, decode)
        if tokens > 1:
            self._observe("inter_token_latency_seconds", model, decode / (tokens - 1), tokens - 1)

    def readings(self) -> list[Reading]:
        """All of it at one moment."""
        found: list[Reading] = []
        with self._lock:
            found.append(("http_requests_in_progress", (), self._in_progress))
            for name, counters in self._counters.items():
                found += [(name, labels, value) for labels, value in counters.items()]
            for name, histograms in self._histograms.items():
                found += [(name, labels, histogram.copy()) for labels, histogram in histograms.items()]
        return found

    def _count(self, name: str, labels: tuple[str, ...], amount: float = 1) -> None:
        series = self._counters.setdefault(name, {})
        if labels not in series:
            labels = _within(series, labels)
            series.setdefault(labels, 0)
        series[labels] += amount

    def _observe(self, name: str, labels: tuple[str, ...], value: float, times: int = 1) -> None:
        series = self._histograms.setdefault(name, {})
        histogram = series.get(labels)
        if histogram is None:
            histogram = series.setdefault(_within(series, labels), Histogram(_BOUNDS[name]))
        histogram.observe(value, times)


def _within(series: Mapping[tuple[str, ...], object], labels: tuple[str, ...]) -> tuple[str, ...]:
    return labels if len(series) < MAX_SERIES else ("other",) * len(labels)
