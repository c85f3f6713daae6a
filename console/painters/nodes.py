"""The node table: one row a node, as many columns as fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from console.formatting import MISSING, clip, fill, milliseconds, number, percent, size
from console.painters.spans import Row, Span, fit, row
from console.view_models.nodes import NodeRow
from console.view_models.scene import Scene

STATE_STYLES: Final = {
    "up": "state-up",
    "DOWN": "state-down+bold",
    "PAUSED": "state-paused+bold",
    "suspect": "state-suspect",
    "joining": "state-joining",
    "booting": "state-joining",
    "leaving": "state-joining",
    "outside": "state-joining",
    "left": "muted",
}
COLUMNS: Final = (
    # Title, width, smallest table width that has it.
    ("PID", 7, 84),
    ("STATE", 7, 0),
    ("OWN%", 4, 0),
    ("KEYS", 5, 46),
    ("MEM", 5, 60),
    ("OP/S", 5, 0),
    ("P99", 5, 38),
    ("BRK", 3, 0),
    ("FAULT", 7, 0),
)
NAME_WIDTH_MAX: Final = 16
TREND_WIDTH_MIN: Final = 9


def sparkline(values: Sequence[float], width: int, bars: str, top: float | None = None) -> str:
    """The newest ``width`` values as bars over zero: a flat line shows its height."""
    shown = list(values)[-width:]
    highest = top if top is not None else max(shown, default=0.0)
    last = len(bars) - 1
    text = "".join(
        bars[0] if highest <= 0 or value <= 0 else bars[min(round(value / highest * last), last)]
        for value in shown
    )
    return text.rjust(width)


def breaker_word(node: NodeRow) -> str:
    """``.``, ``~1``, ``x5``: the callers' breakers towards a node."""
    if node.open_count:
        return f"x{node.open_count}"
    return f"~{node.half_count}" if node.half_count else "."


def _cell(title: str, node: NodeRow) -> tuple[str, str]:
    """(text, style) of a column."""
    if title == "PID":
        return str(node.pid) if node.pid is not None else MISSING, "muted"
    if title == "STATE":
        return node.state, STATE_STYLES.get(node.state, "muted")
    if title == "OWN%":
        return (f"{node.share * 100:.1f}" if node.share is not None else MISSING), ""
    if title == "KEYS":
        return number(node.keys), ""
    if title == "MEM":
        return size(node.memory_bytes), ""
    if title == "OP/S":
        return number(node.ops), "strong"
    if title == "P99":
        return milliseconds(node.p99_ms), ""
    if title == "BRK":
        word = breaker_word(node)
        style = (
            "breaker-open+bold" if node.open_count else "breaker-half" if node.half_count else ""
        )
        return word, style or "muted"
    return node.fault_text, "fault"


def paint_nodes(scene: Scene, width: int, height: int) -> list[Row]:
    """Header, rows around the cursor, a last line about marks."""
    shown = scene.shown_rows()
    columns = [entry for entry in COLUMNS if width >= entry[2]]
    fixed = sum(entry[1] + 1 for entry in columns)
    longest = max((len(node.node_id) for node in shown), default=2)
    name_width = max(min(longest, NAME_WIDTH_MAX, width - fixed - 5), 4)
    used = 5 + name_width + fixed
    trend_width = min(width - used - 1, 40)
    heads = [Span(fill("    NODE", 5 + name_width), "muted+bold")]
    for title, cells, _ in columns:
        right = title not in ("STATE", "BRK", "FAULT")
        style = "strong" if title == scene.sort_title else "muted+bold"
        heads.append(Span((title.rjust(cells) if right else title.ljust(cells)) + " ", style))
    if trend_width >= TREND_WIDTH_MIN:
        heads.append(Span("TREND op/s", "muted+bold"))
    rows: list[Row] = [fit(heads, width)]
    # The foot takes a row only when it has something to say that rows do not.
    crowded = len(shown) > height - 1
    capacity = max(height - 2 if crowded else height - 1, 1)
    start = scene.first_row = _first_shown(shown, scene.choices.cursor, capacity)
    top = max((max(node.trend[-trend_width:], default=0.0) for node in shown), default=0.0)
    index_of = {node.node_id: index for index, node in enumerate(scene.model.rows)}
    for node in shown[start : start + capacity]:
        spans = _node_spans(scene, node, index_of[node.node_id], name_width)
        for title, cells, _ in columns:
            text, style = _cell(title, node)
            right = title not in ("STATE", "BRK", "FAULT")
            text = clip(text, cells)
            spans.append(Span((text.rjust(cells) if right else text.ljust(cells)) + " ", style))
        if trend_width >= TREND_WIDTH_MIN:
            bars = scene.look.glyphs.bars
            spans.append(Span(sparkline(node.trend, trend_width, bars, top), "trend"))
        rows.append(fit(spans, width))
    if not shown:
        wanted = scene.choices.filter
        text = f"no node matches {clip(wanted, 20)}" if wanted else "no nodes known yet"
        rows.append(fit(row(Span(f"    {text}", "muted")), width))
    if len(rows) < height:
        rows.append(fit(row(Span(_foot(scene, len(shown), start, capacity), "muted")), width))
    return rows


