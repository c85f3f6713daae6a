"""The sheet of replication: slots by live copies, a row for each node, and the chosen one in detail.

Figures count since the start of a node's process; what is not known is drawn as ``-``. Each state of
a slot has a sign of its own. Fits a sheet on 60 columns; wider ones get more columns.
"""

from __future__ import annotations

from typing import Final

from console.formatting import MISSING, clip, duration, number, percent, size
from console.painters.figures import Column, Line, fact_lines, table_lines
from console.view_models.replication import (
    ALL_LIVE,
    NONE_LIVE,
    SOME_LIVE,
    ReplicationRow,
    SlotHealth,
    replication_rows,
    slot_health,
)
from console.view_models.scene import Scene
from console.view_models.storage import chosen_member, current_statistics
from nodecore.statistics import NodeStatistics

_COLUMNS: Final = (
    Column("HINTS", 5),
    Column("LAG", 6),
    Column("SENT", 5),
    Column("DROP", 4),
    Column("REPAIR", 6),
    Column("CONFL", 5),
    Column("SLOPPY", 6, 60),
    Column("DEGR", 4, 65),
    Column("AGREE", 5, 71),
    Column("CMPRD", 5, 78),
    Column("DIFF", 5, 84),
)
_SIGNS: Final = {ALL_LIVE: "#", SOME_LIVE: "o", NONE_LIVE: "!"}
_MAP_ROWS: Final = 4
_MAP_LABEL: Final = 6
_LEGEND: Final = (
    "# all copies live  o some missing  ! none live, worst of a cell",
    "HINTS writes kept for others   LAG age of the oldest",
    "SENT hints delivered   DROP hints given up",
    "AGREE compared slots with equal digests   DEGR reads of too few",
)


def replication_lines(scene: Scene, width: int) -> list[str]:
    """The sheet's lines, none wider than ``width``."""
    snapshot = scene.model.snapshot
    member = chosen_member(snapshot.members, scene.choices.cursor)
    if member is None:
        return ["no nodes known yet"]
    rows = replication_rows(snapshot)
    table = [
        Line(row.letter, row.node_id, row.node_id == member.node_id, _figures(row)) for row in rows
    ]
    lines = [*table_lines(_COLUMNS, table, width), ""]
    lines += [*_health_lines(slot_health(snapshot, scene.model.live), width), ""]
    statistics = current_statistics(member)
    if statistics is None:
        lines.append(clip(f"{member.letter} {member.node_id}: says nothing now", width))
    else:
        lines += _detail(f"{member.letter} {member.node_id}", statistics, width)
    return [*lines, "", *(clip(line, width) for line in _LEGEND)]


def _figures(row: ReplicationRow) -> tuple[str, ...]:
    return (
        number(row.hints),
        duration(row.oldest_hint_s),
        number(row.hints_sent),
        number(row.hints_dropped),
        number(row.repairs),
        number(row.conflicts),
        number(row.sloppy_writes),
        number(row.degraded_reads),
        _agreement(row.agreement),
        number(row.slots_compared),
        number(row.slots_differed),
    )


def _agreement(ratio: float | None) -> str:
    """A rounded 100% would hide that some slots differ."""
    if ratio is None or ratio == 1:
        return percent(ratio)
    text = percent(ratio, 1)
    return "<100%" if text == "100.0%" else text


def _health_lines(health: SlotHealth | None, width: int) -> list[str]:
    if health is None:
        return [clip("slots: no node has told its slot table yet", width)]
    facts = [
        f"all copies live {health.all_live}",
        f"some missing {health.some_live}",
        f"none live {health.none_live}",
        f"fewest live copies {health.least}",
    ]
    if health.moving:
        facts.append(f"moving {health.moving}")
    cells = 1 << max(width - _MAP_LABEL, 1).bit_length() - 1
    bands = health.bands(cells * _MAP_ROWS)
    step = len(health.states) // _MAP_ROWS
    lines = fact_lines("slots", facts, width)
    for index in range(_MAP_ROWS):
        signs = "".join(_SIGNS[state] for state in bands[index * cells : (index + 1) * cells])
        lines.append(clip(f"{index * step:>5} {signs}", width))
    return lines


def _detail(name: str, node: NodeStatistics, width: int) -> list[str]:
    counters = node.counters

    def count(counter: str, word: str) -> str:
        return f"{word} {number(counters.get(counter))}"

    oldest = duration(node.hints_oldest_s) if node.hints_queued else MISSING
    groups: list[tuple[str, list[str]]] = [
        (name, [f"epoch {node.epoch}", f"{node.slots_primary} slots as first owner",
                f"{node.slots_replica} as replica"]),
        ("hints", [f"{number(node.hints_queued)} queued ({size(node.hints_bytes)})",
                   f"oldest {oldest}", f"sent {number(node.hints_sent)}",
                   f"dropped {number(node.hints_dropped)}"]),
        ("repairs", [f"by reads {number(node.repairs)}", count("repairs_skipped", "skipped"),
                     f"by hints {number(node.hints_sent)}",
                     count("sync_slots_differed", "slots by digests")]),
        ("conflicts", [f"{number(node.conflicts)} found", *_causes(node.conflicts_by_cause)]),
        ("requests", [f"sloppy writes {number(node.sloppy_writes)}",
                      f"degraded reads {number(node.degraded_reads)}",
                      count("stale_reads", "stale reads"),
                      f"forwarded {number(node.forwarded)}", f"hedged {number(node.hedged)}"]),
        ("digests", [count("sync_slots_compared", "slots compared"),
                     count("sync_slots_differed", "differed"),
                     count("sync_slots_skipped", "skipped"), count("sync_rounds", "rounds")]),
        ("handover", [count("change_slots_left", "slots to fill"),
                      count("change_entries_received", "entries in"),
                      count("change_entries_sent", "entries out"),
                      count("surplus_entries_handed_over", "strays handed on")]),
        ("partition", [*(["IN THE MINORITY"] if counters.get("in_minority") else []),
                       count("merges", "merges"),
                       count("partition_writes_refused", "writes refused"),
                       count("partition_reads_refused", "reads refused")]),
        ("strong", [count("strong_keys", "keys"), count("strong_one_round", "one round"),
                    count("strong_rounds", "rounds"), count("strong_preempted", "preempted"),
                    count("strong_overdue", "overdue"), count("strong_unknown", "unknown")]),
        ("learners", [count("strong_slots_lacking", "slots to learn"),
                      count("strong_slots_learned", "learned"),
                      count("strong_slots_lost", "lost"),
                      count("strong_refused_learning", "refused meanwhile")]),
    ]  # fmt: skip
    return [line for label, facts in groups for line in fact_lines(label, facts, width)]


def _causes(counted: dict[str, int]) -> list[str]:
    return [f"by {cause} {number(total)}" for cause, total in sorted(counted.items()) if total]
