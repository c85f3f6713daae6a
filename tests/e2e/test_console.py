"""The console on a real terminal with real nodes: look, break, heal, quit; nothing is left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.harness import Cluster, cluster, environment, processes_with, wait_until
from tests.e2e.screen import Screen, open_screen

pytestmark = pytest.mark.slow

NODES = 3


def started(screen: Screen) -> None:
    screen.wait_for(rf"\bn{NODES} +up\b", 60)


def test_break_heal_and_quit(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", str(NODES), "--no-load") as screen:
        started(screen)
        assert len(processes_with(str(tmp_path))) == NODES
        screen.press("x")
        screen.wait_for(r"(?i)kill")
        time.sleep(0.3)
        screen.press("x")
        screen.wait_for(r"(?i)\bdown\b", 30)
        wait_until(lambda: len(processes_with(str(tmp_path))) == NODES - 1, "a node is gone")
        screen.press("H")
        wait_until(lambda: len(processes_with(str(tmp_path))) == NODES, "the node is back")
        screen.press("q")
        screen.wait_for(r"(?i)enter")
        screen.press("\r")
        assert screen.wait_end() == 0
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")
    assert not (tmp_path / "default").exists()


def test_a_killed_console_leaves_no_process(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", str(NODES)) as screen:
        started(screen)
        pids = processes_with(str(tmp_path))
        assert len(pids) == NODES
        os.kill(pids[0], signal.SIGSTOP)
        screen.kill()
        wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left", 15)
    # The leftover record does not stand in the way.
    ring = Cluster(tmp_path, "default")
    try:
        ring.environment = settings
        assert len(ring.start(1)) == 1
    finally:
        ring.run("cluster", "stop", "--purge", "--name", "default")


def test_it_attaches_to_a_running_cluster_and_leaves_it(tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as ring:
        with open_screen(ring.environment, "console", "--name", ring.name) as screen:
            screen.wait_for(r"\bn2 +up\b", 60)
            screen.press("q")
            screen.wait_for(r"(?i)enter")
            screen.press("\r")
            assert screen.wait_end() == 0
        assert len(ring.pids()) == 2


def test_plain_lines(tmp_path: Path) -> None:
    with cluster(tmp_path, 2) as ring:
        with open_screen(ring.environment, "console", "--name", ring.name, "--plain") as screen:
            screen.wait_for(r"n2", 30)
            screen.press("\x03")
            assert screen.wait_end() == 130
        assert len(ring.pids()) == 2