def _node_spans(scene: Scene, node: NodeRow, index: int, name_width: int) -> list[Span]:
    chosen = node.node_id == scene.choices.cursor
    marked = "*" if node.node_id in scene.choices.marks else " "
    style = "strong" if chosen else ""
    return [
        Span((">" if chosen else " ") + marked, style),
        Span(node.letter, scene.owner_style(index) + "+bold"),
        Span(f" {fill(node.node_id, name_width)}", style),
        Span(" "),
    ]


def _first_shown(shown: Sequence[NodeRow], cursor: str, capacity: int) -> int:
    at = next((i for i, node in enumerate(shown) if node.node_id == cursor), 0)
    return min(max(at - capacity + 1, 0), max(len(shown) - capacity, 0))


def _foot(scene: Scene, count: int, start: int, capacity: int) -> str:
    parts = []
    if scene.choices.marks:
        parts.append(f"marked {len(scene.choices.marks)}: {' '.join(scene.choices.marks)}")
    if count > capacity:
        parts.append(f"rows {start + 1}-{min(start + capacity, count)} of {count}")
    if scene.choices.filter:
        parts.append(f"filter {scene.choices.filter}  esc clears")
    return "  " + "   ".join(parts) if parts else ""


def detail_lines(scene: Scene) -> list[str]:
    """All that is known of the node under the cursor, for its own sheet."""
    node = scene.model.row(scene.choices.cursor)
    if node is None:
        return ["no node under the cursor"]
    member = next(m for m in scene.model.snapshot.members if m.node_id == node.node_id)
    lines = [f"{node.letter} {node.node_id}   {node.state}   pid {node.pid or MISSING}"]
    lines.extend(f"  {door:<8}{address}" for door, address in member.addresses.items())
    if node.exit_text:
        lines.append(f"  {node.exit_text}")
    if node.suspected_by:
        lines.append(f"  suspected by {' '.join(node.suspected_by)}")
    rates = scene.model.rates.get(node.node_id)
    if rates is not None:
        lines.append(
            f"  {number(rates.reads)} reads/s  {number(rates.writes)} writes/s  "
            f"{number(rates.misses)} misses/s  {number(rates.errors)} errors/s  "
            f"p50 {milliseconds(rates.p50_ms)}  p99 {milliseconds(rates.p99_ms)}"
        )
    statistics = member.statistics
    if statistics is None:
        lines.append("  no statistics received yet")
        return lines
    used = f"{size(statistics.memory_bytes)} of {size(statistics.memory_bytes_max)}"
    lines.extend(
        [
            f"  version {statistics.version or MISSING}  table {statistics.table or MISSING}"
            f"  epoch {statistics.epoch}  incarnation {statistics.incarnation}",
            f"  slots {statistics.slots_primary} first owner, {statistics.slots_replica} replica"
            f"  ({percent(node.share, 1)} of the ring)",
            f"  keys {statistics.keys}  memory {used}  rss {size(statistics.rss_bytes)}"
            f"  tombstones {statistics.tombstones}  eviction {statistics.eviction_policy}",
            f"  connections {statistics.connections}  loop lag {statistics.loop_lag_ms:.1f} ms"
            f"  clock offset {statistics.clock_offset_ms:.0f} ms",
            f"  hints {statistics.hints_queued} queued {statistics.hints_dropped} dropped"
            f"  repairs {statistics.repairs}  forwarded {statistics.forwarded}"
            f"  hedged {statistics.hedged}",
            f"  sloppy writes {statistics.sloppy_writes}  degraded reads"
            f" {statistics.degraded_reads}  conflicts {statistics.conflicts}",
        ]
    )
    causes = (f"{cause} {count}" for cause, count in sorted(statistics.evictions.items()) if count)
    evicted = "  ".join(causes)
    if evicted:
        lines.append(f"  evicted: {evicted}")
    return lines
