"""Heat: exact rates of complete windows, honest when touches were lost; merging without double counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from nodecore.heat.counter import KEYS_EXACT_MAX, HeatCounter
from nodecore.heat.merge import merge_hot_keys
from nodecore.ids import Now
from nodecore.limits import HOT_KEYS_REPORTED, TOUCHES_MAX
from nodecore.placement.hashing import slot_of
from nodecore.statistics import HEAT_BANDS, KeyHeat
from nodecore.table import make_table


class Heat:
    """A counter and the table that tallies its bands."""

    def __init__(self) -> None:
        self.table = make_table("reference")
        self.counter = HeatCounter(self.table)

    def count(
        self,
        touched: list[bytes],
        lost: int = 0,
        written: Sequence[bytes] = (),
        writes_lost: int = 0,
    ) -> None:
        self.table.note(touched)
        self.counter.count(touched, lost, written, writes_lost)

    def at(self, mono_s: float) -> None:
        self.counter.tick(Now(mono_s, 0))

    def window(self, touched: list[bytes], lost: int = 0, start_s: float = 10.0) -> None:
        """One second of four ticks."""
        self.at(start_s)
        quarter = max(1, len(touched) // 4)
        for tick in range(4):
            end = None if tick == 3 else (tick + 1) * quarter
            self.count(touched[tick * quarter : end], lost if tick == 3 else 0)
            self.at(start_s + (tick + 1) * 0.25)


@given(st.lists(st.integers(0, 80), max_size=300))
def test_rates_are_exact_counts(numbers: list[int]) -> None:
    heat = Heat()
    counter = heat.counter
    touched = [b"key%d" % number for number in numbers]
    heat.window(touched)
    expected = Counter(touched)
    assert len(counter.hot_keys) == min(HOT_KEYS_REPORTED, len(expected))
    for found in counter.hot_keys:
        assert found.reads_per_s == expected[found.key]
        assert (found.error, found.slot) == (0.0, slot_of(found.key))
    ranked = [found.reads_per_s for found in counter.hot_keys]
    assert ranked == sorted(ranked, reverse=True)
    assert (len(counter.bands), sum(counter.bands)) == (HEAT_BANDS, len(touched))


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.booleans()), max_size=60),
    st.integers(0, 5),
)
def test_reads_and_inline_writes_are_told_apart(touches: list[tuple[bytes, bool]], at: int) -> None:
    heat = Heat()
    counter = heat.counter
    heat.at(1.0)
    for part in (touches[:at], touches[at:]):
        touched = [key for key, _ in part]
        written = [key for key, is_write in part if is_write]
        heat.count(touched, 0, written)
        heat.at(1.5)
    counter.note_writes([b"long"])
    heat.count([])
    heat.at(2.0)
    expected = Counter(touches)
    rates = {found.key: (found.reads_per_s, found.writes_per_s) for found in counter.hot_keys}
    assert rates.pop(b"long") == (0, 1)
    assert rates == {key: (expected[key, False], expected[key, True]) for key, _is_write in touches}
    assert sum(counter.bands) == len(touches) + 1


def test_lost_writes_scale_the_writes_and_not_the_reads() -> None:
    heat = Heat()
    counter = heat.counter
    heat.at(1.0)
    heat.count([b"r"] * 300 + [b"w"] * 100, 500, [b"w"] * 100, 200)
    heat.at(2.0)
    rates = {found.key: (found.reads_per_s, found.writes_per_s) for found in counter.hot_keys}
    assert rates == {b"r": (600, 0), b"w": (0, 300)}


def test_nothing_is_reported_before_a_window_is_complete() -> None:
    heat = Heat()
    counter = heat.counter
    for mono_s in (1.0, 1.5):
        heat.at(mono_s)
        heat.count([b"k"] * 100)
    assert not list(counter.hot_keys)
    heat.at(2.0)
    assert counter.hot_keys[0].reads_per_s == 200


def test_lost_touches_scale_the_rates_and_show_as_error() -> None:
    heat = Heat()
    counter = heat.counter
    heat.window([b"hot"] * 1000 + [b"other"] * 1000, lost=2000)
    rates = {found.key: found for found in counter.hot_keys}
    assert rates[b"hot"].reads_per_s == 2000
    assert 0 < rates[b"hot"].error < 300
    assert counter.operations_per_s == 4000


def test_writes_are_counted_apart_and_bounded() -> None:
    heat = Heat()
    counter = heat.counter
    counter.note_writes([b"w"] * (TOUCHES_MAX + 10))
    heat.window([b"w"] * 5)
    (found,) = counter.hot_keys
    assert found.reads_per_s == 5
    assert round(found.writes_per_s) == TOUCHES_MAX + 10


def test_a_wide_window_is_sampled_and_the_hottest_keys_are_still_right() -> None:
    heat = Heat()
    background = [b"k%d" % number for number in range(4 * KEYS_EXACT_MAX)]
    for second in range(3):
        heat.at(10.0 + second)
        for start in range(0, len(background), 1024):
            heat.count(background[start : start + 1024] + [b"hot"] * 64, 0, [b"hot"] * 16)
        heat.at(11.0 + second)
        hottest, total = heat.counter.hot_keys[0], len(background) * (1024 + 64) // 1024
        assert (hottest.key, sum(heat.counter.bands)) == (b"hot", total)
        assert round(heat.counter.operations_per_s) == total
        # Exact until the bound is reached, one of four after it, and so on.
        for rate, share in ((hottest.reads_per_s, 48), (hottest.writes_per_s, 16)):
            expected = len(background) * share / 1024
            assert abs(rate - expected) < max(hottest.error, 0.05 * expected)
        assert hottest.error > 0
    assert list(heat.counter.hot) == [b"hot"]
    for second in range(8):
        heat.window([b"a", b"b"], start_s=13.0 + second)
    heat.window([b"a"] * 3, start_s=21.0)
    assert [(found.reads_per_s, found.error) for found in heat.counter.hot_keys] == [(3.0, 0.0)]


def test_of_tied_keys_at_the_end_of_the_list_the_first_ones_stay() -> None:
    heat = Heat()
    heat.window([b"%04d" % number for number in range(3000)] + [b"2500", b"0007"])
    keys = [found.key for found in heat.counter.hot_keys]
    assert keys[:2] == [b"2500", b"0007"]
    assert keys[2:] == [b"%04d" % number for number in range(254, 206, -1)]


def test_a_hot_key_is_found_and_cools_with_hysteresis() -> None:
    heat = Heat()
    counter = heat.counter
    background = [b"k%d" % number for number in range(5000)]
    for second in range(3):
        heat.window(background + [b"hot"] * 400, start_s=10.0 + second)
    assert list(counter.hot) == [b"hot"]
    heat.window(background + [b"hot"] * 40, start_s=13.0)
    assert list(counter.hot) == [b"hot"], "one weak second does not cool it"
    for second in range(4):
        heat.window(background, start_s=14.0 + second)
    assert not list(counter.hot)


def rated(key: bytes, reads: float, writes: float = 0.0) -> KeyHeat:
    return KeyHeat(key, reads, writes, slot_of(key))


def test_merging_adds_what_nodes_saw() -> None:
    merged = merge_hot_keys([[rated(b"a", 5.0, 1.0), rated(b"b", 4.0)], [rated(b"b", 3.0)], []])
    assert [(found.key, found.reads_per_s, found.writes_per_s) for found in merged] == [
        (b"b", 7.0, 0.0),
        (b"a", 5.0, 1.0),
    ]
    assert [found.error for found in merged] == [0.0, 0.0]


def test_a_full_list_that_leaves_a_key_out_adds_its_floor_as_error() -> None:
    full = [rated(b"f%d" % number, 100.0 - number) for number in range(HOT_KEYS_REPORTED)]
    merged = {found.key: found for found in merge_hot_keys([full, [rated(b"x", 500.0)]])}
    assert merged[b"x"].error == 100.0 - (HOT_KEYS_REPORTED - 1)
    assert merged[b"f0"].error == 0.0
