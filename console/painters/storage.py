"""The sheet of storage: a row for each node, then all about the one under the cursor.

``L1`` is memory, ``L2`` the disk tier. Figures count since the start of a node's process; what is not
known is drawn as ``-``. Fits a sheet on 60 columns; wider ones get more columns.
"""

from __future__ import annotations

from typing import Final

from console.formatting import MISSING, clip, duration, number, percent, plural, size
from console.painters.figures import Column, Line, fact_lines, table_lines
from console.policy_gains import advice, gains
from console.view_models.scene import Scene
from console.view_models.storage import (
    StorageRow,
    chosen_member,
    current_statistics,
    ratio,
    storage_rows,
)
from nodecore.statistics import DiskStatistics, NodeStatistics

_COLUMNS: Final = (
    Column("KEYS", 5),
    Column("L1", 5),
    Column("L1MAX", 5, 60),
    Column("HIT", 5),
    Column("LOST", 5),
    Column("COLD", 5, 66),
    Column("L2", 5),
    Column("L2HIT", 5),
    Column("UP", 5, 78),
    Column("BACK", 5, 84),
    Column("BAD", 4, 71),
    Column("POLICY", 8, 93),
)
_TTL_NAMES: Final = ("<1s", "<10s", "<1m", "<10m", "<1h", "<1d", "longer", "for ever")
"""Of ``NodeStatistics.ttl_counts``."""
_SIGNS: Final = (
    "LOST entries given up for want of room    COLD keys on disk alone",
    "UP promoted to memory    BACK written back to disk    BAD checksums",
)


def storage_lines(scene: Scene, width: int) -> list[str]:
    """The sheet's lines, none wider than ``width``."""
    snapshot = scene.model.snapshot
    rows = storage_rows(snapshot)
    member = chosen_member(snapshot.members, scene.choices.cursor)
    if member is None:
        return ["no nodes known yet"]
    table = [
        Line(row.letter, row.node_id, row.node_id == member.node_id, _figures(row)) for row in rows
    ]
    lines = [*table_lines(_COLUMNS, table, width), ""]
    statistics = current_statistics(member)
    if statistics is None:
        lines.append(clip(f"{member.letter} {member.node_id}: says nothing now", width))
    else:
        lines += _detail(f"{member.letter} {member.node_id}", statistics, width)
    return [*lines, "", *(clip(sign, width) for sign in _SIGNS)]


def _figures(row: StorageRow) -> tuple[str, ...]:
    return (
        number(row.keys),
        size(row.memory_bytes),
        size(row.memory_bytes_max),
        percent(row.hit_ratio),
        number(row.lost),
        number(row.keys_cold),
        size(row.disk_bytes),
        percent(row.disk_hit_ratio),
        number(row.promotions),
        number(row.write_backs),
        number(row.damaged),
        row.policy or MISSING,
    )


def _detail(name: str, node: NodeStatistics, width: int) -> list[str]:
    disk = node.disk
    cold = disk.keys_cold if disk is not None else 0
    in_memory = disk.keys_memory if disk is not None else node.keys
    used = f"{size(node.memory_bytes)} of {size(node.memory_bytes_max)}"
    if node.memory_bytes_max:
        used += f" ({percent(node.memory_bytes / node.memory_bytes_max)})"
    thinned = node.counters.get("partial_slots")
    lines = fact_lines(
        name, (f"up {duration(node.uptime_s)}", f"{node.table or MISSING} table"), width
    )
    lines += fact_lines(
        "memory L1",
        (used, f"{number(in_memory)} keys", f"tombstones {number(node.tombstones)}",
         f"process {size(node.rss_bytes)}"),
        width,
    )  # fmt: skip
    lines += fact_lines(
        "reads",
        (f"found {percent(ratio(node.hits, node.misses), 1)}", f"{number(node.hits)} hits",
         f"{number(node.misses)} misses"),
        width,
    )  # fmt: skip
    lines += fact_lines("to live", _ttl_facts(node.ttl_counts), width)
    causes = [f"{cause} {number(count)}" for cause, count in node.evictions.items() if count]
    lines += fact_lines("evicted", causes or ["nothing"], width)
    if thinned:
        lines += fact_lines(
            "thinned", (f"{plural(thinned, 'slot')} gave up keys on their own",), width
        )
    if disk is None:
        lines += fact_lines("disk L2", ("none: entries live in memory alone",), width)
    else:
        lines += _disk_lines(disk, cold, width)
    return lines + _policy_lines(node, width)


