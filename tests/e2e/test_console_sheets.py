"""Storage and replication on a real terminal with real nodes: what a kill does to the copies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.harness import environment, processes_with, wait_until
from tests.e2e.screen import open_screen
from tests.e2e.test_console import started

pytestmark = pytest.mark.slow


def test_storage_and_replication_follow_a_kill(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", "3") as screen:
        started(screen)
        screen.press("S")
        screen.wait_for(r"Storage +\(left, right")
        screen.wait_for(r"memory L1 +[\d.]+[KM] of ", 30)
        screen.wait_for(r"disk L2 +[\d.]+[KM]? of ", 30)
        screen.press("\x1b")
        time.sleep(0.3)
        screen.press("C")
        screen.wait_for(r"all copies live 16384 ", 30)
        screen.press("q")
        time.sleep(0.3)
        screen.press("x")
        screen.wait_for(r"(?i)kill")
        time.sleep(0.3)
        screen.press("x")
        screen.wait_for(r"(?i)\bdown\b", 30)
        screen.press("C")
        screen.wait_for(r"some missing 16384 ", 30)
        # The writes that the dead node misses wait for it, and grow old.
        screen.press("\x1b[C")
        screen.wait_for(r"> B n2 +[1-9]\S* +[1-9]\S*s ", 60)
        screen.press("q")
        time.sleep(0.3)
        screen.press("H")
        screen.wait_for(r"\bn1 +up\b", 60)
        screen.press("C")
        screen.wait_for(r"all copies live 16384 ", 60)
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")
