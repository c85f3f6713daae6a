"""The overview: all panels at once, the keys, and the bar at the bottom.

Holds the scene and turns it into rows through the painters; decides which bar takes the keys. What
an action does is in :mod:`console.screens.deeds`; how commands travel is the app's business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.geometry import NULL_OFFSET, Region, Size, Spacing
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.screen import Screen
from textual.widget import Widget

from console.actions import ACTIONS, BY_ID, blocked_reason
from console.bars.base import Bar, Outcome, Press, text_row
from console.bars.membership import AddBar, RemoveBar
from console.bars.text import TextBar
from console.formatting import plural
from console.intents import Command
from console.painters.breakers import LEGEND, paint_breakers
from console.painters.chrome import (
    frame_bottom,
    frame_top,
    framed,
    paint_context,
    paint_footer,
    paint_header,
)
from console.painters.events import paint_events
from console.painters.heat import heat_title, paint_heat
from console.painters.nodes import paint_nodes
from console.painters.ring import paint_ring, ring_title
from console.painters.scenario import paint_scenario
from console.painters.spans import Row, Span, centred, fit, row
from console.screens.deeds import Deeds
from console.screens.layout import HEIGHT_MIN, WIDTH_MIN, Place, Plan, Rect, plan
from console.view_models.heat import METRICS
from console.view_models.ring import ring_geometry
from console.view_models.scene import Panel, Scene
from console.widgets.panel import Panel as PanelWidget
from console.widgets.stylist import Stylist

if TYPE_CHECKING:
    from console.app import ClusterConsole

NOTE_TICKS: Final = 5
"""Snapshots after which a note makes room again."""
BREAKERS_WORDS_WIDTH: Final = 36
PAINTERS: Final = {
    Panel.RING: paint_ring,
    Panel.NODES: paint_nodes,
    Panel.BREAKERS: paint_breakers,
    Panel.HEAT: paint_heat,
    Panel.EVENTS: paint_events,
}


class PlanLayout(Layout):
    """Places children where the overview's plan says."""

    name = "plan"

    def __init__(self, overview: Overview) -> None:
        super().__init__()
        self._overview = overview

    def arrange(
        self,
        parent: Widget,
        children: list[Widget],
        size: Size,
        greedy: bool = True,
    ) -> ArrangeResult:
        """One placement for each child that has a place."""
        rects = self._overview.rects()
        return [
            WidgetPlacement(Region(*rects[child.id]), NULL_OFFSET, Spacing(), child)
            for child in children
            if child.id in rects
        ]


