"""A scene: everything that a painter may look at, in one value.

The cluster's model, what the operator chose (cursor, marks, modes), and how this terminal draws
(glyphs, levels of colour). Choosing is decided here; painting is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from console.scenario_progress import ScenarioProgress
from console.source import AddPreview, Capability
from console.view_models.cluster import ClusterModel
from console.view_models.heat import METRICS, nice_top
from console.view_models.nodes import SORTS, NodeRow, matches, sorted_rows
from console.view_models.ring import MODES, owners_by_name

if TYPE_CHECKING:
    from console.painters.spans import Row

INTERVAL_MIN_S: Final = 0.25
INTERVAL_MAX_S: Final = 10.0
INTERVAL_STEP_S: Final = 0.1
BRIGHTNESS_STEP: Final = 1.6


class Panel(Enum):
    """The panels of the overview; the value is its key."""

    RING = 1
    NODES = 2
    BREAKERS = 3
    HEAT = 4
    EVENTS = 5


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Characters that a terminal's font can be trusted with."""

    name: str
    box: str
    """Horizontal, vertical, four corners: top left, top right, bottom left, bottom right."""
    bars: str
    """Levels of a sparkline from empty to full, at least two."""
    half_blocks: bool
    """Whether half blocks may be drawn."""
    moved: str
    """A slot without a live owner, or one that just moved."""
    mark: str
    """A key's place on the ring."""
    plus_minus: str
    hatch: str
    """A slot that is about to change its owner."""


GLYPHS: Final = {
    "full": Glyphs("full", "─│┌┐└┘", "▁▂▃▄▅▆▇█", True, "·", "◆", "±", "▒"),
    "block": Glyphs("block", "─│┌┐└┘", " ░▒▓█", True, "·", "█", "±", "▒"),
    "ascii": Glyphs("ascii", "-|++++", "_.-=*#", False, ".", "*", "+-", "%"),
}

SHADES: Final = " .:-=+*#%@"
"""Levels of heat where colours can't be trusted."""


@dataclass(frozen=True, slots=True)
class Look:
    """How this terminal draws."""

    glyphs: Glyphs
    levels: int
    """Levels of the heat ramp: 32 in true colour, 8 with 256 colours, 0: shades and letters."""
    offset_s: int = 0
    """Of local time, east of Greenwich."""

    @property
    def pixels(self) -> bool:
        """Whether half-block pixels carry colours here."""
        return self.levels > 0 and self.glyphs.half_blocks


@dataclass(frozen=True, slots=True)
class Located:
    """A key that was looked up."""

    key: str
    slot: int
    owners: tuple[str, ...]


@dataclass(slots=True)
class Choices:
    """What the operator chose."""

    cursor: str = ""
    """Node id."""
    marks: dict[str, None] = field(default_factory=dict)
    """Node ids in the order of marking."""
    panel: Panel = Panel.NODES
    zoomed: bool = False
    filter: str = ""
    sort: int = 0
    ring_mode: int = 0
    metric: int = 0
    heat_top: float | None = None
    """Fixed top of the heat scale, None: automatic."""
    frozen: bool = False
    located: Located | None = None
    interval_s: float = 1.0
    scroll: int = 0
    """Lines of the event log that are below the view."""
    details: bool = False

    @property
    def ring_mode_name(self) -> str:
        return MODES[self.ring_mode % len(MODES)]

    @property
    def metric_name(self) -> str:
        return METRICS[self.metric % len(METRICS)]

    def step_interval(self, steps: int) -> float:
        """Lengthen (positive) or shorten the refresh interval by 100 ms steps, within bounds."""
        wanted = round(self.interval_s + steps * INTERVAL_STEP_S, 2)
        self.interval_s = min(max(wanted, INTERVAL_MIN_S), INTERVAL_MAX_S)
        return self.interval_s

    def step_brightness(self, steps: int, current_top: float) -> None:
        """Brighter (positive) lowers the top of the scale; 0 gives it back to the load."""
        if steps == 0:
            self.heat_top = None
            return
        top = self.heat_top if self.heat_top is not None else current_top
        changed = nice_top(top * BRIGHTNESS_STEP) if steps < 0 else top / BRIGHTNESS_STEP
        self.heat_top = min(max(changed, 1.0), 1e9)


