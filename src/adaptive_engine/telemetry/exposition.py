"""What /metrics answers: readings in the formats of Prometheus. All that knows its library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as Seq
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from adaptive_engine.telemetry.catalog import FAMILIES, PREFIX, Family
from adaptive_engine.telemetry.meter import Reading
from adaptive_engine.types import Histogram


class Exposition(Collector):
    """Reads its sources when it is asked, so that what is not looked at costs nothing."""

    def __init__(self, sources: Seq[Callable[[], Iterable[Reading]]]) -> None:
        self._sources = sources
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type, by the request's `Accept`. Blocks for some milliseconds."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Every family, also those without a series yet: who asks for one shall find out that it exists."""
        readings: dict[str, list[Reading]] = {family.name: [] for family in FAMILIES}
        for source in self._sources:
            for reading in source():
                readings[reading[0]].append(reading)
        for family in FAMILIES:
            yield _exposed(family, readings[family.name])


def _exposed(family: Family, readings: Iterable[Reading]) -> Metric:
    name = f"{PREFIX}{family.name}"
    if family.kind == "histogram":
        histograms = HistogramMetricFamily(name, family.help, labels=family.labels)
        for _, labels, value in readings:
            assert isinstance(value, Histogram)
            bounds = [str(float(bound)) for bound in value.bounds] + ["+Inf"]
            buckets = list(zip(bounds, accumulate(value.counts), strict=True))
            histograms.add_metric(labels, buckets, value.total)
        return histograms
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made: CounterMetricFamily | GaugeMetricFamily = kind(name, family.help, labels=family.labels)
    for _, labels, value in readings:
        assert not isinstance(value, Histogram)
        made.add_metric(labels, value)
    return made