class Overview(Screen[None]):
    """The main screen."""

    BINDINGS: ClassVar = [
        Binding(action.keys, f"act('{action.action_id}')", action.title, False, id=action.action_id)
        for action in ACTIONS
    ]

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self._layout = PlanLayout(self)
        self.scene = scene
        self.bar: Bar | None = None
        self.note = ""
        self._note_ticks = 0
        self._bar_note = ""
        self._plan: Plan = plan(80, 24, 5, None)
        self._members = 5
        self._stylist: Stylist | None = None
        self.hint = False
        self.deeds = Deeds(self)

    @property
    def console_app(self) -> ClusterConsole:
        """The app, by its own type."""
        return cast("ClusterConsole", self.app)

    @property
    def layout(self) -> Layout:
        """Our own, by computed rectangles; the style sheet's layouts know no such thing."""
        return self._layout

    def compose(self) -> ComposeResult:
        yield PanelWidget("header")
        yield PanelWidget("scenario")
        for panel in Panel:
            yield PanelWidget(panel.name.lower())
        yield PanelWidget("context")
        yield PanelWidget("footer")
        yield PanelWidget("bar")

    def on_mount(self) -> None:
        self.replan()

    def on_resize(self) -> None:
        """Another size: another plan."""
        self.replan()

    def rects(self) -> dict[str, Rect]:
        """Widget id -> rectangle, of what is shown."""
        width, height = self.app.size
        current = self._plan
        found = {panel.name.lower(): place.rect for panel, place in current.panels.items()}
        found["header"] = Rect(0, 0, width, 1 if current.panels else max(height - 1, 1))
        found["footer"] = current.footer
        if current.context is not None:
            found["context"] = current.context
        if current.strip is not None:
            found["scenario"] = current.strip
        if self.bar is not None:
            found["bar"] = self._bar_rect()
        return found

    def _bar_rect(self) -> Rect:
        assert self.bar is not None
        rect = self._plan.bar
        wanted = 1 + len(self.bar.rows(rect.width, self.scene.look.glyphs))
        height = min(max(wanted, 2), max(self.app.size.height - 2, 2))
        return Rect(0, self.app.size.height - height, rect.width, height)

    def replan(self) -> None:
        """Compute the plan for the current size and choices, and draw everything."""
        width, height = self.app.size
        choices = self.scene.choices
        zoomed = choices.panel if choices.zoomed else None
        self._members = max(len(self.scene.model.rows), 3)
        scenario = self.scene.scenario is not None
        self._plan = plan(width, height, self._members, zoomed, scenario=scenario)
        self.scene.tiny = self._plan.size_class in ("tiny", "small")
        shown = self.rects()
        for widget in self.query(PanelWidget):
            widget.display = widget.id in shown
        # Asked of a child: a screen keeps its arrangement until one of its children wants another.
        self.query_one("#header", PanelWidget).refresh(layout=True)
        self.redraw()

    def set_stylist(self, stylist: Stylist) -> None:
        """Theme or colours changed."""
        self._stylist = stylist
        self.redraw()

    def tick(self) -> None:
        """A snapshot was applied."""
        if self.note:
            self._note_ticks -= 1
            if self._note_ticks <= 0:
                self.note = ""
        if max(len(self.scene.model.rows), 3) != self._members:
            self.replan()
        else:
            self.redraw()

    def redraw(self) -> None:
        """Paint every shown panel; each redraws only rows that changed."""
        if self._stylist is None or not self.is_mounted:
            return
        self.scene.settle_cursor()
        bar = self.bar
        self.scene.preview = bar.preview if isinstance(bar, AddBar | RemoveBar) else None
        width, height = self.app.size
        if self._plan.size_class == "small":
            text = f"needs {WIDTH_MIN}x{HEIGHT_MIN}, now {width}x{height}"
            self._show("header", [fit(row(Span(centred(text, width), "strong")), width)])
            self._show("footer", [paint_footer(self.scene, width, self._keymap())])
            return
        self._show("header", [paint_header(self.scene, width)])
        if self._plan.strip is not None:
            self._show("scenario", paint_scenario(self.scene, width, self._plan.strip.height))
        for panel, place in self._plan.panels.items():
            self._show(panel.name.lower(), self._panel_rows(panel, place))
        self._draw_bottom(width)

    def _draw_bottom(self, width: int) -> None:
        has_context = self._plan.context is not None
        if has_context:
            self._show("context", [paint_context(self.scene, width, self.note, self.hint)])
        if self.note and not has_context:
            footer = fit(row(Span(f" {self.note}", "note")), width)
        else:
            footer = paint_footer(self.scene, width, self._keymap())
        self._show("footer", [footer])
        if self.bar is not None:
            glyphs = self.scene.look.glyphs
            top = frame_top(self.bar.title, "esc cancels", width, glyphs, True, False)
            rows = self.bar.rows(width, glyphs)
            if self._bar_note:
                rows[-1] = text_row(self._bar_note, width, "note")
            self._show("bar", [top, *rows])

    def _panel_rows(self, panel: Panel, place: Place) -> list[Row]:
        width, height = place.rect.width, place.rect.height
        glyphs = self.scene.look.glyphs
        focused = self.scene.choices.panel is panel
        edge = {"box": 2, "rule": 1}.get(place.frame, 0)
        inner = width - 2 if place.frame == "box" else width
        rows = PAINTERS[panel](self.scene, inner, max(height - edge, 0))
        if place.frame == "none":
            return rows
        title, right = self._titles(panel, inner, height - edge)
        top = frame_top(title, right, width, glyphs, focused, place.frame == "box")
        if place.frame == "rule":
            return [top, *rows]
        body = framed(rows, width, height - 2, glyphs, focused)
        return [top, *body, frame_bottom(width, glyphs, focused)]

    def _titles(self, panel: Panel, width: int, height: int) -> tuple[str, str]:
        """(title, remark) of a panel's frame."""
        choices = self.scene.choices
        if panel is Panel.RING:
            rows = max(min(height, width // 2), 5)
            return "1 Ring", ring_title(self.scene, ring_geometry(rows).arcs)
        if panel is Panel.NODES:
            wanted = f"  filter {choices.filter}" if choices.filter else ""
            return "2 Nodes", f"s: sort {self.scene.sort_title}{wanted}"
        if panel is Panel.BREAKERS:
            wide = width >= BREAKERS_WORDS_WIDTH
            return "3 Breakers  caller -> callee" if wide else "3 Breakers", LEGEND
        if panel is Panel.HEAT:
            metric = METRICS[choices.metric % len(METRICS)]
            what = "ops/s by slot" if metric == "ops" else f"{metric} by node"
            return f"4 Heat  {what}", heat_title(self.scene, width, height)
        count = plural(len(self.scene.model.log.lines), "line")
        return "5 Events", f"{choices.scroll} back of {count}" if choices.scroll else count

    def _keymap(self) -> dict[str, str]:
        return self.console_app.keymap_used

    def _show(self, widget_id: str, rows: Sequence[Row]) -> None:
        assert self._stylist is not None
        self.query_one(f"#{widget_id}", PanelWidget).show_rows(rows, self._stylist)

    def open_bar(self, bar: Bar) -> None:
        """Let a bar take the keys; it counts keys only once it has been painted."""
        self.bar = bar
        self._bar_note = ""
        bar.painted_at_s = None
        self.replan()

        def painted() -> None:
            if self.bar is bar:
                bar.painted_at_s = time.monotonic()

        self.call_after_refresh(painted)

    def close_bar(self) -> None:
        """Give the keys back to the panels."""
        self.bar = None
        self.replan()

    def say(self, text: str) -> None:
        """A remark for the operator, until the next key or a few ticks."""
        self.note = text
        self._note_ticks = NOTE_TICKS
        self.redraw()

    def on_key(self, event: events.Key) -> None:
        """An open bar gets every key but those that leave."""
        self.hint = False
        if self.bar is None:
            self.note = ""
            if event.is_printable and event.key not in self.active_bindings:
                self.say(f"{event.character} does nothing here   ? shows every key")
            return
        if event.key in ("ctrl+c", "ctrl+q"):
            return
        event.stop()
        event.prevent_default()
        self.note = ""
        character = event.character or ""
        printable = character if event.is_printable else ""
        self.follow(self.bar.press(Press(event.key, printable, time.monotonic())))

    def on_paste(self, event: events.Paste) -> None:
        """Pasted text goes into a text bar and nowhere else."""
        if isinstance(self.bar, TextBar):
            self.bar.paste(event.text)
            self.redraw()
        event.stop()

    def on_panel_pointed(self, message: PanelWidget.Pointed) -> None:
        """The mouse chooses a panel, a node's row, or scrolls; it never changes the cluster."""
        name = message.panel_id.upper()
        if self.bar is not None or name not in Panel.__members__:
            return
        panel = Panel[name]
        self.scene.choices.panel = panel
        if message.steps:
            self.deeds.move(message.steps)
        elif panel is Panel.NODES:
            frame = self._plan.panels[panel].frame
            self.scene.choose_row(message.y - (1 if frame == "none" else 2))
        self.redraw()

    def follow(self, outcome: Outcome) -> None:
        """Do what a bar answered."""
        bar = self.bar
        if outcome.close:
            self.close_bar()
        if outcome.text is not None and bar is not None:
            self.deeds.take_text(bar, outcome.text)
        for command in outcome.commands:
            self.submit(command)
        if outcome.open_bar is not None:
            self.open_bar(outcome.open_bar)
        if outcome.remove:
            self.deeds.remove_bar(outcome.remove)
        if outcome.ask:
            self.perform(outcome.ask)
        if outcome.quit:
            self.console_app.leave(0)
        if outcome.confirm_after_s is not None and bar is not None:
            self.set_timer(outcome.confirm_after_s, lambda: self._confirm(bar))
        if self.bar is not None:
            # The bar covers the line on which remarks stand.
            self._bar_note = outcome.note
            self.deeds.bar_changed(self.bar)
            self.replan()
        elif outcome.note:
            self.say(outcome.note)

    def _confirm(self, bar: Bar) -> None:
        if self.bar is bar:
            self.follow(bar.confirm(time.monotonic()))

    def submit(self, command: Command) -> None:
        """Send a command, showing at once that it was given."""
        self.console_app.command(command)

    def action_act(self, action_id: str) -> None:
        """Every key binding ends here."""
        self.perform(action_id)

    def perform(self, action_id: str) -> None:
        """Do an action, or say why it can't be done."""
        action = BY_ID[action_id]
        reason = blocked_reason(action, self.scene.capabilities, read_only=self.scene.read_only)
        if reason:
            self.say(f"{action.title}: {reason}")
            return
        name, _, argument = action.method.partition("(")
        deed = getattr(self.deeds, name)
        if argument:
            deed(int(argument.rstrip(")")))
        else:
            deed()

    def text_lines(self) -> list[str]:
        """The whole screen as text, for the text screenshot."""
        width, height = self.app.size
        canvas = [[" "] * width for _ in range(height)]
        for widget in self.query(PanelWidget):
            if not widget.display or widget.id not in self.rects():
                continue
            rect = self.rects()[widget.id]
            for y, line in enumerate(widget.text_lines()):
                if rect.y + y < height:
                    canvas[rect.y + y][rect.x : rect.x + len(line)] = list(line)
        return ["".join(line[:width]).rstrip() for line in canvas]
