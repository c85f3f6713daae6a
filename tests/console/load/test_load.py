"""The load generator's pure part: drawing keys, proving values, counting outcomes."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.errors import UsageError
from console.load.keys import KeyChooser, key_name
from console.load.settings import LoadSettings, changed
from console.load.tally import LoadReport, Tally, percentile
from console.load.values import Ledger, Verdict, make_value, parse_value


def test_popularity_follows_the_exponent() -> None:
    chooser = KeyChooser(1000, 1.0, random.Random(1))
    counts = Counter(chooser.draw() for _ in range(50_000))
    first, second = chooser.hottest(2)
    assert 1.7 < counts[first] / counts[second] < 2.3
    alike = KeyChooser(10, 0.0, random.Random(1))
    counts = Counter(alike.draw() for _ in range(20_000))
    assert max(counts.values()) < 1.2 * min(counts.values())


def test_hot_keys_do_not_depend_on_exponent_or_seed() -> None:
    first = KeyChooser(100, 0.5, random.Random(1)).hottest(5)
    assert first == KeyChooser(100, 2.0, random.Random(9)).hottest(5)


@given(st.binary(max_size=30), st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 300))
def test_values_prove_themselves(key: bytes, run: int, number: int, size: int) -> None:
    value = make_value(key, run, number, size)
    assert len(value) >= size
    if b"|" not in key:
        assert parse_value(value) == (key, run, number)


@given(st.binary(max_size=80), st.integers(0, 79), st.integers(1, 255))
def test_a_changed_byte_is_noticed(garbage: bytes, place: int, change: int) -> None:
    assert parse_value(garbage) is None or garbage
    value = bytearray(make_value(b"k", 1, 2, 80))
    value[place] ^= change
    assert parse_value(bytes(value)) is None


def test_verdicts() -> None:
    ledger = Ledger(run=7)
    name = key_name(3)
    assert ledger.judge(3, name, None, ledger.floor(3)) is Verdict.MISS
    for _ in range(3):
        ledger.acknowledge(3, ledger.issue(3))
    floor = ledger.floor(3)
    assert floor == 3
    assert ledger.judge(3, name, None, floor) is Verdict.LOST
    assert ledger.judge(3, name, make_value(name, 7, 3, 90), floor) is Verdict.HIT
    assert ledger.judge(3, name, make_value(name, 7, 1, 90), floor) is Verdict.STALE
    assert ledger.judge(3, name, make_value(name, 7, 4, 90), floor) is Verdict.WRONG
    assert ledger.judge(3, name, make_value(b"other", 7, 3, 90), floor) is Verdict.WRONG
    assert ledger.judge(3, name, b"garbage", floor) is Verdict.WRONG
    assert ledger.judge(4, key_name(4), make_value(key_name(4), 6, 9, 90), 0) is Verdict.HIT


def test_tally_keeps_totals_and_begins_windows_anew() -> None:
    tally = Tally(10.0)
    for latency in range(1, 100):
        tally.ok(float(latency))
    tally.failed(1234, 500.0, "no")
    tally.unknown(1235, 600.0, "maybe")
    report = tally.report(LoadSettings(), 12.0, 9, ready=True)
    assert (report.ok, report.failed, report.unknown) == (99, 1, 1)
    assert report.rate == 50.5
    assert report.errors_per_s == 1.0
    assert report.p50_ms == 51.0
    assert report.p99_ms == 500.0
    assert report.failures == ((1234, "no"), (1235, "unknown: maybe"))
    empty = tally.report(LoadSettings(), 13.0, 10, ready=True)
    assert (empty.ok, empty.rate, empty.p50_ms, empty.failures) == (99, 0.0, None, ())
    assert LoadReport.from_plain(report.to_plain()) == report
    assert report.state().last_error == "unknown: maybe"


def test_percentiles_are_nearest_rank() -> None:
    assert percentile([], 0.5) is None
    assert percentile([1.0], 0.99) == 1.0
    assert percentile([1.0, 2.0], 0.5) == 1.0
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0


def test_settings_name_every_mistake() -> None:
    settings = changed(LoadSettings(), {"rate": 5, "reads": 0.5})
    assert (settings.rate, settings.reads) == (5, 0.5)
    with pytest.raises(UsageError) as caught:
        changed(LoadSettings(), {"rate": -1, "zipf": float("nan"), "keys": 1.5, "bogus": 1})
    for part in ("rate: -1", "zipf: nan", "keys: expected a whole", "bogus: unknown"):
        assert part in caught.value.text
