"""The sheet of the topology: its past in order, what is in flight, fits every terminal."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from textual.pilot import Pilot

from console.app import ClusterConsole
from console.errors import ConsoleError
from console.painters.history import history_lines
from console.screens.sheet import Sheet
from console.source import PastDocument
from console.topology_history import change_words, history_of
from nodecore.statistics import ChangeProgress
from tests.console.fakes import START_MS, FakeSource, make_snapshot
from tests.console.test_screens import SIZES, run, until
from tests.console.test_storage_view import SHEET_COLUMNS, scene_of

JOINED = PastDocument(
    1, 4, "stable", "n6 has joined", "n1", START_MS, START_MS, members=6, added=("n6",)
)
JOINING = PastDocument(1, 3, "joint", "n6 joins", "n1", START_MS, 0, "join", "n6", members=5)


def test_the_nodes_answer_is_read_back() -> None:
    answer = {"node": "n1", "epoch": 4, "history": [msgspec.to_builtins(JOINED)]}
    assert history_of(answer) == [JOINED]
    with pytest.raises(ConsoleError):
        history_of({"history": [7]})


def test_changes_in_words() -> None:
    assert change_words(JOINED) == "+n6"
    assert change_words(JOINING) == "join n6"
    assert change_words(replace(JOINED, added=("n6",), removed=("n2",))) == "+n6 -n2"


@pytest.mark.parametrize("width", [SHEET_COLUMNS, 76, 150])
def test_the_newest_stands_first_and_nothing_is_wider_than_the_sheet(width: int) -> None:
    scene = scene_of(make_snapshot(5))
    lines = history_lines(scene, [JOINING, JOINED], "", width)
    assert max(map(len, lines)) <= width
    shown = "\n".join(lines)
    assert shown.index("+n6") < shown.index("join n6")
    assert "nothing" in shown


def test_a_change_in_flight_is_counted() -> None:
    change = ChangeProgress("join", "n6", "streaming", 400, 100, 1200, 4096, START_MS, "waits")
    scene = scene_of(replace(make_snapshot(5), change=change, state="joint"))
    shown = "\n".join(history_lines(scene, None, "", 100))
    assert "100 of 400 slots (25%)" in shown
    assert "waits" in shown
    assert "asking the nodes" in shown


def test_unknown_is_said() -> None:
    scene = scene_of(replace(make_snapshot(5), epoch=None))
    shown = "\n".join(history_lines(scene, None, "no node answers", 60))
    assert "no node has told its topology yet" in shown
    assert "no node answers" in shown


@pytest.mark.parametrize("size", SIZES)
def test_h_opens_it_and_foreign_text_is_escaped(size: tuple[int, int]) -> None:
    async def play(app: ClusterConsole, source: FakeSource, pilot: Pilot[None]) -> None:
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, Sheet))
        sheet = app.screen
        assert isinstance(sheet, Sheet)
        await until(pilot, lambda: "+n6" in "\n".join(sheet.lines))
        assert "\\x1b" in "\n".join(sheet.lines)
        assert source.commands.count(("history",)) == 1
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.overview)

    run(play, size)
