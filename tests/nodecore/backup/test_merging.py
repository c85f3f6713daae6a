"""Merging pages of owners: the newest of each key, nothing twice, nothing lost where pages end apart."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.backup.merging import (
    MalformedPage,
    Order,
    Page,
    before,
    by_hash,
    by_name,
    merge,
    page_of,
)
from nodecore.storage.records import Record
from nodecore.table.interface import Kind

SLOTS = [3, 7, 8]
WALL_MS = 1_000_000
ENTRY = st.tuples(
    st.integers(0, len(SLOTS) - 1),
    st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"]),
    st.sampled_from([Kind.STRING, Kind.TOMBSTONE]),
    st.integers(1, 4),
    st.sampled_from([0, WALL_MS - 1, WALL_MS + 1]),
)
OWNER = st.lists(ENTRY, max_size=14, unique_by=lambda entry: entry[:2])

Held = list[tuple[int, bytes, Kind, int, int]]


def page(held: Held, slots: list[int], after: bytes | None, limit: int, order: Order) -> Page:
    """What an owner of ``held`` would answer, ``limit`` entries at most."""
    entries: list[object] = []
    counts: list[int] = []
    done, last = 0, None
    for position, slot in enumerate(slots):
        mine = sorted(
            (entry for entry in held if SLOTS[entry[0]] == slot),
            key=lambda entry: (order(entry[1]), entry[1]),
        )
        if position == 0 and after is not None:
            mine = [e for e in mine if (order(e[1]), e[1]) > (order(after), after)]
        taken = mine[: limit - len(entries)]
        counts.append(len(taken))
        entries += [[key, kind, b"v%d" % hlc, hlc, 1, until] for _i, key, kind, hlc, until in taken]
        if len(taken) < len(mine) or len(entries) >= limit:
            last = taken[-1][1] if taken else after if position == 0 else None
            done = position
            if len(taken) == len(mine):
                done, last = position + 1, None
            break
        done = position + 1
    plain = {
        "entries": entries, "counts": counts, "done": done, "after": last, "incomplete": [],
        "wall_ms": WALL_MS,
    }  # fmt: skip
    return page_of(plain, slots, order)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(OWNER, st.integers(1, 5)), min_size=1, max_size=3), st.booleans())
def test_a_walk_finds_the_newest_of_each_live_key_once(
    owners: list[tuple[Held, int]], named: bool
) -> None:
    order = by_name if named else by_hash
    found: list[tuple[int, Record]] = []
    slots, after = list(SLOTS), None
    for _step in range(200):
        pages = [page(held, slots, after, limit, order) for held, limit in owners]
        entries, end = merge(pages)
        found += [(slots[position[0]], record) for position, record in entries]
        after = end[2] if end[1] >= 0 else None
        slots = slots[end[0] :]
        if not slots:
            break
    else:
        raise AssertionError("the walk does not end")
    newest: dict[tuple[int, bytes], tuple[int, bool, int]] = {}
    for held, _limit in owners:
        for index, key, kind, hlc, until in held:
            # Of one version a tombstone wins, else whoever was asked first.
            place = SLOTS[index], key
            dead = kind == Kind.TOMBSTONE
            if place not in newest or (hlc, dead) > newest[place][:2]:
                newest[place] = hlc, dead, until
    expected = {
        place: hlc
        for place, (hlc, dead, until) in newest.items()
        if not dead and until != WALL_MS - 1
    }
    assert len(found) == len({(slot, record.key) for slot, record in found}), "nothing twice"
    assert {(slot, record.key): record.version.hlc for slot, record in found} == expected


GOOD = {
    "entries": [[b"a", 0, b"v", 1, 1, 0]],
    "counts": [1],
    "done": 1,
    "after": None,
    "incomplete": [9],
    "wall_ms": 5,
}


def test_a_page_tells_what_it_reaches_and_what_is_incomplete() -> None:
    found = page_of(GOOD, SLOTS, by_hash)
    assert (found.end, found.finished, found.incomplete) == (before(1), False, frozenset({9}))
    assert page_of(GOOD, SLOTS[:1], by_hash).finished


@pytest.mark.parametrize(
    "wrong",
    [
        {"counts": [2]},
        {"counts": [-1, 2]},
        {"counts": [1, 0, 0]},
        {"done": 3},
        {"done": 0},
        {"entries": [[b"a", 0, b"v", 1, 1]]},
        {"entries": [["a", 0, b"v", 1, 1, 0]]},
        {"entries": [[b"a", 9, b"v", 1, 1, 0]]},
        {"entries": [[b"a", 0, b"v", -1, 1, 0]]},
        {"after": "a"},
        {"wall_ms": None},
    ],
)
def test_malformed_pages_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(MalformedPage):
        page_of({**GOOD, **wrong}, SLOTS, by_hash)
    with pytest.raises(MalformedPage):
        page_of(None, SLOTS, by_hash)


def test_entries_behind_the_end_of_their_page_are_refused() -> None:
    wrong = {**GOOD, "entries": [[b"b", 0, b"v", 1, 1, 0]], "done": 0, "after": b"a"}
    with pytest.raises(MalformedPage, match="behind the end"):
        page_of(wrong, SLOTS, by_name)
