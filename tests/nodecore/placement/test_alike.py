from __future__ import annotations

from random import Random

import pytest

from nodecore.ids import SLOTS_COUNT
from nodecore.placement.alike import Groups, count, exchange, group, mark, merge


def table(kinds: int, run: int, seed: int) -> list[object]:
    """Entries that stay the same for ``run`` slots."""
    rng = Random(seed)
    entries = [(f"n{number}",) for number in range(kinds)]
    drawn = [rng.choice(entries) for _ in range(SLOTS_COUNT // run + 1)]
    return [drawn[slot // run] for slot in range(SLOTS_COUNT)]


def covers(groups: Groups, *tables: list[object]) -> None:
    slots = [slot for found in groups for slot in found]
    assert sorted(slots) == list(range(SLOTS_COUNT)), "each slot once"
    for found in groups:
        assert list(found) == sorted(found)
        assert len({tuple(table[slot] for table in tables) for slot in found}) == 1


@pytest.mark.parametrize(("one", "other"), [(100, 70), (1, 100), (100, 1), (1, 2)])
def test_groups_hold_slots_that_are_alike_and_leave_none_out(one: int, other: int) -> None:
    tables = table(4, one, 1), table(5, other, 2)
    covers(group(tables[0]), tables[0])
    covers(group(tables[0], None), tables[0])
    covers(group(*tables), *tables)
    covers(merge(group(tables[0]), group(tables[1])), *tables)


def test_alternating_slots_make_few_groups() -> None:
    assert len(group(table(4, 1, 3))) == 4
    assert len(merge(group(table(4, 1, 3)), group(table(3, 1, 4)))) == 12


@pytest.mark.parametrize("slots", [range(5, 9), [1, 3, 8]])
def test_flags_of_a_group(slots: range | list[int]) -> None:
    flags = bytearray(10)
    mark(flags, slots, 2)
    assert [slot for slot in range(10) if flags[slot] == 2] == list(slots)
    flags[slots[0]] = 1
    assert count(flags, slots, 2) == len(slots) - 1
    exchange(flags, slots, 2, 7)
    assert [flags[slot] for slot in slots] == [1] + [7] * (len(slots) - 1)
    assert sum(flags) == 1 + 7 * (len(slots) - 1)
