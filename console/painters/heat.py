"""The heat map: slots (or nodes) down, time across, hot keys and a diagnosis beside it.

With colour, one cell is two half-block rows; without, one row of shades. The owner's letter stands
in the margin: a hot row is a key, a hot block of one owner is a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from console.formatting import clip, clock, escape_text, milliseconds, number, percent
from console.painters.spans import Row, Span, beside, fit, row
from console.view_models.heat import (
    COLUMNS_MAX,
    HeatColumn,
    group_bands,
    key_rate,
    level,
    metric_value,
    scale_top,
)
from console.view_models.nodes import key_filter
from console.view_models.ring import NOBODY
from console.view_models.scene import SHADES, Scene
from nodecore.statistics import HEAT_BANDS

MARGIN: Final = 6
MARK_CELLS_MAX: Final = 18
SIDE_WIDTH: Final = 34
TOLD_HEIGHT_MIN: Final = 8
"""Below this the rows go to the keys themselves."""
SIDE_WIDTH_SMALL: Final = 19


def heat_top(scene: Scene, columns: Sequence[HeatColumn], groups: int) -> float:
    """Top of the scale: the operator's, else what the shown columns need."""
    if scene.choices.heat_top is not None:
        return scene.choices.heat_top
    metric = scene.choices.metric_name
    if metric == "ops":
        return scale_top([group_bands(column.bands, groups) for column in columns])
    return scale_top(
        [[metric_value(rate, metric) for rate in column.by_node.values()] for column in columns]
    )


def map_groups(scene: Scene, height: int) -> int:
    """Rows of data that ``height`` cells show."""
    return min(height * (2 if scene.look.pixels else 1), HEAT_BANDS)


def paint_heat(scene: Scene, width: int, height: int) -> list[Row]:
    """Map, axis of marks when there is room, hot keys beside it."""
    side_width = SIDE_WIDTH if width >= 110 else SIDE_WIDTH_SMALL if width >= 60 else 0
    side_width = 0 if scene.choices.metric_name != "ops" and width < 60 else side_width
    map_width = max(width - side_width - (2 if side_width else 0), 10)
    axis = height >= 5
    body = height - (1 if axis else 0)
    cells = min(map_width - MARGIN, COLUMNS_MAX)
    columns = scene.model.heat.visible(cells)
    if scene.choices.metric_name == "ops":
        rows = _slot_rows(scene, columns, cells, body)
    else:
        rows = _node_rows(scene, columns, cells, body)
    rows = rows[:body] + [()] * (body - len(rows))
    if axis:
        rows.append(axis_row(scene, columns, cells))
    side = side_rows(scene, side_width, height) if side_width else []
    return beside(rows, [(Span("  "), *line) for line in side], map_width, width)


