"""The sheet of replication: slots by live copies, unknown is not zero, fits every terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from console.app import ClusterConsole
from console.painters.replication import replication_lines
from console.screens.sheet import Sheet
from console.view_models.replication import (
    ALL_LIVE,
    NONE_LIVE,
    SOME_LIVE,
    replication_rows,
    slot_health,
)
from nodecore.ids import SLOTS_COUNT
from tests.console.fakes import FakeSource, make_owners, make_snapshot
from tests.console.test_screens import SIZES, run, tick, until
from tests.console.test_storage_view import SHEET_COLUMNS, changed, scene_of

OWNERS = make_owners(5)
HURT = changed(
    make_snapshot(5, owners=OWNERS, killed={"n3": 2}),
    "n1",
    hints_queued=40,
    hints_bytes=4096,
    hints_oldest_s=72.0,
    hints_sent=9,
    hints_dropped=1,
    repairs=12,
    conflicts=5,
    conflicts_by_cause={"update": 2, "repair": 3, "hint": 0},
    sloppy_writes=6,
    degraded_reads=7,
    counters={
        "sync_slots_compared": 4000, "sync_slots_differed": 1, "strong_preempted": 4,
        "strong_slots_lacking": 3, "merges": 2, "in_minority": 1,
    },
)  # fmt: skip


def test_slots_are_told_apart_by_live_copies() -> None:
    table = ((0, 1, 2),) * 10 + ((1, 2, 3),) * 5 + ((3,),) + ((),)
    snapshot = replace(make_snapshot(1), owners=table, replicas=3)
    health = slot_health(snapshot, frozenset({0, 1, 2, 4}))
    assert health is not None
    assert (health.all_live, health.some_live, health.none_live) == (10, 5, 2)
    assert (health.least, health.moving) == (0, 0)
    assert health.states[9] == ALL_LIVE
    assert health.states[10] == SOME_LIVE
    assert health.states[15] == NONE_LIVE
    assert health.bands(1) == (NONE_LIVE,)
    assert health.bands(17) == tuple(health.states)


def test_fewer_owners_than_copies_wanted_is_not_whole() -> None:
    snapshot = replace(make_snapshot(1), owners=((0, 1),) * 4, replicas=3)
    health = slot_health(snapshot, frozenset({0, 1}))
    assert health is not None
    assert (health.all_live, health.some_live, health.least) == (0, 4, 2)
    assert slot_health(replace(snapshot, owners=None), frozenset()) is None


def test_slots_that_move_are_counted() -> None:
    snapshot = make_snapshot(1, owners=OWNERS)
    following = (*((4, 3, 2),) * 100, *OWNERS[100:])
    health = slot_health(replace(snapshot, owners_next=following), frozenset(range(5)))
    assert health is not None
    assert health.moving == sum(owners != (4, 3, 2) for owners in OWNERS[:100])
    assert health.moving > 0


@given(st.frozensets(st.integers(0, 4)), st.integers(1, 600))
def test_bands_hide_no_slot_in_trouble(live: frozenset[int], count: int) -> None:
    health = slot_health(make_snapshot(1, owners=OWNERS), live)
    assert health is not None
    assert health.all_live + health.some_live + health.none_live == SLOTS_COUNT
    bands = health.bands(count)
    assert len(bands) == count
    assert min(bands) == min(health.states)
    assert max(bands) <= max(health.states)


def test_rows_leave_out_what_is_unknown() -> None:
    first, second, dead, *_ = replication_rows(HURT)
    assert (first.hints, first.oldest_hint_s, first.hints_dropped) == (40, 72.0, 1)
    assert first.agreement == pytest.approx(0.99975)
    assert (second.hints, second.oldest_hint_s, second.agreement) == (0, None, None)
    assert (dead.hints, dead.repairs, dead.conflicts, dead.slots_compared) == (None,) * 4


def test_the_sheet_tells_all_about_the_chosen_node() -> None:
    lines = replication_lines(scene_of(HURT), 110)
    text = " ".join(" ".join(lines).split())
    for words in (
        "> A n1", "1m12s", "40 queued (4.0K)", "sent 9", "dropped 1", "by reads 12", "5 found",
        "by repair 3 by update 2", "sloppy writes 6", "degraded reads 7", "slots compared 4.0k",
        "IN THE MINORITY", "merges 2", "preempted 4", "slots to learn 3", "rounds -",
    ):  # fmt: skip
        assert words in text
    assert "by hint 0" not in text
    assert "<100%" in lines[1], "one slot of 4,000 differed"
    assert lines[1].split()[-1] == "1"
    assert "says nothing now" in "\n".join(replication_lines(scene_of(HURT, "n3"), 110))


def test_the_map_has_a_sign_for_every_state() -> None:
    healthy = replication_lines(scene_of(make_snapshot(5, owners=OWNERS)), 72)
    assert "    0 " + "#" * 64 in healthy
    assert "12288 " + "#" * 64 in healthy
    killed = dict.fromkeys(("n1", "n2", "n3"), 2)
    hurt = replication_lines(scene_of(make_snapshot(5, owners=OWNERS, killed=killed), "n4"), 72)
    signs = "".join(line[6:] for line in hurt if line[:6].strip().isdigit())
    assert set(signs) == {"o", "!"}
    assert len(signs) == 256
    unknown = replication_lines(scene_of(make_snapshot(5)), 72)
    assert any("no node has told" in line for line in unknown)


@pytest.mark.parametrize("width", [7, 30, SHEET_COLUMNS, 72, 111, 149])
@pytest.mark.parametrize("cursor", ["n1", "n2", "n3"])
def test_no_line_is_wider_than_the_sheet(width: int, cursor: str) -> None:
    assert max(map(len, replication_lines(scene_of(HURT, cursor), width))) <= width
    assert replication_lines(scene_of(replace(HURT, members=())), width) == ["no nodes known yet"]


@pytest.mark.parametrize("size", SIZES)
def test_the_key_opens_it_and_it_follows_the_cluster(size: tuple[int, int]) -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        app.scene.choices.cursor = "n1"
        await pilot.press("C")
        sheet = app.screen
        assert isinstance(sheet, Sheet)
        await until(pilot, lambda: any("none live 0" in line for line in sheet.lines))
        assert max(map(len, sheet.lines)) <= sheet.columns
        for node_id in ("n3", "n4", "n5"):
            source.killed[node_id] = source.tick
        await tick(app, source, pilot)
        await until(pilot, lambda: any("fewest live copies 0" in line for line in sheet.lines))
        assert any("!" in line for line in sheet.lines)
        await pilot.press("left")
        await until(pilot, lambda: any(line.startswith("> E n5") for line in sheet.lines))

    run(play, size)
