"""What each action of the registry does on the overview: one method a ``method`` in ACTIONS."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from console import intents
from console.bars.ask import QuitBar
from console.bars.base import Bar
from console.bars.fault import FaultBar, FaultTarget
from console.bars.latency import LatencyBar
from console.bars.load import LoadBar
from console.bars.membership import AddBar, RemoveBar
from console.bars.text import TextBar
from console.formatting import number, percent
from console.painters.explain import explain_lines
from console.painters.heat import heat_top, map_groups
from console.painters.keyspaces import keyspace_lines
from console.painters.nodes import detail_lines
from console.painters.replication import replication_lines
from console.painters.storage import storage_lines
from console.screens.help import help_lines
from console.screens.sheet import Sheet
from console.screens.topology import TopologySheet
from console.view_models.heat import METRICS
from console.view_models.nodes import FILTER_HINT, SORTS
from console.view_models.ring import MODES
from console.view_models.scene import Panel, Scene

if TYPE_CHECKING:
    from console.screens.overview import Overview

LOG_LINES: Final = 200
HEAT_ROWS_TYPICAL: Final = 12


class Deeds:
    """Actions of the overview."""

    def __init__(self, overview: Overview) -> None:
        self._screen = overview
        self._filter_bar: TextBar | None = None
        self._locate_bar: TextBar | None = None
        self._explain_bar: TextBar | None = None

    @property
    def _scene(self) -> Scene:
        return self._screen.scene

    def add_node(self) -> None:
        present = tuple(row.node_id for row in self._scene.model.rows)
        self._screen.open_bar(AddBar(present))
        assert self._screen.bar is not None
        self.bar_changed(self._screen.bar)

    def remove_bar(self, node_id: str, reason: str = "") -> None:
        """Preview of a graceful leave."""
        bar = RemoveBar(node_id, reason)
        self._screen.open_bar(bar)
        self._screen.console_app.ask_preview(bar, 0, node_id)

    def bar_changed(self, bar: Bar) -> None:
        """An add bar may want another preview."""
        if isinstance(bar, AddBar) and (count := bar.question()):
            self._screen.console_app.ask_preview(bar, count, "")

    def fault_menu(self) -> None:
        scene = self._scene
        targets = scene.targets()
        if not targets:
            self._screen.say("no node to break")
            return
        target = fault_target(scene, targets)
        self._screen.open_bar(FaultBar(target, scene.capabilities, scene.model.snapshot.faults))

    def latency(self) -> None:
        targets = self._scene.targets()
        if not targets:
            self._screen.say("no node to slow down")
            return
        self._screen.open_bar(LatencyBar(targets))

    def restart(self) -> None:
        rows = [self._scene.model.row(node_id) for node_id in self._scene.targets()]
        down = [row.node_id for row in rows if row is not None and row.state == "DOWN"]
        paused = [row.node_id for row in rows if row is not None and row.state == "PAUSED"]
        if not down and not paused:
            self._screen.say("restart: the node is up; x o restarts it all the same")
            return
        if down:
            self._screen.submit(intents.restart(down))
        if paused:
            self._screen.submit(intents.resume(paused))

    def undo(self) -> None:
        app = self._screen.console_app
        snapshot = app.model.snapshot
        entry = app.undo.newest(snapshot)
        if entry is None:
            self._screen.say("nothing to undo")
            return
        if entry.kind == "add":
            added = intents.added_since(entry, snapshot)
            self.remove_bar(added[-1], f"   (undoes {entry.text})")
            return
        command = intents.inverse(entry)
        assert command is not None
        app.undo.discard(entry)
        self._screen.submit(command)

    def heal(self) -> None:
        self._screen.submit(intents.heal_all())

    def load(self) -> None:
        self._screen.open_bar(LoadBar(self._scene.model.snapshot.load))

    def panel(self, index: int) -> None:
        choices = self._scene.choices
        chosen = Panel(index)
        small = self._screen.app.size.width < 120 or self._screen.app.size.height < 30
        if small:
            # There the number swaps the whole body; the same number again returns.
            choices.zoomed = not (choices.zoomed and choices.panel is chosen)
        choices.panel = chosen
        self._screen.replan()

    def next_panel(self, step: int) -> None:
        order = list(Panel)
        at = order.index(self._scene.choices.panel)
        self._scene.choices.panel = order[(at + step) % len(order)]
        self._screen.replan()

    def move(self, rows: int) -> None:
        choices = self._scene.choices
        if choices.panel is Panel.EVENTS:
            count = len(self._scene.model.log.lines)
            choices.scroll = min(max(choices.scroll + rows, 0), max(count - 1, 0))
        else:
            self._scene.move_cursor(rows)
        self._screen.redraw()

    def move_to(self, end: int) -> None:
        self.move(-(10**6) if end == 0 else 10**6)

    def walk(self, steps: int) -> None:
        self._scene.walk_cursor(steps)
        self._screen.redraw()

    def open(self) -> None:
        scene = self._scene
        self._screen.app.push_screen(Sheet(scene.choices.cursor, lambda: detail_lines(scene)))

    def back(self) -> None:
        choices = self._scene.choices
        if choices.zoomed:
            choices.zoomed = False
        elif choices.filter:
            choices.filter = ""
        elif choices.located is not None:
            choices.located = None
        elif choices.marks:
            choices.marks.clear()
        choices.scroll = 0
        self._screen.replan()

    def filter(self) -> None:
        self._filter_bar = TextBar("FILTER", FILTER_HINT, self._scene.choices.filter)
        self._screen.open_bar(self._filter_bar)

    def locate(self) -> None:
        self._locate_bar = TextBar("FIND KEY", "shows the key's slot, owner and replicas")
        self._screen.open_bar(self._locate_bar)

    def explain(self) -> None:
        scene = self._scene
        hottest = next((heat.key for heat, _ in scene.model.snapshot.hot_keys), b"")
        located = scene.choices.located
        key = located.key if located is not None else hottest.decode("utf-8", "replace")
        self._explain_bar = TextBar(
            "EXPLAIN KEY", "its policy, its owners, and what works now", key
        )
        self._screen.open_bar(self._explain_bar)

    def take_text(self, bar: Bar, text: str) -> None:
        """A text bar was accepted."""
        if bar is self._filter_bar:
            self._scene.choices.filter = text.strip()
            self._screen.redraw()
        elif bar is self._explain_bar:
            if text:
                sheet = Sheet("Explain", lambda: explain_lines(self._scene, text, sheet.columns))
                self._screen.app.push_screen(sheet)
        elif bar is self._locate_bar:
            if text:
                self._screen.console_app.locate(text)
            else:
                self._scene.choices.located = None
                self._screen.redraw()

    def sort(self) -> None:
        self._scene.choices.sort = (self._scene.choices.sort + 1) % len(SORTS)
        self._screen.redraw()

    def mark(self) -> None:
        choices = self._scene.choices
        if choices.cursor in choices.marks:
            del choices.marks[choices.cursor]
        elif choices.cursor:
            choices.marks[choices.cursor] = None
        self._screen.redraw()

    def zoom(self) -> None:
        self._scene.choices.zoomed = not self._scene.choices.zoomed
        self._screen.replan()

    def freeze(self) -> None:
        self._screen.console_app.toggle_freeze()

    def interval(self, step: int) -> None:
        interval_s = self._scene.choices.step_interval(step)
        self._screen.console_app.change_interval(interval_s)
        self._screen.say(f"refresh every {interval_s:.2f} s")

    def ring_mode(self) -> None:
        self._scene.choices.ring_mode = (self._scene.choices.ring_mode + 1) % len(MODES)
        self._screen.say(f"ring: {self._scene.choices.ring_mode_name}")

    def heat_metric(self) -> None:
        self._scene.choices.metric = (self._scene.choices.metric + 1) % len(METRICS)
        self._scene.choices.heat_top = None
        self._screen.say(f"heat: {self._scene.choices.metric_name}")

    def brightness(self, step: int) -> None:
        scene = self._scene
        groups = map_groups(scene, HEAT_ROWS_TYPICAL)
        top = heat_top(scene, scene.model.heat.visible(100), groups)
        scene.choices.step_brightness(step, top)
        fixed = scene.choices.heat_top
        self._screen.say(f"heat scale: top {number(fixed)}" if fixed else "heat scale: automatic")

    def node_log(self) -> None:
        if self._scene.choices.cursor:
            self._screen.console_app.fetch_log(self._scene.choices.cursor, LOG_LINES)

    def keyspaces(self) -> None:
        scene = self._scene

        def produce() -> list[str]:
            snapshot = scene.model.snapshot
            return keyspace_lines(snapshot.keyspaces, snapshot.cluster, read_only=scene.read_only)

        self._screen.app.push_screen(Sheet("Keyspaces", produce))

    def storage(self) -> None:
        self._node_sheet("Storage", storage_lines)

    def replication(self) -> None:
        self._node_sheet("Replication", replication_lines)

    def history(self) -> None:
        self._screen.app.push_screen(TopologySheet(self._scene))

    def _node_sheet(self, title: str, lines: Callable[[Scene, int], list[str]]) -> None:
        """A sheet about all nodes and, in detail, the one under the cursor."""
        scene = self._scene
        sheet = Sheet(title, lambda: lines(scene, sheet.columns), walk=self.walk)
        self._screen.app.push_screen(sheet)

    def next_theme(self) -> None:
        self._screen.console_app.next_theme()

    def screenshot_files(self) -> None:
        self._screen.console_app.write_shots()

    def help(self) -> None:
        scene = self._scene
        keymap = self._screen.console_app.keymap_used

        def produce() -> list[str]:
            return help_lines(
                keymap, scene.capabilities, read_only=scene.read_only, width=sheet.columns
            )

        sheet = Sheet("Keys", produce)
        self._screen.app.push_screen(sheet)

    def palette(self) -> None:
        self._screen.app.action_command_palette()

    def quit_bar(self) -> None:
        app = self._screen.console_app
        faults = len(self._scene.model.snapshot.faults)
        if not isinstance(self._screen.bar, QuitBar):
            self._screen.open_bar(QuitBar(app.settings.owns_nodes, faults))

    def interrupt(self) -> None:
        self._screen.console_app.interrupt()


def fault_target(scene: Scene, node_ids: tuple[str, ...]) -> FaultTarget:
    """Whom a fault would hit, in words: title and effect of a kill."""
    model = scene.model
    rows = [row for row in (model.row(node_id) for node_id in node_ids) if row is not None]
    share = sum(row.share or 0.0 for row in rows)
    ops = sum(row.ops or 0.0 for row in rows)
    if len(node_ids) == 1:
        who = f"{model.letter_of(node_ids[0])} {node_ids[0]}"
    else:
        who = f"{len(node_ids)} marked: {' '.join(node_ids)}"
    title = f"FAULT on {who} ({number(ops)} op/s, {percent(share, 1)} of ring)"
    effect = f"x x = kill {intents.names(node_ids)}: {_kill_effect(scene, node_ids)}"
    return FaultTarget(node_ids, title, effect, all(row.is_down for row in rows))


def _kill_effect(scene: Scene, node_ids: tuple[str, ...]) -> str:
    """Which share of the slots would have no live owner left, and who takes the rest."""
    snapshot, live = scene.model.snapshot, scene.model.live
    if snapshot.owners is None:
        return "u restarts"
    doomed = {i for i, member in enumerate(snapshot.members) if member.node_id in node_ids}
    lost = 0
    heirs: dict[int, int] = {}
    for owners in snapshot.owners:
        if not owners or owners[0] not in doomed:
            continue
        heir = next((o for o in owners[1:] if o not in doomed and o in live), None)
        if heir is None:
            lost += 1
        else:
            heirs[heir] = heirs.get(heir, 0) + 1
    if lost:
        return f"{percent(lost / len(snapshot.owners), 1)} of the slots lose every copy. u restarts"
    takers = sorted(heirs, key=lambda owner: -heirs[owner])[:4]
    letters = ", ".join(snapshot.members[owner].letter for owner in takers)
    return f"{letters or 'nobody'} take over, every key stays readable. u restarts"
