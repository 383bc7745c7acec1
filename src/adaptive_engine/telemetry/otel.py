"""Traces and metrics for OpenTelemetry. All that knows its libraries; imported only where it is turned on.

Spans of what a request went through are made when it has ended, from the moments that were noted anyway. Only requests
to providers are begun when they happen: those are told of their span.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from adaptive_engine._version import __version__
from adaptive_engine.errors import InvalidRequest
from adaptive_engine.telemetry import genai
from adaptive_engine.telemetry.answered import Answered
from adaptive_engine.telemetry.redaction import hide, redact
from adaptive_engine.telemetry.tracing import Response
from adaptive_engine.types import Usage

try:
    from opentelemetry.context import Context
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.metrics import Histogram
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as exc:
    raise InvalidRequest(
        "ADAPTIVE_TELEMETRY__OTEL needs OpenTelemetry: pip install 'adaptive-engine[server,otel]'"
    ) from exc

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = tuple(4**power for power in range(14))
# A collector that is gone must not keep the server from ending.
_FLUSH_MS = 3000


class OtelTracing:
    """See `tracing.Tracing`."""

    def __init__(self, spans: TracerProvider, metrics: MeterProvider, *, content: bool = False) -> None:
        """Closes both. `content`: spans have prompts and answers in them."""
        self._providers = spans, metrics
        self._tracer = spans.get_tracer("adaptive_engine", __version__)
        self._content = content
        self._propagator = TraceContextTextMapPropagator()
        self._instruments = _Instruments(metrics)

    @classmethod
    def from_environment(cls, *, content: bool) -> OtelTracing:
        """Sends OTLP over HTTP to where the variables `OTEL_...` say, by default to this machine.

        Raises InvalidRequest for what they say that cannot be done.
        """
        for name, value in os.environ.items():
            if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS"):
                for header in value.split(","):
                    # Of `Bearer KEY` the key alone is the secret.
                    for word in unquote(header.partition("=")[2]).split():
                        hide(word)
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "adaptive-engine"}
        resource = Resource.create({**named, "service.version": __version__})
        spans = TracerProvider(resource=resource, shutdown_on_exit=False)
        if _is_exported("TRACES"):
            spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if _is_exported("METRICS") else []
        metrics = MeterProvider(readers, resource, shutdown_on_exit=False)
        return cls(spans, metrics, content=content)

    def begin(self, method: str, path: str, headers: Mapping[str, str], arrived: float) -> OtelTrace:
        epoch = time.time_ns() - time.perf_counter_ns()
        carrier = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        span = self._tracer.start_span(
            method,
            self._propagator.extract(carrier, Context()),
            SpanKind.SERVER,
            {"http.request.method": method, "url.path": redact(path)},
            start_time=_at(epoch, arrived),
        )
        return OtelTrace(span, method, self._tracer, epoch, self._instruments, self._content)

    def close(self) -> None:
        spans, metrics = self._providers
        spans.force_flush(_FLUSH_MS)
        spans.shutdown()
        metrics.shutdown(timeout_millis=_FLUSH_MS)


class OtelTrace:
    """See `tracing.Trace`."""

    def __init__(
        self, span: Span, method: str, tracer: Tracer, epoch: int, instruments: _Instruments, content: bool
    ) -> None:
        self.id = f"{span.get_span_context().trace_id:032x}"
        self._span = span
        self._method = method
        self._tracer = tracer
        self._epoch = epoch
        """Nanoseconds between the beginnings of the clock and of the performance counter."""
        self._instruments = instruments
        self._content = content
        self._context = set_span_in_context(span, Context())

    def ask(self, model: str, vendor: str, address: tuple[str, int] | None) -> OtelTry:
        about = genai.call_attributes(model, vendor, address)
        span = self._tracer.start_span(f"chat {model}", self._context, SpanKind.CLIENT, about)
        return OtelTry(span, about, self._instruments)

    def end(self, response: Response) -> None:
        span, answered = self._span, response.answered
        span.update_name(f"chat {answered[0].model}" if answered else f"{self._method} {response.route}")
        span.set_attribute("http.route", response.route)
        span.set_attribute("http.response.status_code", response.status)
        if response.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", str(response.status))
        if answered:
            self._tell(response)
        span.end()

    def _tell(self, response: Response) -> None:
        answered = response.answered
        for answer in answered:
            self._instruments.answered(answer)
        if not self._span.is_recording():
            return
        about = genai.attributes(response.completion, answered)
        if self._content:
            about |= genai.content(answered)
        self._span.set_attributes({name: _clean(value) for name, value in about.items()})
        if "error.type" in about:
            self._span.set_status(Status(StatusCode.ERROR))
        for answer in answered:
            index = answer.row.choice_index
            for name, (start, end) in answer.phases().items():
                if (index == 0 or name not in _ONCE) and (answer.waited is None or name not in _OF_ENGINES):
                    self._phase(name, start, end, index)

    def _phase(self, name: str, start: float, end: float, index: int) -> None:
        about = {"adaptive.choice.index": index}
        span = self._tracer.start_span(
            name, self._context, SpanKind.INTERNAL, about, start_time=_at(self._epoch, start)
        )
        span.end(_at(self._epoch, end))


# What the choices of a request have in common, and what only an engine tells: of a provider there are the tries.
_ONCE = frozenset({"route", "prepare"})
_OF_ENGINES = frozenset({"queue", "prefill", "decode"})


class OtelTry:
    """See `tracing.Try`."""

    def __init__(self, span: Span, about: dict[str, str | int], instruments: _Instruments) -> None:
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(span, Context()))
        self.headers: Mapping[str, str] = carrier
        self._span = span
        self._about = about
        self._instruments = instruments
        self._asked = time.perf_counter()
        self._ended = False

    def began(self) -> None:
        self._span.set_attribute("gen_ai.response.time_to_first_chunk", time.perf_counter() - self._asked)

    def end(self, error: str | None, usage: Usage | None = None) -> None:
        if self._ended:
            return
        self._ended = True
        about = self._about if error is None else {**self._about, "error.type": error}
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(Status(StatusCode.ERROR))
        if usage is not None:
            self._span.set_attributes(genai.usage_attributes(usage))
        self._instruments.asked(time.perf_counter() - self._asked, usage, about)
        self._span.end()


class _Instruments:
    """The conventions' metrics of servers, and of clients for what providers are asked."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter("adaptive_engine", __version__)

        def histogram(name: str, unit: str, bounds: tuple[float, ...], description: str) -> Histogram:
            return meter.create_histogram(name, unit, description, explicit_bucket_boundaries_advisory=bounds)

        self._duration = histogram("gen_ai.server.request.duration", "s", _SECONDS, "Whole answers.")
        self._first = histogram("gen_ai.server.time_to_first_token", "s", _FIRST, "Until the first token.")
        self._token = histogram("gen_ai.server.time_per_output_token", "s", _TOKEN, "Between tokens.")
        self._operation = histogram("gen_ai.client.operation.duration", "s", _SECONDS, "Requests to providers.")
        self._tokens = histogram("gen_ai.client.token.usage", "{token}", _TOKENS, "Tokens that providers count.")

    def answered(self, answer: Answered) -> None:
        about = genai.metric_attributes(answer)
        self._duration.record(answer.ended - answer.arrived, about)
        first, tokens = answer.first_token(), answer.row.usage.completion_tokens
        if first is not None:
            self._first.record(first - answer.arrived, about)
            if tokens > 1:
                self._token.record((answer.generated - first) / (tokens - 1), about)

    def asked(self, seconds: float, usage: Usage | None, about: dict[str, str | int]) -> None:
        self._operation.record(seconds, about)
        if usage is not None:
            for kind, count in (("input", usage.prompt_tokens), ("output", usage.completion_tokens)):
                self._tokens.record(count, {**about, "gen_ai.token.type": kind})


def _is_exported(signal: str) -> bool:
    """Whether the variables want it, which many receivers of the one or the other do not take."""
    exporter = f"OTEL_{signal}_EXPORTER"
    for variable, known in {
        exporter: ("otlp", "none"),
        "OTEL_EXPORTER_OTLP_PROTOCOL": ("http/protobuf",),
        f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL": ("http/protobuf",),
    }.items():
        value = os.environ.get(variable)
        if value and value not in known:
            raise InvalidRequest(f"{variable} is '{value}'; this server knows {' and '.join(known)}.")
    return os.environ.get(exporter) != "none"


def _at(epoch: int, moment: float) -> int:
    return epoch + int(moment * 1e9)


def _clean(value: Any) -> Any:
    if isinstance(value, list):
        return [_clean(each) for each in value]
    return redact(value) if isinstance(value, str) else value
