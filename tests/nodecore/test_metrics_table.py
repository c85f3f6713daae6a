"""The metric table: names, bounded labels, and the text that Prometheus reads."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from nodecore.metrics_table import LABELLED_MAX, METRICS
from nodecore.runtime.metrics import render
from nodecore.statistics import (
    LATENCY_BOUNDS_US,
    BreakerState,
    KeyHeat,
    LatencyHistogram,
    NodeStatistics,
    PeerView,
)


def sample() -> NodeStatistics:
    counts = tuple(range(len(LATENCY_BOUNDS_US) + 1))
    return NodeStatistics(
        "n1", 1, 3.5, version="0.1.0", table="compiled", epoch=9, reads=10, hits=7,
        requests={"get": 5, "set": 2}, evictions={"size": 3}, loop_lag_ms=2.0,
        read_latency=LatencyHistogram(counts, 1_500_000),
        peers=(PeerView("n2", "alive", 1, True),),
        breakers=(BreakerState("n2", "open", 4, 0.5, 0.0, 20, latency_ms=3.0),),
        hot_keys=(KeyHeat(b"secret-key", 100.0, 5.0, 1),), counters={"scrub.errors": 1},
    )  # fmt: skip


def test_names_are_unique_and_well_formed() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"ringdeck_[a-z][a-z0-9_]*", metric.name)
        assert not metric.name.endswith("_total")
        assert metric.help.endswith(".")
        assert "key" not in metric.labels


def test_the_text_parses_and_has_every_metric() -> None:
    text = render(sample()).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    missing = {"ringdeck_write_latency_seconds"}
    assert set(families) == {metric.name for metric in METRICS} - missing
    values = {
        (entry.name, tuple(sorted(entry.labels.items()))): entry.value
        for family in families.values()
        for entry in family.samples
    }
    assert values["ringdeck_reads_total", (("node", "n1"),)] == 10
    assert values["ringdeck_requests_total", (("command", "get"), ("node", "n1"))] == 5
    assert values["ringdeck_read_latency_seconds_count", (("node", "n1"),)] == sum(range(16))
    assert values["ringdeck_read_latency_seconds_sum", (("node", "n1"),)] == 1.5
    assert values["ringdeck_hot_key_requests_per_second", (("node", "n1"),)] == 105
    assert "secret-key" not in text


def test_labelled_metrics_are_bounded() -> None:
    many = NodeStatistics("n1", 1, 1.0, requests={f"c{n:04}": 1 for n in range(1000)})
    text = render(many).decode()
    assert text.count("ringdeck_requests_total{") == LABELLED_MAX
