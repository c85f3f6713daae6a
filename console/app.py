"""The console's app: wires a source, the model, the overview and the themes together.

Screens know only the :class:`ClusterSource` protocol. The source runs in a trio guest beside the
screen; what it says arrives here as messages, and all state changes happen in their handlers.
Nothing ticks here: the drawing follows the snapshots.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path, PurePath
from typing import Any, ClassVar, Final

from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from console.actions import check_keymap
from console.bars.base import STAY
from console.bars.membership import AddBar, RemoveBar, preview_lines
from console.commands import ActionCommands
from console.formatting import clock, escape_text
from console.intents import Command, UndoStack, heal_all
from console.messages import (
    CommandFinished,
    KeyLocated,
    LogArrived,
    PreviewArrived,
    ScriptTold,
    SnapshotArrived,
    SourceEnded,
)
from console.runtime.guest import TrioGuest
from console.scenario_progress import Script
from console.screens.overview import Overview
from console.screens.sheet import Sheet
from console.settings import ScreenSettings
from console.source import AddPreview, ClusterSource, CommandResult
from console.view_models.cluster import ClusterModel
from console.view_models.events import LogLine
from console.view_models.scene import GLYPHS, Choices, Located, Look, Scene
from console.widgets.stylist import Stylist
from themes import load_themes

INTERRUPT_WITHIN_S: Final = 2.0
"""A second ctrl+c within this time leaves at once."""
ANSWER_LIMIT_S: Final = 120.0
"""A command that takes longer is given up; it was called not acknowledged long before."""
QUESTION_LIMIT_S: Final = 10.0
HEAL_LIMIT_S: Final = 5.0
BLUR_DIVISOR: Final = 5
"""Without the terminal's focus every fifth snapshot is drawn; all are recorded."""
EXIT_INTERRUPTED: Final = 130
EXIT_UNREACHABLE: Final = 3
LEVELS: Final = {"truecolor": 32, "256": 8}


