"""A statistics snapshot as Prometheus text, through a custom collector.

What there is to say is :mod:`nodecore.metrics_table`'s; this module only formats.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from nodecore.metrics_table import METRICS, Metric, seconds_bounds
from nodecore.statistics import LatencyHistogram, NodeStatistics


@final
class StatisticsCollector(Collector):
    """Collects one snapshot."""

    def __init__(self, statistics: NodeStatistics) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Family]:
        """All families of the table that have a value."""
        for metric in METRICS:
            family = _family(metric, self._statistics)
            if family is not None:
                yield family


def _family(metric: Metric, statistics: NodeStatistics) -> Family | None:
    node = statistics.node_id
    labels = ["node", *metric.labels]
    if metric.histogram is not None:
        histogram = metric.histogram(statistics)
        if histogram is None:
            return None
        return _histogram(metric, labels, node, histogram)
    assert metric.samples is not None
    family: CounterMetricFamily | GaugeMetricFamily
    if metric.kind == "counter":
        family = CounterMetricFamily(metric.name, metric.help, labels=labels)
    else:
        family = GaugeMetricFamily(metric.name, metric.help, labels=labels)
    for values, number in metric.samples(statistics):
        family.add_metric([node, *values], float(number))
    return family


def _histogram(
    metric: Metric, labels: list[str], node: str, histogram: LatencyHistogram
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(metric.name, metric.help, labels=labels)
    buckets: list[tuple[str, float]] = []
    total = 0
    bounds = [*(f"{bound:g}" for bound in seconds_bounds()), "+Inf"]
    for bound, count in zip(bounds, histogram.counts, strict=False):
        total += count
        buckets.append((bound, total))
    if len(buckets) < len(bounds):
        buckets.append(("+Inf", total))
    family.add_metric([node], buckets, histogram.sum_us / 1_000_000)
    return family


def render(statistics: NodeStatistics) -> bytes:
    """The text that ``/metrics`` answers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatisticsCollector(statistics))
    return generate_latest(registry)
