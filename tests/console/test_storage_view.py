"""The sheet of storage: unknown is not zero, causes told apart, fits every terminal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual.pilot import Pilot

from console.app import ClusterConsole
from console.painters.figures import Column, Line, fact_lines, table_lines
from console.painters.storage import storage_lines
from console.screens.sheet import Sheet
from console.source import ClusterSnapshot, ProcessState
from console.view_models.cluster import ClusterModel
from console.view_models.scene import GLYPHS, Choices, Look, Scene
from console.view_models.storage import chosen_member, storage_rows
from nodecore.statistics import TTL_BOUNDS_S, DiskStatistics, PolicyShadow
from tests.console.fakes import FakeSource, make_snapshot
from tests.console.test_screens import SIZES, run, tick, until

SHEET_COLUMNS = 53
"""Of a terminal of 60."""
DISK = DiskStatistics(
    bytes_used=3 * 1024**2,
    bytes_max=64 * 1024**2,
    keys_cold=1200,
    keys_memory=1800,
    demotions=4000,
    counters={
        "hits": 300, "misses": 100, "promotions": 77, "write_backs": 4000, "checksum_failures": 2,
    },
    scrub_progress=0.25,
    scrub_passes=3,
    scrub_records=9000,
    scrub_bytes=2 * 1024**2,
    warm_found=50,
    warm_lifted=40,
    warm_s=1.5,
)  # fmt: skip
SHADOWS = (PolicyShadow("arc", 0.931, 5000), PolicyShadow("s3fifo", 0.9, 5000, rules=True))


def changed(snapshot: ClusterSnapshot, node_id: str, **changes: Any) -> ClusterSnapshot:
    """The snapshot with other statistics of one node."""
    members = tuple(
        replace(member, statistics=replace(member.statistics, **changes))
        if member.node_id == node_id and member.statistics is not None
        else member
        for member in snapshot.members
    )
    return replace(snapshot, members=members)


def scene_of(snapshot: ClusterSnapshot, cursor: str = "n1") -> Scene:
    model = ClusterModel()
    model.apply(snapshot)
    return Scene(model, Choices(cursor=cursor), Look(GLYPHS["full"], 0))


TIERED = changed(
    make_snapshot(5, killed={"n3": 2}),
    "n1",
    disk=DISK,
    policy_shadows=SHADOWS,
    evictions={"size": 10, "expired": 500, "forced": 3, "moved": 70, "demoted": 4000, "disk": 1},
    counters={"partial_slots": 4},
    ttl_counts=(0, 40, 300, 0, 0, 0, 7, 1453),
)


def test_rows_tell_tiers_apart_and_leave_out_what_is_unknown() -> None:
    first, second, dead, *_ = storage_rows(TIERED)
    assert (first.disk_bytes, first.keys_cold, first.disk_hit_ratio) == (3 * 1024**2, 1200, 0.75)
    assert (first.promotions, first.write_backs, first.damaged) == (77, 4000, 2)
    assert first.lost == 14, "neither aged, moved nor demoted entries are lost"
    assert second.hit_ratio == pytest.approx(350 / 380)
    assert (second.disk_bytes, second.disk_hit_ratio) == (None, None)
    assert (dead.keys, dead.memory_bytes, dead.lost, dead.policy) == (None, None, None, "")


def test_figures_of_a_silent_node_are_unknown() -> None:
    snapshot = make_snapshot(5)
    silent = replace(snapshot.members[0], statistics_age_s=6.0, process=ProcessState.PAUSED)
    rows = storage_rows(replace(snapshot, members=(silent, *snapshot.members[1:])))
    assert rows[0].keys is None
    assert rows[1].keys is not None


def test_the_chosen_member_is_the_first_without_a_cursor() -> None:
    members = make_snapshot(1).members
    chosen = chosen_member(members, "gone")
    assert chosen is not None
    assert chosen.node_id == "n1"
    assert chosen_member((), "n1") is None


def test_the_sheet_tells_all_about_the_chosen_node() -> None:
    text = " ".join(" ".join(storage_lines(scene_of(TIERED), 110)).split())
    for words in (
        "> A n1", "40M of 256M (16%)", "1.8k keys", "3.0M of 64M", "1.2k keys there alone",
        "found 75.0%", "promoted 77", "written back 4.0k", "bad checksums 2", "25% of this pass",
        "passes before 3", "size 10 expired 500 forced 3", "4 slots gave up keys",
        "to live <10s 40 <1m 300 longer 7 for ever 1.5k", "took 1.5s",
        "*s3fifo 90.0%", "arc would have had +3.1 % hits here",
    ):  # fmt: skip
        assert words in text
    (first,) = (one.statistics for one in TIERED.members if one.node_id == "n1")
    assert first is not None
    assert len(first.ttl_counts) == len(TTL_BOUNDS_S) + 2
    other = "\n".join(storage_lines(scene_of(TIERED, "n2"), 110))
    assert "> B n2" in other
    assert "entries live in memory alone" in other
    assert "too few requests" in other
    assert "says nothing now" in "\n".join(storage_lines(scene_of(TIERED, "n3"), 110))


def test_a_disk_that_takes_no_more_says_so() -> None:
    full = changed(TIERED, "n1", disk=replace(DISK, read_only=True, warming=True, bytes_max=0))
    text = "\n".join(storage_lines(scene_of(full), 72))
    assert "REFUSES WRITES" in text
    assert "for promised keys only" in text
    assert "goes on" in text


@pytest.mark.parametrize("width", [30, SHEET_COLUMNS, 72, 111, 149])
@pytest.mark.parametrize("cursor", ["n1", "n2", "n3"])
def test_no_line_is_wider_than_the_sheet(width: int, cursor: str) -> None:
    lines = storage_lines(scene_of(TIERED, cursor), width)
    assert max(map(len, lines)) <= width
    assert storage_lines(scene_of(replace(TIERED, members=())), width) == ["no nodes known yet"]


def test_narrow_tables_leave_columns_out_and_names_are_made_safe() -> None:
    columns = (Column("KEYS", 5), Column("MORE", 5, 40))
    lines = [Line("A", "\x1b[31m" + "n" * 300, True, ("1", "123456789"))]
    head, row = table_lines(columns, lines, 30)
    assert head.split() == ["NODE", "KEYS"]
    assert "\x1b" not in row
    assert row.startswith("> A \\x1b[31~")
    wide = table_lines(columns, lines, 40)
    assert wide[0].split() == ["NODE", "KEYS", "MORE"]
    assert wide[1].endswith(" 1234~")


def test_facts_break_between_each_other() -> None:
    assert fact_lines("label", ["a" * 10, "b" * 10, "c" * 10], 36) == [
        "label       aaaaaaaaaa  bbbbbbbbbb",
        "            cccccccccc",
    ]
    assert fact_lines("label", [], 36) == ["label      "]


@pytest.mark.parametrize("size", SIZES)
def test_the_key_opens_it_and_arrows_walk_the_nodes(size: tuple[int, int]) -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        app.scene.choices.cursor = "n1"
        await pilot.press("S")
        sheet = app.screen
        assert isinstance(sheet, Sheet)
        await until(pilot, lambda: any(line.startswith("> A n1") for line in sheet.lines))
        assert max(map(len, sheet.lines)) <= sheet.columns
        text = sheet.query_one("#sheet-text")
        assert text.region.width >= sheet.columns, "no line wraps"
        await pilot.press("right")
        await until(pilot, lambda: any(line.startswith("> B n2") for line in sheet.lines))
        source.killed["n2"] = source.tick
        await tick(app, source, pilot)
        await until(pilot, lambda: any("says nothing now" in line for line in sheet.lines))
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: max(map(len, sheet.lines)) <= SHEET_COLUMNS)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.overview)

    run(play, size)