class ClusterConsole(App[None]):
    """Shows and commands the cluster of one source."""

    CSS_PATH: ClassVar[str | PurePath | list[str | PurePath] | None] = "styles/console.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = App.COMMANDS | {lambda: ActionCommands}
    BINDINGS: ClassVar = [
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True),
        Binding("ctrl+c", "help_quit", show=False, priority=True),
    ]
    TITLE: str | None = "ringdeck"

    def __init__(
        self,
        source: ClusterSource,
        settings: ScreenSettings | None = None,
        script: Script | None = None,
    ) -> None:
        super().__init__()
        self.source = source
        self.settings = settings or ScreenSettings()
        self.model = ClusterModel()
        self.undo = UndoStack()
        self.keymap_used, clashes = check_keymap(self.settings.keymap)
        self.problems = [*self.settings.problems, *clashes]
        self.guest = TrioGuest(
            source,
            lambda snapshot: self._post(SnapshotArrived(snapshot)),
            lambda problem: self._post(SourceEnded(problem)),
            script.perform if script is not None else None,
        )
        self.source_problem = ""
        self._pending: list[tuple[LogLine, float]] = []
        self._interrupted_at_s: float | None = None
        self._leaving = False
        self._blurred = False
        self._undrawn = 0
        glyphs = GLYPHS.get(self.settings.glyphs)
        if glyphs is None:
            self.problems.append(f"glyphs: {self.settings.glyphs!r} is not full, block or ascii")
            glyphs = GLYPHS["full"]
        self.scene = Scene(
            self.model,
            Choices(interval_s=self.settings.refresh_s),
            Look(glyphs, 0, self.settings.utc_offset_s),
            title=self.settings.title,
            capabilities=source.capabilities,
            read_only=self.settings.read_only,
        )
        if script is not None:
            script.tell = lambda text: self._post(ScriptTold(text))
            self.scene.scenario = script.progress
        self.overview = Overview(self.scene)
        self.overview.hint = self.settings.hint

    def _post(self, message: Any) -> None:
        if self.is_running:
            self.post_message(message)

    def get_default_screen(self) -> Screen[None]:
        """The overview is the only base screen."""
        return self.overview

    def on_mount(self) -> None:
        self._load_themes()
        if self.keymap_used:
            self.set_keymap(self.keymap_used)
        levels = 0 if self.no_color else LEVELS.get(self.console.color_system or "", 0)
        self.scene.look = Look(self.scene.look.glyphs, levels, self.settings.utc_offset_s)
        self.theme_changed_signal.subscribe(self, lambda _: self._restyle())
        self._restyle()
        for problem in self.problems:
            self.model.log.add_note(0, problem, "warning")
        self.source.set_interval(self.settings.refresh_s)
        self.guest.start()
        self._watch_signals()

    def _watch_signals(self) -> None:
        """A polite end from outside heals, stops and restores the terminal, like ctrl+c twice."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Only a main thread's loop can; elsewhere the host of the loop takes the signals.
            with contextlib.suppress(RuntimeError, ValueError):
                loop.add_signal_handler(number, self._heal_and_leave)

    def _load_themes(self) -> None:
        themes, problems = load_themes()
        if self.settings.themes_folder:
            more, more_problems = load_themes(Path(self.settings.themes_folder))
            themes, problems = [*themes, *more], [*problems, *more_problems]
        self.problems.extend(f"theme {problem}" for problem in problems)
        for theme in themes:
            self.register_theme(theme)
        self.own_themes = [theme.name for theme in themes]
        wanted = self.settings.theme
        if wanted in self.own_themes:
            self.theme = wanted
        elif self.own_themes:
            self.problems.append(f"theme: {wanted!r} is not known: {', '.join(self.own_themes)}")
            self.theme = self.own_themes[0]

    def _restyle(self) -> None:
        variables = self.theme_variables
        if "heat-0" not in variables:
            # A theme of Textual's own lacks our names: it gets those of the first of ours.
            first = self.get_theme(self.own_themes[0])
            variables = {**(first.variables if first is not None else {}), **variables}
        self.overview.set_stylist(Stylist(variables, self.scene.look.levels or 8))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Of Textual's own commands only the choice of a theme; the rest are our actions."""
        for command in super().get_system_commands(screen):
            if command.title == "Theme":
                yield command

    def on_snapshot_arrived(self, message: SnapshotArrived) -> None:
        """The one place where the cluster's state changes."""
        self.model.apply(message.snapshot)
        self._check_deadlines()
        self._undrawn += 1
        if self._blurred and self._undrawn < BLUR_DIVISOR:
            return
        self._undrawn = 0
        entry = self.undo.newest(message.snapshot)
        self.scene.undo_text = entry.text if entry is not None else ""
        self.scene.capabilities = self.source.capabilities
        if isinstance(self.screen, Sheet):
            self.screen.refresh_lines()
        self.overview.tick()

    def on_script_told(self, message: ScriptTold) -> None:
        """What a scenario says stands in the log beside what it caused."""
        severity = "error" if message.text.startswith("FAIL") else "info"
        self.model.log.add_note(self.model.snapshot.at_wall_ms, message.text.strip(), severity)
        self.overview.redraw()

    def on_source_ended(self, message: SourceEnded) -> None:
        """Say so; what was last seen stays on the screen."""
        if not self._leaving:
            self.source_problem = message.problem
            text = escape_text(message.problem)
            self.model.log.add_note(self.model.snapshot.at_wall_ms, text, "error")
            self.overview.say(f"{text}   q leaves")

    def command(self, command: Command) -> None:
        """Run a command on the source's side; its log line stands there at once."""
        line = self.model.log.add_command(self.model.snapshot.at_wall_ms, command.text)
        self._pending.append((line, time.monotonic() + command.deadline_s))
        self.overview.say(f"{command.text} ...")

        def done(result: CommandResult | None, problem: str) -> None:
            self._post(CommandFinished(command, line, result or CommandResult(False, problem)))

        self.guest.submit(command.run, done, ANSWER_LIMIT_S)

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        for line, deadline_s in self._pending:
            if now > deadline_s and line.state == "pending":
                line.state = "unknown"
        self._pending = [entry for entry in self._pending if entry[0].state == "pending"]

    def on_command_finished(self, message: CommandFinished) -> None:
        """Show how a command ended."""
        line, result = message.line, message.result
        line.state = "ok" if result.ok else "failed"
        if text := escape_text(result.text):
            # A success says itself what was done, but for healing, which says what it found.
            whole = result.ok and not message.command.clears_undo
            line.text = text if whole else f"{line.text}: {text}"
        if result.ok:
            at_wall_ms = self.model.snapshot.at_wall_ms
            self.undo.push(message.command, result, at_wall_ms)
            entry = self.undo.newest(self.model.snapshot)
            self.scene.undo_text = entry.text if entry is not None else ""
        verdict = "" if result.ok else "FAILED  "
        undoes = "   u undoes it" if result.ok and message.command.undo_kind else ""
        self.overview.say(f"{verdict}{line.text}{undoes}")

    def ask_preview(self, bar: AddBar | RemoveBar, count: int, node_id: str) -> None:
        """What adding ``count`` nodes, or removing ``node_id``, would move."""

        async def ask(source: ClusterSource) -> AddPreview:
            if node_id:
                return await source.preview_remove(node_id)
            return await source.preview_add(count)

        self._ask(ask, lambda preview, why: PreviewArrived(bar, count, preview, why))

    def _ask(
        self,
        run: Callable[[ClusterSource], Awaitable[Any]],
        message: Callable[[Any, str], Any],
    ) -> None:
        """Ask the source something; the answer comes back as a message."""
        self.guest.submit(run, lambda value, why: self._post(message(value, why)), QUESTION_LIMIT_S)

    def on_preview_arrived(self, message: PreviewArrived) -> None:
        """Hand the preview to the bar that asked, if it is still open."""
        bar = message.bar
        if self.overview.bar is not bar:
            return
        outcome, problem = STAY, escape_text(message.problem)
        if isinstance(bar, AddBar):
            outcome = bar.take_preview(message.preview, problem, message.count)
        elif isinstance(bar, RemoveBar):
            bar.take_preview(message.preview, problem)
        if outcome.commands and message.preview is not None:
            # Enter was quicker than the preview: what it said is kept where it can be read.
            text = f"preview: {preview_lines(message.preview)[0]}"
            self.model.log.add_note(self.model.snapshot.at_wall_ms, text)
        self.overview.follow(outcome)

    def locate(self, key: str) -> None:
        """Find a key's slot and owners."""

        async def ask(source: ClusterSource) -> tuple[int, tuple[str, ...]]:
            return await source.locate(key.encode())

        self._ask(ask, lambda found, why: KeyLocated(key, found, why))

    def on_key_located(self, message: KeyLocated) -> None:
        """Mark the key on the ring."""
        if message.place is None:
            self.overview.say(f"find key: {escape_text(message.problem)}")
            return
        slot, owners = message.place
        self.scene.choices.located = Located(message.key, slot, owners)
        self.overview.say(f"{escape_text(message.key, 40)}: slot {slot} on {' '.join(owners)}")

    def fetch_log(self, node_id: str, lines: int) -> None:
        """Show the end of a node's log."""

        async def ask(source: ClusterSource) -> list[str]:
            return await source.log_tail(node_id, lines)

        self._ask(ask, lambda found, why: LogArrived(node_id, found or [], why))

    def on_log_arrived(self, message: LogArrived) -> None:
        """Open the sheet."""
        lines = [escape_text(line, 500) for line in message.lines]
        if message.problem:
            lines = [f"the log can't be read: {escape_text(message.problem)}"]
        self.push_screen(Sheet(f"{message.node_id} log", lambda: lines or ["(empty)"], at_end=True))

    def toggle_freeze(self) -> None:
        """Hold the drawing at this moment, or catch up."""
        choices = self.scene.choices
        choices.frozen = not choices.frozen
        self.scene.model = self.model.clone() if choices.frozen else self.model
        self.overview.say("frozen: data keeps being recorded" if choices.frozen else "live again")

    def change_interval(self, interval_s: float) -> None:
        """Change the interval of snapshots."""
        self.source.set_interval(interval_s)

    def next_theme(self) -> None:
        """The next of our own themes."""
        at = self.own_themes.index(self.theme) if self.theme in self.own_themes else -1
        self.theme = self.own_themes[(at + 1) % len(self.own_themes)]
        self.overview.say(f"theme {self.theme}")

    def write_shots(self) -> None:
        """Write the screen as SVG and as text."""
        at_wall_ms = self.model.snapshot.at_wall_ms
        stamp = clock(at_wall_ms, self.settings.utc_offset_s).replace(":", "")
        folder = Path(self.settings.shots_folder)
        name = folder / f"ringdeck-{stamp}-{self.model.snapshot.sequence}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name.with_suffix(".svg").write_text(self.export_screenshot(title="ringdeck"))
            name.with_suffix(".txt").write_text("\n".join(self.overview.text_lines()) + "\n")
        except OSError as error:
            self.overview.say(f"screenshot failed: {error}")
            return
        self.overview.say(f"written: {name}.svg and .txt")

    def on_app_blur(self, _: events.AppBlur) -> None:
        """Nobody is looking."""
        self._blurred = True

    def on_app_focus(self, _: events.AppFocus) -> None:
        """Somebody is looking."""
        self._blurred = False
        self.overview.redraw()

    async def on_unmount(self) -> None:
        """Whatever ended the screen, the source gets to stop what it started."""
        self._leaving = True
        await self.guest.stop()

    async def action_quit(self) -> None:
        """ctrl+q on any screen: ask once."""
        self._return_to_overview()
        self.overview.perform("app.quit")

    def action_help_quit(self) -> None:
        """ctrl+c on any screen."""
        self._return_to_overview()
        self.interrupt()

    def _return_to_overview(self) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def interrupt(self) -> None:
        """The first ctrl+c asks, the second within two seconds heals, stops and leaves."""
        now = time.monotonic()
        last = self._interrupted_at_s
        self._interrupted_at_s = now
        if last is not None and now - last <= INTERRUPT_WITHIN_S:
            self._heal_and_leave()
        else:
            self.overview.perform("app.quit")

    def _heal_and_leave(self) -> None:
        if self._leaving:
            return
        self.overview.say("healing and stopping ...")

        def healed(_result: CommandResult | None, _problem: str) -> None:
            self.call_later(self.leave, EXIT_INTERRUPTED)

        self.guest.submit(heal_all().run, healed, HEAL_LIMIT_S)

    def leave(self, return_code: int) -> None:
        """Let the source stop what it started, then end."""
        if self._leaving:
            return
        self._leaving = True
        self.overview.say("stopping ...")
        if return_code == 0 and self.source_problem:
            return_code = EXIT_UNREACHABLE
        self.run_worker(self._stop_and_exit(return_code), exit_on_error=False, name="leave")

    async def _stop_and_exit(self, return_code: int) -> None:
        problem = await self.guest.stop()
        self.exit(return_code=return_code, message=problem or None)
