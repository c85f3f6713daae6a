"""The overview driven by keys: four sizes, commands recorded by the fake source."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from console.actions import ACTIONS
from console.app import EXIT_INTERRUPTED, ClusterConsole
from console.bars.ask import QuitBar
from console.bars.fault import FaultBar
from console.commands import ActionCommands
from console.painters.ring import NEWCOMER
from console.screens.layout import plan, size_class
from console.screens.sheet import Sheet
from console.settings import ScreenSettings
from console.source import Capability
from console.view_models.scene import Panel
from console.widgets.panel import Panel as PanelWidget
from tests.console.fakes import FakeSource, make_owners

SIZES = ((60, 20), (80, 24), (120, 30), (160, 45))
Play = Callable[[ClusterConsole, FakeSource, Pilot[None]], Awaitable[None]]


def run(
    play: Play,
    size: tuple[int, int] = (80, 24),
    source: FakeSource | None = None,
    **settings: Any,
) -> tuple[ClusterConsole, FakeSource]:
    """Start the app on a fake source, wait for its first snapshots, play."""
    source = source or FakeSource()
    app = ClusterConsole(source, ScreenSettings(title="demo", **settings))

    async def scenario() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.model.snapshot.sequence >= 3)
            await play(app, source, pilot)

    asyncio.run(asyncio.wait_for(scenario(), 30))
    return app, source


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    """Wait for a condition, bounded."""
    for _ in range(500):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("the condition did not come true")


async def tick(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
    """One second of cluster time."""
    wanted = app.model.snapshot.sequence + 1
    source.step()
    await until(pilot, lambda: app.model.snapshot.sequence >= wanted)


async def open_fault_menu(app: ClusterConsole, pilot: Pilot[None]) -> FaultBar:
    await pilot.press("x")
    bar = app.overview.bar
    assert isinstance(bar, FaultBar)
    await until(pilot, lambda: bar.painted_at_s is not None)
    # As if the operator had looked at the menu for a while.
    assert bar.painted_at_s is not None
    bar.painted_at_s -= 1.0
    return bar


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("glyphs", ["full", "ascii"])
def test_nothing_is_wider_than_the_screen(size: tuple[int, int], glyphs: str) -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        source.killed["n3"] = source.tick
        source.event("fault", "n3 killed " + "x" * 300, severity="error")
        await tick(app, source, pilot)
        lines: list[str] = []
        for keys in ([], ["x"], ["escape", "i"], ["escape", "o"], ["escape", "a"], ["escape", "q"]):
            await pilot.press(*keys)
            lines = app.overview.text_lines()
            assert len(lines) == size[1]
            assert max(map(len, lines)) <= size[0]
            for widget in app.overview.children:
                assert widget.region.right <= size[0]
                assert widget.region.bottom <= size[1]
        text = "\n".join(lines)
        assert "UP 4/5" in text
        assert "DOWN" in text
        if glyphs == "ascii":
            assert text.isascii()

    run(play, size, glyphs=glyphs)


@pytest.mark.parametrize("size", SIZES)
def test_every_node_and_its_breakers_fit_at_every_size(size: tuple[int, int]) -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        text = "\n".join(app.overview.text_lines())
        for node in ("A n1", "B n2", "C n3", "D n4", "E n5"):
            assert node in text
        assert "more rows" not in text
        assert ("HOT KEYS" in text) == (size[0] >= 80)

    run(play, size)


def test_members_that_come_later_get_rows() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        source.nodes = 5
        source.owners = make_owners(5)
        await tick(app, source, pilot)
        await until(pilot, lambda: app.overview.query_one("#nodes").size.height == 6)
        assert "E n5" in "\n".join(app.overview.text_lines())

    run(play, (80, 24), FakeSource(3))


def test_a_screen_that_is_too_small_says_so_and_goes_on() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        assert "needs 60x20, now 50x15" in app.overview.text_lines()[0]
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Breakers" in "\n".join(app.overview.text_lines()))

    run(play, (50, 15))


def test_x_x_kills_the_node_under_the_cursor_and_u_restarts_it() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("j", "j")
        await open_fault_menu(app, pilot)
        assert "C n3" in app.overview.bar.title  # type: ignore[union-attr]
        await pilot.press("x")
        await until(pilot, lambda: ("kill", "n3") in source.commands)
        await tick(app, source, pilot)
        assert app.scene.undo_text == "kill n3"
        await pilot.press("u")
        await until(pilot, lambda: ("restart", "n3") in source.commands)

    run(play)


def test_a_held_x_kills_nothing() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await open_fault_menu(app, pilot)
        await pilot.press(*["x"] * 10)
        await pilot.pause(0.3)
        assert source.commands == []

    run(play)


def test_pause_then_r_resumes() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await open_fault_menu(app, pilot)
        await pilot.press("p")
        await until(pilot, lambda: ("pause", "n1") in source.commands)
        await tick(app, source, pilot)
        assert "PAUSED" in "\n".join(app.overview.text_lines())
        await pilot.press("r")
        await until(pilot, lambda: ("resume", "n1") in source.commands)

    run(play)


def test_r_leaves_a_node_that_is_up_alone() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("r")
        assert "x o" in app.overview.note
        assert source.commands == []

    run(play)


def test_i_i_delays_by_200_ms_and_undo_lifts_it() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("i")
        bar = app.overview.bar
        assert bar is not None
        await until(pilot, lambda: bar.painted_at_s is not None)
        bar.painted_at_s -= 1.0  # type: ignore[operator]
        await pilot.press("i")
        await until(pilot, lambda: bool(source.commands))
        kind, link, attributes, stream = source.commands[0][1:5]
        assert (kind, link, stream) == ("latency", "n1", "down")
        assert attributes == {"latency": 200.0, "jitter": 50.0}
        await tick(app, source, pilot)
        await pilot.press("u")
        await until(pilot, lambda: source.commands[-1][0] == "remove_fault")

    run(play)


def test_a_previews_and_enter_adds() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("a")
        await until(pilot, lambda: "2730 slots" in "\n".join(app.overview.text_lines()))
        assert ("add_nodes", 1) not in source.commands
        await pilot.press("enter")
        await until(pilot, lambda: ("add_nodes", 1) in source.commands)
        for _ in range(4):
            await tick(app, source, pilot)
        await pilot.press("u")
        await until(pilot, lambda: ("preview_remove", "n6") in source.commands)
        assert ("remove_node", "n6") not in source.commands

    run(play)


def test_an_enter_before_the_preview_adds_once_it_is_known() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        source.previews_held = True
        await pilot.press("a", "enter")
        assert "adding as soon as" in "\n".join(app.overview.text_lines())
        assert ("add_nodes", 1) not in source.commands
        source.previews_held = False
        await until(pilot, lambda: ("add_nodes", 1) in source.commands)
        assert any("preview: 2730 slots" in line.text for line in app.model.log.lines)

    run(play)


def test_an_escape_takes_an_early_enter_back() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        source.previews_held = True
        await pilot.press("a", "enter", "escape")
        source.previews_held = False
        await pilot.press("a")
        await until(pilot, lambda: "2730 slots" in "\n".join(app.overview.text_lines()))
        assert ("add_nodes", 1) not in source.commands

    run(play)


def test_the_ring_shows_what_a_preview_would_move() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("v")
        ring = app.overview.query_one("#ring", PanelWidget)
        assert NEWCOMER not in "\n".join(ring.text_lines())
        await pilot.press("a")
        await until(pilot, lambda: "would move" in "\n".join(ring.text_lines()))
        assert NEWCOMER in "\n".join(ring.text_lines())
        await pilot.press("escape")
        assert NEWCOMER not in "\n".join(ring.text_lines())

    run(play, (120, 30))


def test_a_remark_of_a_bar_stands_in_the_bar() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await open_fault_menu(app, pilot)
        await pilot.press("e")
        bar = app.overview.query_one("#bar", PanelWidget)
        assert "no active fault to edit" in "\n".join(bar.text_lines())
        await pilot.press("tab")
        assert "no active fault" not in "\n".join(bar.text_lines())

    run(play)


def test_a_key_without_a_meaning_says_so() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("Q")
        assert "Q does nothing here" in app.overview.note
        await pilot.press("j")
        assert not app.overview.note

    run(play)


def test_leaving_is_previewed_and_enter_commits() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("j")
        await open_fault_menu(app, pilot)
        await pilot.press("v")
        await until(pilot, lambda: "3276 slots" in "\n".join(app.overview.text_lines()))
        await pilot.press("escape", "x")
        assert ("remove_node", "n2") not in source.commands
        await pilot.press("escape")
        await open_fault_menu(app, pilot)
        await pilot.press("v")
        await until(pilot, lambda: source.commands.count(("preview_remove", "n2")) == 2)
        await until(pilot, lambda: "3276 slots" in "\n".join(app.overview.text_lines()))
        await pilot.press("enter")
        await until(pilot, lambda: ("remove_node", "n2") in source.commands)

    run(play)


def test_heal_is_one_key() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("H")
        await until(pilot, lambda: ("heal_all",) in source.commands)

    run(play)


def test_marks_collect_targets() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("m", "j", "j", "m")
        await open_fault_menu(app, pilot)
        await pilot.press("p")
        await until(pilot, lambda: ("pause", "n1", "n3") in source.commands)
        await pilot.press("escape")
        assert not app.scene.choices.marks

    run(play)


def test_filter_narrows_the_table_and_escape_clears_it() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("slash", "n", "4", "enter")
        text = "\n".join(app.overview.text_lines())
        assert "D n4" in text
        assert "B n2" not in text
        assert app.scene.choices.cursor == "n4"
        await pilot.press("escape")
        assert "B n2" in "\n".join(app.overview.text_lines())

    run(play)


def test_freeze_holds_the_drawing_while_data_is_recorded() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("space")
        frozen = app.scene.model.snapshot.sequence
        columns = len(app.model.heat.columns)
        await tick(app, source, pilot)
        assert app.scene.model.snapshot.sequence == frozen
        assert "FROZEN" in app.overview.text_lines()[0]
        await pilot.press("space")
        assert app.scene.model.snapshot.sequence == frozen + 1
        assert len(app.scene.model.heat.columns) == columns + 1

    run(play)


def test_a_click_chooses_a_node_and_changes_nothing_else() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.click("#nodes", offset=(4, 3))
        assert app.scene.choices.cursor == "n3"
        assert app.scene.choices.panel is Panel.NODES
        await pilot.click("#footer", offset=(10, 0))
        assert source.commands == []

    run(play)


def test_unchanged_rows_are_not_redrawn() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        ring = app.overview.query_one("#ring", PanelWidget)
        before = ring.redrawn
        for _ in range(3):
            await tick(app, source, pilot)
        assert ring.redrawn == before

    run(play)


def test_views_modes_and_sheets_open_and_close() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        assert app.scene.choices.panel is Panel.HEAT
        await pilot.press("y", "v", "v", "1", "s", "0", "left_square_bracket", "f9", "z", "escape")
        assert not app.scene.choices.zoomed
        for key, word in (
            ("question_mark", "Fault menu"),
            ("enter", "first owner"),
            ("l", "\\x1b"),
        ):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Sheet))
            assert isinstance(app.screen, Sheet)
            assert word in "\n".join(app.screen.lines)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.overview)

    run(play)


def test_find_key_marks_the_ring() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("f", "u", "4", "enter")
        await until(pilot, lambda: app.scene.choices.located is not None)
        assert ("locate", b"u4") in source.commands
        text = "\n".join(app.overview.text_lines())
        assert "9000: C D E" in text
        assert "◆" in text

    run(play)


def test_interval_stays_within_its_bounds() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press(*["plus"] * 12)
        assert source.interval_s == pytest.approx(0.25)
        await pilot.press("minus", "minus")
        assert source.interval_s == pytest.approx(0.45)

    run(play)


def test_a_failed_command_says_so_and_leaves_nothing_to_undo() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        source.fail_with = "n1 refused"
        await open_fault_menu(app, pilot)
        await pilot.press("x")
        await until(pilot, lambda: "FAILED" in app.overview.note)
        assert "n1 refused" in app.model.log.lines[-1].text
        assert app.undo.newest(app.model.snapshot) is None

    run(play)


def test_a_command_without_an_answer_is_called_not_acknowledged() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        source.hang = True
        await pilot.press("H")
        assert app.model.log.lines[-1].state == "pending"
        # The deadline is moved into the past rather than waited for.
        line, _ = app._pending[0]
        app._pending[0] = (line, 0.0)
        await tick(app, source, pilot)
        assert "not acknowledged" in "\n".join(app.overview.text_lines())

    run(play)


def test_read_only_and_missing_capabilities_explain_themselves() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("x")
        assert app.overview.bar is None
        assert "read-only" in app.overview.note

    run(play, read_only=True)

    async def play_poor(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("a")
        assert "does not offer" in app.overview.note

    run(play_poor, source=FakeSource(capabilities=Capability.LINK_FAULTS))


def test_q_asks_escape_stays_enter_stops_the_source_and_leaves() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("q")
        bar = app.overview.bar
        assert isinstance(bar, QuitBar)
        await pilot.press("escape")
        await until(pilot, lambda: app.overview.bar is None)
        assert not source.stopped
        await pilot.press("ctrl+q")
        again = app.overview.bar
        assert isinstance(again, QuitBar)
        await until(pilot, lambda: again.painted_at_s is not None)
        await pilot.press("enter")
        await until(pilot, lambda: source.stopped)

    app, source = run(play)
    assert source.stopped
    assert app.return_code == 0


def test_ctrl_c_twice_heals_stops_and_exits_130() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("ctrl+c")
        assert isinstance(app.overview.bar, QuitBar)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: source.stopped)

    app, source = run(play)
    assert ("heal_all",) in source.commands
    assert app.return_code == EXIT_INTERRUPTED


def test_sigterm_heals_stops_and_leaves() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await until(pilot, lambda: source.stopped)

    app, source = run(play)
    assert ("heal_all",) in source.commands
    assert app.return_code == EXIT_INTERRUPTED


def test_ending_the_screen_lets_the_source_finish() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        assert not source.stopped

    _, source = run(play)
    assert source.stopped


def test_a_source_that_fails_is_reported_and_the_screen_stays() -> None:
    class Broken(FakeSource):
        async def run(self, on_snapshot: Any) -> None:
            self._on_snapshot = on_snapshot
            self.step(2)
            raise RuntimeError("cluster 'demo' is not reachable")

    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: bool(app.source_problem))
        assert "not reachable" in app.overview.note
        assert "A n1" in "\n".join(app.overview.text_lines())

    run(play, source=Broken())


def test_the_palette_lists_every_action() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        provider = ActionCommands(app.overview)
        found = [str(hit.display) async for hit in provider.discover()]  # type: ignore[union-attr]
        for action in ACTIONS:
            assert any(action.title in text for text in found)
        hits = [hit async for hit in provider.search("heal")]
        assert hits

    run(play)


def test_keys_can_be_rebound_by_id() -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("H")
        assert source.commands == []
        assert "H does nothing here" in app.overview.note
        await pilot.press("n")
        await until(pilot, lambda: ("heal_all",) in source.commands)
        assert any("did you mean" in line.text for line in app.model.log.lines)

    run(play, keymap={"fault.heal": "n", "fault.undoo": "U"})


def test_screenshots_are_written(tmp_path: Path) -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("w")

    run(play, shots_folder=str(tmp_path / "shots"))
    names = sorted(path.suffix for path in (tmp_path / "shots").iterdir())
    assert names == [".svg", ".txt"]


@pytest.mark.parametrize("width", range(60, 200, 7))
@pytest.mark.parametrize("height", [20, 24, 29, 30, 41, 45, 60])
@pytest.mark.parametrize("members", [1, 5, 9, 26])
def test_panels_tile_the_body_without_overlap(width: int, height: int, members: int) -> None:
    for zoomed in (None, Panel.HEAT):
        places = plan(width, height, members, zoomed).panels
        cells: set[tuple[int, int]] = set()
        for place in places.values():
            x, y, w, h = place.rect
            assert min(x, y) >= 0
            assert min(w, h) >= 1
            assert x + w <= width
            assert y + h <= height - 1
            block = {(i, j) for i in range(x, x + w) for j in range(y, y + h)}
            assert not block & cells
            cells |= block


def test_size_classes() -> None:
    found = [size_class(*size) for size in ((59, 20), *SIZES)]
    assert found == ["small", "tiny", "narrow", "wide", "huge"]