def _ttl_facts(counts: tuple[int, ...]) -> list[str]:
    """How long the keys of memory have still to live; classes without any are left out."""
    if len(counts) != len(_TTL_NAMES):
        return [MISSING]
    named = zip(_TTL_NAMES, counts, strict=True)
    return [f"{name} {number(count)}" for name, count in named if count] or [MISSING]


def _disk_lines(disk: DiskStatistics, cold: int, width: int) -> list[str]:
    counted = disk.counters

    def count(name: str, word: str) -> str:
        return f"{word} {number(counted.get(name))}"

    limit = f"of {size(disk.bytes_max)}" if disk.bytes_max else "for promised keys only"
    state = ["REFUSES WRITES"] if disk.read_only else []
    lines = fact_lines(
        "disk L2", (*state, f"{size(disk.bytes_used)} {limit}", f"{number(cold)} keys there alone"),
        width,
    )  # fmt: skip
    hits, misses = counted.get("hits", 0), counted.get("misses", 0)
    lines += fact_lines(
        "lookups",
        (f"found {percent(ratio(hits, misses), 1)}", f"{number(hits)} hits",
         f"{number(misses)} misses", count("promotions", "promoted")),
        width,
    )  # fmt: skip
    lines += fact_lines(
        "writes",
        (f"demoted {number(disk.demotions)}", count("write_backs", "written back"),
         count("write_throughs", "written through"), count("evictions_l2", "evicted")),
        width,
    )  # fmt: skip
    lines += fact_lines(
        "health",
        (count("checksum_failures", "bad checksums"), count("read_errors", "read errors"),
         count("refused", "refused"), count("overflowed", "overflowed")),
        width,
    )  # fmt: skip
    lines += fact_lines(
        "scrub",
        (f"{percent(disk.scrub_progress)} of this pass", f"passes before {disk.scrub_passes}",
         f"{number(disk.scrub_records)} records", f"{size(disk.scrub_bytes)} read"),
        width,
    )  # fmt: skip
    if disk.warm_found or disk.warming:
        state = ["goes on"] if disk.warming else [f"took {duration(disk.warm_s)}"]
        found, lifted = number(disk.warm_found), number(disk.warm_lifted)
        lines += fact_lines(
            "warm start", (*state, f"{found} records found", f"{lifted} lifted"), width
        )
    return lines


def _policy_lines(node: NodeStatistics, width: int) -> list[str]:
    entries = gains([node])
    ruling = next((entry.policy for entry in entries if entry.rules), "")
    facts = [node.eviction_policy or MISSING]
    if ruling and ruling != node.eviction_policy:
        facts.append(f"chose {ruling}")
    if node.eviction_changing:
        facts.append("entries are being handed over")
    lines = fact_lines("policy", facts, width)
    if not entries:
        return lines + fact_lines("", ("other policies: too few requests to tell yet",), width)
    lines += fact_lines(
        "would hit", [_estimate(e.policy, e.hit_ratio, e.rules) for e in entries], width
    )
    said = advice(node)
    return lines + (fact_lines("", (said,), width) if said else [])


def _estimate(policy: str, hit_ratio: float, rules: bool) -> str:
    return f"{'*' if rules else ''}{policy} {percent(hit_ratio, 1)}"
