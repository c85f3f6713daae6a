"""Storage and replication on a real terminal with real nodes: what a kill does to the copies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.harness import environment, processes_with, wait_until
from tests.e2e.screen import Screen, open_screen
from tests.e2e.test_console import arm, row_of, started

pytestmark = pytest.mark.slow


def test_storage_and_replication_follow_a_kill(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", "3") as screen:
        started(screen)
        screen.press("S")
        screen.wait_for(r"Storage +\(left, right")
        screen.wait_for(r"memory L1 +[\d.]+[KM] of ", 30)
        screen.wait_for(r"disk L2 +[\d.]+[KM]? of ", 30)
        close_sheet(screen)
        screen.press("C")
        screen.wait_for(r"all copies live 16384 ", 30)
        close_sheet(screen)
        arm(screen, "x", "FAULT on A n1")
        screen.wait_for(row_of("n1") + r"DOWN\b", 30)
        screen.press("C")
        screen.wait_for(r"some missing 16384 ", 30)
        # The writes that the dead node misses wait for it, and grow old.
        screen.press("\x1b[C")
        screen.wait_for(r"> B n2 +[1-9]\S* +[1-9]\S*s ", 60)
        close_sheet(screen)
        screen.press("H")
        screen.wait_for(row_of("n1") + r"up\b", 60)
        screen.press("C")
        screen.wait_for(r"all copies live 16384 ", 60)
        close_sheet(screen)
        screen.press("h")
        screen.wait_for(r"in flight +nothing")
        screen.wait_for(r"\b1 \d\d:\d\d:\d\d stable +")
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")


def close_sheet(screen: Screen) -> None:
    screen.press("q")
    screen.wait_gone(r"esc closes")
