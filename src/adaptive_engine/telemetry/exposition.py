"""What /metrics answers: readings in the formats of Prometheus. All that knows its library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from adaptive_engine.telemetry.catalog import FAMILIES, PREFIX, Family
from adaptive_engine.telemetry.meter import Part, Reading
from adaptive_engine.types import Histogram

WORKER = "worker"
"""The label of what several workers say, each of itself."""


class Exposition(Collector):
    """What a server says at one moment."""

    def __init__(self, own: Part, workers: Mapping[int, Part] | None = None) -> None:
        """`workers` are the parts of a server that has several, this process's among them, by their numbers."""
        self._own = own
        self._workers = workers
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self, accept: str) -> tuple[bytes, str]:
        """The body and its content type, by the request's `Accept`. Blocks for some milliseconds."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterator[Metric]:
        """Every family, also those without a series yet: who asks for one shall find out that it exists.

        Counters of workers are not added up: where one is started again, what it has counted would go with it from a
        sum that is said to grow only.
        """
        own = _by_family(self._own.readings)
        of_workers = _by_family(
            (name, (*labels, str(number)), value)
            for number, part in (self._workers or {}).items()
            for name, labels, value in part.readings
        )
        for family in FAMILIES:
            if self._workers is None or family.shared:
                yield _exposed(family, family.labels, own[family.name])
            else:
                yield _exposed(family, (*family.labels, WORKER), of_workers[family.name])
        yield from self._processes()

    def _processes(self) -> Iterator[Metric]:
        """Memory, processor time and files, under the names that Prometheus's own library gives them."""
        if self._workers is None:
            yield from _process(self._own.pid, {})
            return
        found: dict[str, Metric] = {}
        for number, part in self._workers.items():
            for metric in _process(part.pid, {WORKER: str(number)}):
                if metric.name in found:
                    found[metric.name].samples += metric.samples
                else:
                    found[metric.name] = metric
        yield from found.values()


def _by_family(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = {family.name: [] for family in FAMILIES}
    for reading in readings:
        found[reading[0]].append(reading)
    return found


def _process(pid: int, labels: dict[str, str]) -> Iterator[Metric]:
    for metric in ProcessCollector(pid=lambda: pid, registry=None).collect():
        metric.samples = [sample._replace(labels=labels) for sample in metric.samples]
        yield metric


def _exposed(family: Family, labels: tuple[str, ...], readings: Iterable[Reading]) -> Metric:
    name = f"{PREFIX}{family.name}"
    if family.kind == "histogram":
        histograms = HistogramMetricFamily(name, family.help, labels=labels)
        for _, values, histogram in readings:
            assert isinstance(histogram, Histogram)
            bounds = [str(float(bound)) for bound in histogram.bounds] + ["+Inf"]
            buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
            histograms.add_metric(values, buckets, histogram.total)
        return histograms
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    made: CounterMetricFamily | GaugeMetricFamily = kind(name, family.help, labels=labels)
    for _, values, value in readings:
        assert not isinstance(value, Histogram)
        made.add_metric(values, value)
    return made
