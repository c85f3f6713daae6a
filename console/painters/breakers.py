"""The breaker matrix, caller by callee, and the words for the worst links beside it."""

from __future__ import annotations

from typing import Final

from console.painters.nodes import sparkline
from console.painters.spans import Row, Span, beside, fit, row
from console.view_models.breakers import Cell, breaker_lines, short_lines
from console.view_models.scene import Scene

CELL_STYLES: Final = {
    "open": "breaker-open+bold",
    "forced-open": "breaker-open+bold",
    "half-open": "breaker-half+bold",
    "closed": "breaker-closed",
    "disabled": "muted",
}
LEGEND: Final = ". closed  ~ half  x open"
TILE_WIDTH_MIN: Final = 20


def _matrix_rows(scene: Scene, cell_width: int, rows_max: int) -> list[Row]:
    matrix = scene.model.matrix
    heads = [Span("    ")]
    heads.extend(
        Span(letter.ljust(cell_width), scene.owner_style(index) + "+bold")
        for index, letter in enumerate(matrix.letters)
    )
    rows: list[Row] = [tuple(heads)]
    order = list(range(len(matrix.letters)))
    hidden = 0
    if len(order) > rows_max - 1:
        # Rows with trouble come first, so that what is cut off is quiet.
        order.sort(key=lambda index: (_is_quiet(matrix.cells[index]), index))
        hidden = len(order) - max(rows_max - 2, 1)
        order = sorted(order[: max(rows_max - 2, 1)])
    for index in order:
        spans = [
            Span(" "),
            Span(matrix.letters[index], scene.owner_style(index) + "+bold"),
            Span("  "),
        ]
        spans.extend(
            Span(cell.text.ljust(cell_width), CELL_STYLES.get(cell.state, "muted"))
            for cell in matrix.cells[index]
        )
        rows.append(tuple(spans))
    if hidden > 0:
        rows.append(row(Span(f" ..  {hidden} more rows  [3]", "muted")))
    return rows


def _is_quiet(cells: tuple[Cell, ...]) -> bool:
    return all(cell.state not in ("open", "half-open", "forced-open") for cell in cells)


def _tile(scene: Scene, width: int, height: int) -> list[Row]:
    troubled = scene.model.matrix.troubled
    if not troubled:
        known = any(cell.state == "closed" for cells in scene.model.matrix.cells for cell in cells)
        text = "all breakers closed" if known else "no breaker reported"
        return [row(Span(text, "muted"))]
    if width < 28 or height < 7:
        lines = short_lines(troubled, height)
        rows = [row(Span(line, "" if line.startswith(" ") else "strong")) for line in lines]
        hidden = len(troubled) - sum(not line.startswith(" ") for line in lines)
        if hidden > 0 and rows:
            rows[-1] = row(f"and {hidden + 1} more")
        return rows
    rows = []
    for caller, callee, breaker in troubled:
        lines = list(breaker_lines(caller, callee, breaker, scene.look.offset_s))
        if len(rows) + len(lines) > height and rows:
            break
        rows.append(row(Span(lines[0], CELL_STYLES.get(breaker.state, "strong"))))
        rows.extend(row(f"  {line}") for line in lines[1:])
        rows.append(())
    return rows[:height]


def _error_rows(scene: Scene, width: int) -> list[Row]:
    """The cluster's errors over the last minute, zero-based, with the faults' times under it."""
    room = min(width - 12, 60)
    errors = list(scene.model.errors)[-room:]
    top = max(max(errors, default=0.0), 0.05)
    line = sparkline(errors, room, scene.look.glyphs.bars, top)
    now = scene.model.snapshot.at_wall_ms
    marks = [" "] * room
    for fault in scene.model.snapshot.faults:
        ticks = int((now - fault.since_wall_ms) / 1000 / max(scene.choices.interval_s, 0.1))
        for at in range(max(room - 1 - ticks, 0), room):
            marks[at] = "="
    return [
        row(Span(" err% ", "muted"), Span(line, "state-down"), Span(f" {top * 100:.0f}%", "muted")),
        row(Span(" fault", "muted"), Span("".join(marks), "fault")),
    ]


def paint_breakers(scene: Scene, width: int, height: int) -> list[Row]:
    """The matrix, the tile beside it or under it, and the error line when there is room."""
    count = len(scene.model.matrix.letters)
    cell_width = 5 if width >= 4 + count * 5 + TILE_WIDTH_MIN + 8 else 3
    if width < 4 + count * cell_width:
        cell_width = 2
    matrix_width = min(4 + count * cell_width + 2, width)
    if width < matrix_width + TILE_WIDTH_MIN - 4:
        return _stacked(scene, cell_width, width, height)
    extra = _error_rows(scene, width) if height >= count + 5 and width >= 40 else []
    body = height - len(extra) - (1 if extra else 0)
    left = _matrix_rows(scene, cell_width, body)
    right = _tile(scene, width - matrix_width, body - 1)
    rows = beside(left, [(), *right], matrix_width, width)[:body]
    if extra:
        rows.extend([()] * (body - len(rows) + 1))
        rows.extend(extra)
    return [fit(line, width) for line in rows[:height]]


def _stacked(scene: Scene, cell_width: int, width: int, height: int) -> list[Row]:
    rows = _matrix_rows(scene, cell_width, height)
    room = height - len(rows) - 1
    if room > 0:
        rows.append(())
        rows.extend((Span(" "), *line) for line in _tile(scene, min(width - 1, 27), room))
    return [fit(line, width) for line in rows[:height]]