@dataclass(slots=True)
class Scene:
    """What painters look at."""

    model: ClusterModel
    choices: Choices
    look: Look
    title: str = "demo"
    capabilities: Capability = Capability.NONE
    read_only: bool = False
    tiny: bool = False
    """The ring and the heat map have no room."""
    zoom_shown: bool = False
    """One panel has the whole body."""
    first_row: int = 0
    """First row of the node table that is on the screen."""
    undo_text: str = ""
    """What ``u`` would take back."""
    scenario: ScenarioProgress | None = None
    """The scenario that runs on this cluster, or ran."""
    preview: AddPreview | None = None
    """A change that an open bar offers: the ring shows which slots would move."""
    slices_kept: tuple[tuple[object, ...], list[Row]] | None = None
    """The ring as it was last painted in slices, and all that it was painted from."""
    _previewed: tuple[AddPreview, tuple[str, ...], tuple[tuple[int, ...], ...]] | None = None
    """The preview that was last placed, the members it was placed on, and the owners to be."""

    def owners_next(self) -> tuple[tuple[int, ...], ...] | None:
        """Per slot the owners to be: of the change in flight, else the first ones of the preview."""
        if self.model.snapshot.owners_next is not None:
            return self.model.snapshot.owners_next
        preview, ids = self.preview, self.model.ring.member_ids
        if preview is None or preview.first_owners is None:
            return None
        placed = self._previewed
        if placed is None or placed[0] is not preview or placed[1] != ids:
            placed = (preview, ids, owners_by_name(preview.first_owners, ids))
            self._previewed = placed
        return placed[2]

    def shown_rows(self) -> list[NodeRow]:
        """The node table's rows: filtered and sorted."""
        rows = sorted_rows(self.model.rows, self.choices.sort)
        wanted = self.choices.filter
        return [row for row in rows if matches(row, wanted)] if wanted else rows

    def settle_cursor(self) -> None:
        """Keep cursor and marks on nodes that exist."""
        shown = [row.node_id for row in self.shown_rows()]
        if self.choices.cursor not in shown and shown:
            self.choices.cursor = shown[0]
        present = {row.node_id for row in self.model.rows}
        for node_id in [marked for marked in self.choices.marks if marked not in present]:
            del self.choices.marks[node_id]

    def move_cursor(self, rows: int) -> None:
        """Up or down the table, stopping at its ends."""
        shown = [row.node_id for row in self.shown_rows()]
        if not shown:
            return
        at = shown.index(self.choices.cursor) if self.choices.cursor in shown else 0
        self.choices.cursor = shown[min(max(at + rows, 0), len(shown) - 1)]

    def choose_row(self, shown_index: int) -> None:
        """Put the cursor on a row of the table, counted from the first that is shown."""
        shown = self.shown_rows()
        index = self.first_row + shown_index
        if shown_index >= 0 and index < len(shown):
            self.choices.cursor = shown[index].node_id

    def walk_cursor(self, steps: int) -> None:
        """Around the ring, in the order of the members, with wrap."""
        ids = [row.node_id for row in self.model.rows if row.state != "left"]
        if ids:
            at = ids.index(self.choices.cursor) if self.choices.cursor in ids else 0
            self.choices.cursor = ids[(at + steps) % len(ids)]

    def targets(self) -> tuple[str, ...]:
        """Nodes that a fault applies to: the marked ones, else the one under the cursor."""
        if self.choices.marks:
            return tuple(self.choices.marks)
        return (self.choices.cursor,) if self.choices.cursor else ()

    @property
    def sort_title(self) -> str:
        return SORTS[self.choices.sort % len(SORTS)][0]

    def owner_style(self, index: int) -> str:
        """The style of a member's colour; eight colours, then they repeat with the letter as key."""
        return f"owner-{'abcdefgh'[index % 8]}"
