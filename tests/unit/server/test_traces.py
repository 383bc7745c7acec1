"""Requests as OpenTelemetry sees them: in memory, and at a receiver of its protocol."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from adaptive_engine.errors import InvalidRequest
from adaptive_engine.server.app import create_app
from adaptive_engine.server.lifespan import Services
from adaptive_engine.telemetry import redaction, tracing
from adaptive_engine.telemetry.otel import OtelTracing
from collector import running_collector
from faultserver import FaultServer

ASKED = {"model": "default", "messages": [{"role": "user", "content": "CANARY?"}], "max_tokens": 4, "ignore_eos": True}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Traced:
    """A client of a server whose spans and metrics are kept in memory."""

    def __init__(self, services: Services, *, content: bool = False) -> None:
        self._spans = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._metrics = InMemoryMetricReader()
        self.tracing = OtelTracing(provider, MeterProvider([self._metrics]), content=content)
        app = create_app(dataclasses.replace(services, tracing=self.tracing))
        self.client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app),
            base_url="http://server/api/v1",
            headers={"x-api-key": services.keys.create("application", "admin")[1]},
        )

    def finished(self) -> tuple[ReadableSpan, ...]:
        """Spans that have ended."""
        return self._spans.get_finished_spans()

    def spans(self) -> dict[str, ReadableSpan]:
        """The same, by their name."""
        return {span.name: span for span in self.finished()}

    def metrics(self) -> dict[str, list[Any]]:
        """The data points of each metric."""
        data = self._metrics.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}


@asynccontextmanager
async def traced(services: Services, **options: Any) -> AsyncIterator[Traced]:
    services.engines.wait()
    made = Traced(services, **options)
    async with made.client:
        yield made
    made.tracing.close()


def duration(span: ReadableSpan) -> int:
    assert span.start_time is not None
    assert span.end_time is not None
    return span.end_time - span.start_time


async def test_an_answer_of_an_engine(services: Services) -> None:
    async with traced(services) as server:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        answer = (await server.client.post("chat/completions", json=ASKED, headers=headers)).json()
        spans, metrics = server.spans(), server.metrics()
    assert spans.keys() == {"chat tiny", "route", "prepare", "queue", "prefill", "decode", "store"}
    root = spans.pop("chat tiny")
    assert (root.kind, root.status.is_ok) == (SpanKind.SERVER, True)
    assert f"{root.context.trace_id:032x}" == TRACE
    assert root.parent is not None
    assert f"{root.parent.span_id:016x}" == PARENT
    about = dict(root.attributes or {})
    assert about["gen_ai.operation.name"] == "chat"
    assert about["gen_ai.response.id"] == answer["id"]
    assert about["gen_ai.conversation.id"] == answer["session_id"]
    assert about["gen_ai.request.max_tokens"] == about["gen_ai.usage.output_tokens"] == 4
    assert about["gen_ai.usage.input_tokens"] == answer["usage"]["prompt_tokens"]
    assert about["gen_ai.response.finish_reasons"] == ("length",)
    assert (about["http.route"], about["http.response.status_code"]) == ("/api/v1/chat/completions", 200)
    for span in spans.values():
        assert span.parent is not None
        assert span.parent.span_id == root.context.span_id
        assert span.start_time is not None
        assert root.start_time is not None
        assert span.start_time >= root.start_time
        assert 0 <= duration(span) <= duration(root)
    assert "CANARY" not in str([span.to_json() for span in (root, *spans.values())])
    for name in ("request.duration", "time_to_first_token", "time_per_output_token"):
        (point,) = metrics[f"gen_ai.server.{name}"]
        assert (point.count, point.attributes["gen_ai.response.model"]) == (1, "tiny")


async def test_prompts_and_answers_are_told_only_when_asked_for(services: Services) -> None:
    async with traced(services, content=True) as server:
        answer = (await server.client.post("chat/completions", json={**ASKED, "n": 2}, headers={})).json()
        about = dict(server.spans()["chat tiny"].attributes or {})
        phases = [span.name for span in server.finished()]
    (given,) = json.loads(str(about["gen_ai.input.messages"]))
    assert given == {"role": "user", "parts": [{"type": "text", "content": "CANARY?"}]}
    said = [message["parts"][0]["content"] for message in json.loads(str(about["gen_ai.output.messages"]))]
    assert sorted(said) == sorted(choice["message"]["content"] for choice in answer["choices"])
    assert about["gen_ai.request.choice.count"] == 2
    assert (phases.count("route"), phases.count("decode"), phases.count("store")) == (1, 2, 2)


async def test_no_secret_is_in_an_attribute(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_hidden", {})
    redaction.hide("CANARY-of-a-provider")
    async with traced(services, content=True) as server:
        said = [{"role": "user", "content": "Why is CANARY-of-a-provider refused?"}]
        asked = {**ASKED, "messages": said, "stop": ["END", "CANARY-of-a-provider"]}
        await server.client.post("chat/completions", json=asked)
        about = dict(server.spans()["chat tiny"].attributes or {})
    assert about["gen_ai.request.stop_sequences"] == ("END", "[redacted]")
    assert "Why is [redacted] refused?" in str(about["gen_ai.input.messages"])
    assert "CANARY" not in str(about)


async def test_other_requests_and_failures(services: Services) -> None:
    async with traced(services) as server:
        await server.client.get("interactions/nothing")
        await server.client.get("no/such/path")
        await server.client.get("http://server/readyz")
        await server.client.post("chat/completions", json={**ASKED, "max_ttft_ms": 0})
        spans = server.spans()
    assert spans.keys() >= {"GET /api/v1/interactions/{completion_id}", "GET other", "chat tiny"}
    assert not any("readyz" in name for name in spans)
    failed = spans["chat tiny"]
    assert not failed.status.is_ok
    assert dict(failed.attributes or {})["error.type"] == "ttft_timeout"


@pytest.fixture
async def upstream() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


async def register(client: httpx2.AsyncClient, upstream: FaultServer, name: str) -> str:
    body = {"name": name, "key": name, "provider": "openai_compatible", "external_model_id": name}
    made = await client.post("admin/models/external", json={**body, "endpoint": upstream.url})
    assert made.status_code == 201, made.text
    await client.post("projects/default/models", json={"model": name, "wait": True})
    return f"default/{name}"


async def test_a_provider_is_told_of_the_trace(services: Services, upstream: FaultServer) -> None:
    async with traced(services) as server:
        model = await register(server.client, upstream, "good")
        body = {"model": model, "messages": ASKED["messages"], "stream": True}
        await server.client.post("chat/completions", json=body, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        spans = [span for span in server.finished() if span.name == "chat good"]
        metrics = server.metrics()
    ask, root = sorted(spans, key=lambda span: span.kind != SpanKind.CLIENT)
    assert ask.parent is not None
    assert ask.parent.span_id == root.context.span_id
    assert upstream.requests[-1].headers["traceparent"] == f"00-{TRACE}-{ask.context.span_id:016x}-01"
    about = dict(ask.attributes or {})
    assert (about["gen_ai.usage.input_tokens"], about["gen_ai.usage.output_tokens"]) == (11, 5)
    assert about["gen_ai.provider.name"] == "openai_compatible"
    place = {"server.address": "127.0.0.1", "server.port": httpx2.URL(upstream.url).port}
    assert place.items() <= about.items()
    (operation,) = metrics["gen_ai.client.operation.duration"]
    assert place.items() <= operation.attributes.items()
    kinds = {point.attributes["gen_ai.token.type"]: point.sum for point in metrics["gen_ai.client.token.usage"]}
    assert kinds == {"input": 11, "output": 5}


async def test_each_try_is_a_span(services: Services, upstream: FaultServer) -> None:
    async with traced(services) as server:
        model = await register(server.client, upstream, "status-503")
        answer = await server.client.post("chat/completions", json={"model": model, "messages": ASKED["messages"]})
        spans = server.finished()
    assert answer.status_code == 503
    tries = [span for span in spans if span.kind == SpanKind.CLIENT]
    asked = [request for request in upstream.requests if request.model == "status-503"]
    assert len(tries) == len(asked) == 3
    assert {dict(span.attributes or {})["error.type"] for span in tries} == {"upstream_overloaded"}
    assert len({request.headers["traceparent"] for request in asked}) == 3


async def test_without_tracing_providers_hear_nothing_of_it(services: Services, upstream: FaultServer) -> None:
    app = create_app(services)
    headers = {"x-api-key": services.keys.create("application", "admin")[1], "traceparent": f"00-{TRACE}-{PARENT}-01"}
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://server/api/v1", headers=headers) as client:
        model = await register(client, upstream, "untraced")
        await client.post("chat/completions", json={"model": model, "messages": ASKED["messages"]})
    assert "traceparent" not in upstream.requests[-1].headers


async def test_a_collector_gets_it(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20key-of-the-collector")
        await _ask_traced(services, tracing.start(on=True, content=False))
    assert redaction.redact("the key-of-the-collector") == "the [redacted]"
    exported = ExportTraceServiceRequest.FromString(collector.got["/v1/traces"][0]).resource_spans[0]
    spans = {span.name for scope in exported.scope_spans for span in scope.spans}
    assert {"chat tiny", "route", "queue", "prefill", "decode", "store"} <= spans
    named = {attribute.key: attribute.value.string_value for attribute in exported.resource.attributes}
    assert named["service.name"] == "adaptive-engine"
    measured = ExportMetricsServiceRequest.FromString(collector.got["/v1/metrics"][0]).resource_metrics[0]
    names = {metric.name for scope in measured.scope_metrics for metric in scope.metrics}
    assert {"gen_ai.server.request.duration", "gen_ai.server.time_to_first_token"} <= names


async def test_a_collector_of_traces_alone_gets_no_metrics(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_METRICS_EXPORTER", "none")
        await _ask_traced(services, tracing.start(on=True, content=False))
    assert collector.got.keys() == {"/v1/traces"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "console"),
    ],
)
def test_what_cannot_be_sent_is_told(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidRequest, match=f"{variable} is '{value}'"):
        tracing.start(on=True, content=False)


async def _ask_traced(services: Services, traces: tracing.Tracing | None) -> None:
    assert traces is not None
    app = create_app(dataclasses.replace(services, tracing=traces))
    headers = {"x-api-key": services.keys.create("application", "inference")[1]}
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://server/api/v1", headers=headers) as client:
        services.engines.wait()
        assert (await client.post("chat/completions", json=ASKED)).status_code == 200
    traces.close()


def test_it_costs_no_import_when_it_is_off() -> None:
    code = (
        "import sys\nfrom adaptive_engine.server import app, assembly\n"
        "from adaptive_engine.telemetry import tracing\nassert tracing.start(on=False, content=False) is None\n"
        "late = ('opentelemetry.sdk', 'opentelemetry.exporter', 'prometheus_client')\n"
        "assert not [name for name in sys.modules if name.startswith(late)]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_missing_libraries_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.delitem(sys.modules, "adaptive_engine.telemetry.otel")
    with pytest.raises(InvalidRequest, match=r"pip install 'adaptive-engine\[server,otel\]'"):
        tracing.start(on=True, content=False)


async def test_headers_that_name_no_trace_begin_a_new_one(services: Services) -> None:
    odd = ["", "00", "\xff" * 60, "00-" + "f" * 500, f"00-{'0' * 32}-{PARENT}-01", f"ff-{TRACE}-{PARENT}-01"]
    async with traced(services) as server:
        for parent in [*odd, f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{PARENT}-zz", f"00-{TRACE}-{PARENT}"]:
            texts = {"traceparent": parent, "tracestate": "\xff=,,=" * 50, "baggage": "=;,%" * 50}
            headers = [(name.encode(), text.encode("latin-1")) for name, text in texts.items()]
            assert (await server.client.get("me", headers=headers)).status_code == 200
        seen = {f"{span.context.trace_id:032x}" for span in server._spans.get_finished_spans()}
    assert TRACE not in seen
    assert "0" * 32 not in seen
