"""Heat: exact rates of complete windows, honest when touches were lost; merging without double counts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from nodecore.heat.counter import HeatCounter
from nodecore.heat.merge import merge_hot_keys
from nodecore.ids import Now
from nodecore.limits import HOT_KEYS_REPORTED, TOUCHES_MAX
from nodecore.placement.hashing import slot_of
from nodecore.statistics import HEAT_BANDS, KeyHeat


def window(
    counter: HeatCounter, touched: list[bytes], lost: int = 0, start_s: float = 10.0
) -> None:
    """One second of four ticks."""
    counter.tick([], 0, Now(start_s, 0))
    quarter = max(1, len(touched) // 4)
    for tick in range(4):
        end = None if tick == 3 else (tick + 1) * quarter
        part = touched[tick * quarter : end]
        counter.tick(part, lost if tick == 3 else 0, Now(start_s + (tick + 1) * 0.25, 0))


@given(st.lists(st.integers(0, 80), max_size=300))
def test_rates_are_exact_counts(numbers: list[int]) -> None:
    counter = HeatCounter(slot_of)
    touched = [b"key%d" % number for number in numbers]
    window(counter, touched)
    expected = Counter(touched)
    assert len(counter.hot_keys) == min(HOT_KEYS_REPORTED, len(expected))
    for heat in counter.hot_keys:
        assert heat.reads_per_s == expected[heat.key]
        assert (heat.error, heat.slot) == (0.0, slot_of(heat.key))
    ranked = [heat.reads_per_s for heat in counter.hot_keys]
    assert ranked == sorted(ranked, reverse=True)
    assert (len(counter.bands), sum(counter.bands)) == (HEAT_BANDS, len(touched))


@given(
    st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.booleans()), max_size=60),
    st.integers(0, 5),
)
def test_reads_and_inline_writes_are_told_apart(touches: list[tuple[bytes, bool]], at: int) -> None:
    counter = HeatCounter(slot_of)
    counter.tick([], 0, Now(1.0, 0))
    for part in (touches[:at], touches[at:]):
        touched = [key for key, _ in part]
        written = [key for key, is_write in part if is_write]
        counter.tick(touched, 0, Now(1.5, 0), written)
    counter.note_writes([b"long"])
    counter.tick([], 0, Now(2.0, 0))
    expected = Counter(touches)
    rates = {heat.key: (heat.reads_per_s, heat.writes_per_s) for heat in counter.hot_keys}
    assert rates.pop(b"long") == (0, 1)
    assert rates == {key: (expected[key, False], expected[key, True]) for key, _is_write in touches}
    assert sum(counter.bands) == len(touches) + 1


def test_lost_writes_scale_the_writes_and_not_the_reads() -> None:
    counter = HeatCounter(slot_of)
    counter.tick([], 0, Now(1.0, 0))
    counter.tick([b"r"] * 300 + [b"w"] * 100, 500, Now(2.0, 0), [b"w"] * 100, 200)
    rates = {heat.key: (heat.reads_per_s, heat.writes_per_s) for heat in counter.hot_keys}
    assert rates == {b"r": (600, 0), b"w": (0, 300)}


def test_nothing_is_reported_before_a_window_is_complete() -> None:
    counter = HeatCounter(slot_of)
    counter.tick([b"k"] * 100, 0, Now(1.0, 0))
    counter.tick([b"k"] * 100, 0, Now(1.5, 0))
    assert not list(counter.hot_keys)
    counter.tick([], 0, Now(2.0, 0))
    assert counter.hot_keys[0].reads_per_s == 200


def test_lost_touches_scale_the_rates_and_show_as_error() -> None:
    counter = HeatCounter(slot_of)
    window(counter, [b"hot"] * 1000 + [b"other"] * 1000, lost=2000)
    rates = {heat.key: heat for heat in counter.hot_keys}
    assert rates[b"hot"].reads_per_s == 2000
    assert 0 < rates[b"hot"].error < 300
    assert counter.operations_per_s == 4000


def test_writes_are_counted_apart_and_bounded() -> None:
    counter = HeatCounter(slot_of)
    counter.note_writes([b"w"] * (TOUCHES_MAX + 10))
    window(counter, [b"w"] * 5)
    (heat,) = counter.hot_keys
    assert heat.reads_per_s == 5
    assert round(heat.writes_per_s) == TOUCHES_MAX + 10


def test_a_hot_key_is_found_and_cools_with_hysteresis() -> None:
    counter = HeatCounter(slot_of)
    background = [b"k%d" % number for number in range(5000)]
    for second in range(3):
        window(counter, background + [b"hot"] * 400, start_s=10.0 + second)
    assert list(counter.hot) == [b"hot"]
    window(counter, background + [b"hot"] * 40, start_s=13.0)
    assert list(counter.hot) == [b"hot"], "one weak second does not cool it"
    for second in range(4):
        window(counter, background, start_s=14.0 + second)
    assert not list(counter.hot)


def heat(key: bytes, reads: float, writes: float = 0.0) -> KeyHeat:
    return KeyHeat(key, reads, writes, slot_of(key))


def test_merging_adds_what_nodes_saw() -> None:
    merged = merge_hot_keys([[heat(b"a", 5.0, 1.0), heat(b"b", 4.0)], [heat(b"b", 3.0)], []])
    assert [(found.key, found.reads_per_s, found.writes_per_s) for found in merged] == [
        (b"b", 7.0, 0.0),
        (b"a", 5.0, 1.0),
    ]
    assert [found.error for found in merged] == [0.0, 0.0]


def test_a_full_list_that_leaves_a_key_out_adds_its_floor_as_error() -> None:
    full = [heat(b"f%d" % number, 100.0 - number) for number in range(HOT_KEYS_REPORTED)]
    merged = {found.key: found for found in merge_hot_keys([full, [heat(b"x", 500.0)]])}
    assert merged[b"x"].error == 100.0 - (HOT_KEYS_REPORTED - 1)
    assert merged[b"f0"].error == 0.0