def _slot_rows(scene: Scene, columns: Sequence[HeatColumn], cells: int, height: int) -> list[Row]:
    groups = map_groups(scene, height)
    values = [group_bands(column.bands, groups) for column in columns]
    top = heat_top(scene, columns, groups)
    owners = scene.model.ring.arcs(groups)
    per_cell = 2 if scene.look.pixels else 1
    rows: list[Row] = []
    for y in range(-(-groups // per_cell)):
        first = y * per_cell
        second = min(first + 1, groups - 1)
        spans = [
            Span(f" {first * 256 // groups:02x} ", "muted"),
            _owner_letter(scene, owners, first),
        ]
        upper = [value[first] for value in values]
        if scene.look.pixels:
            spans.extend(pixel_run(scene, upper, [value[second] for value in values], top))
        else:
            spans.append(Span(shade_run(upper, top), "heat-text"))
        rows.append(fit(spans, MARGIN + cells))
    return rows


def _owner_letter(scene: Scene, owners: Sequence[int], group: int) -> Span:
    members = scene.model.snapshot.members
    if group >= len(owners) or owners[group] == NOBODY or owners[group] >= len(members):
        return Span("? ", "muted")
    return Span(f"{members[owners[group]].letter} ", scene.owner_style(owners[group]) + "+bold")


def pixel_run(
    scene: Scene, upper: Sequence[float], lower: Sequence[float], top: float
) -> list[Span]:
    """Two rows of values as half blocks; equal neighbours are one span."""
    levels = scene.look.levels
    spans: list[Span] = []
    run, current = 0, (0, 0)
    for pair in zip(upper, lower, strict=True):
        shown = (level(pair[0], top, levels), level(pair[1], top, levels))
        if shown != current and run:
            spans.append(Span("▀" * run, f"heat:{current[0]}:{current[1]}"))
            run = 0
        current = shown
        run += 1
    if run:
        spans.append(Span("▀" * run, f"heat:{current[0]}:{current[1]}"))
    return spans


def shade_run(values: Sequence[float], top: float) -> str:
    """Values as shades of one colour."""
    return "".join(SHADES[level(value, top, len(SHADES))] for value in values)


def _node_rows(scene: Scene, columns: Sequence[HeatColumn], cells: int, height: int) -> list[Row]:
    metric = scene.choices.metric_name
    top = heat_top(scene, columns, 1)
    rows: list[Row] = []
    for index, member in enumerate(scene.model.snapshot.members[:height]):
        values = []
        for column in columns:
            rate = column.by_node.get(member.node_id)
            values.append(metric_value(rate, metric) if rate is not None else 0.0)
        spans = [Span("    "), Span(f"{member.letter} ", scene.owner_style(index) + "+bold")]
        if scene.look.pixels:
            spans.extend(pixel_run(scene, values, values, top))
        else:
            spans.append(Span(shade_run(values, top), "heat-text"))
        rows.append(fit(spans, MARGIN + cells))
    return rows


def axis_row(scene: Scene, columns: Sequence[HeatColumn], cells: int) -> Row:
    """Time under the map: how far back it reaches, and what happened when."""
    line = [" "] * cells
    if not columns:
        return row(Span(" " * MARGIN + "no heat measured yet", "muted"))
    now_at = min(len(columns), cells)
    back = f"-{(columns[-1].at_wall_ms - columns[0].at_wall_ms) / 1000:.0f}s"
    taken = _write(line, 0, back, 0)
    for mark in scene.model.log.marks:
        if mark.at_wall_ms < columns[0].at_wall_ms:
            continue
        at = next((i for i, col in enumerate(columns) if col.at_wall_ms >= mark.at_wall_ms), None)
        if at is None or at <= taken:
            continue
        words = clip(mark.text, MARK_CELLS_MAX)
        if at + 2 + len(words) <= cells:
            taken = _write(line, at, f"v {words}", taken)
        else:
            # At the right edge the words stand before their sign.
            start = at - len(words) - 1
            before = f"{words} " if start > taken else ""
            taken = _write(line, at - len(before), f"{before}v", taken)
    if now_at - 3 > taken:
        _write(line, min(now_at - 3, cells - 3), "now", taken)
    return row(Span(" " * MARGIN), Span("".join(line), "muted"))


def _write(line: list[str], at: int, text: str, taken: int) -> int:
    for offset, character in enumerate(text):
        if at + offset < len(line):
            line[at + offset] = character
    return max(taken, at + len(text))


def side_rows(scene: Scene, width: int, height: int) -> list[Row]:
    """Hot keys, hottest first, then what the heat means."""
    words = scene.model.diagnosis
    told: list[Row] = [row(Span(clip(line, width), "note")) for line in words]
    if height < TOLD_HEIGHT_MIN:
        told = []
    room = height - len(told) - (2 if told else 1)
    rows: list[Row] = [row(Span("HOT KEYS", "muted+bold"))]
    rows.extend(_hot_rows(scene, width, max(room, 1)))
    if told:
        rows.extend([()] * max(height - len(rows) - len(told), 0))
        rows.extend(told)
    return rows[:height]


def _hot_rows(scene: Scene, width: int, count: int) -> list[Row]:
    wanted = key_filter(scene.choices.filter)
    total = scene.model.summary.ops or 0.0
    rows: list[Row] = []
    for heat, node_id in scene.model.snapshot.hot_keys:
        key = escape_text(heat.key, 60)
        if wanted and wanted not in key:
            continue
        rate = key_rate(heat)
        share = percent(rate / total) if total > 0 else "-"
        letter = scene.model.letter_of(node_id)
        tail = f"{number(rate):>6}/s {share:>5} {letter}" if width >= 30 else f"{share:>5} {letter}"
        room = width - len(tail) - 1
        rows.append(row(f"{clip(key, room):<{room}} ", Span(tail, "strong")))
        if len(rows) >= count:
            break
    if not rows:
        rows.append(row(Span("no hot key" if not wanted else "no key matches", "muted")))
    return rows


def heat_title(scene: Scene, width: int, height: int) -> str:
    """Scale and span of the map: what its colours stand for."""
    cells = max(width - MARGIN, 10)
    columns = scene.model.heat.visible(cells)
    top = heat_top(scene, columns, map_groups(scene, max(height, 1)))
    metric = scene.choices.metric_name
    unit = milliseconds(top) if metric == "p99" else f"{number(top)}/s"
    mode = "fixed" if scene.choices.heat_top is not None else "auto"
    shades = "" if scene.look.pixels else f"{SHADES.strip()} "
    return f"0 {shades}{unit} {mode}"


def span_words(scene: Scene, columns: Sequence[HeatColumn]) -> str:
    """From when to when the map reaches."""
    if not columns:
        return ""
    first = clock(columns[0].at_wall_ms, scene.look.offset_s)
    return f"{first}-{clock(columns[-1].at_wall_ms, scene.look.offset_s)}"
