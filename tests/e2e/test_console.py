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


def wait_gone(screen: Screen, text: str, deadline_s: float = 40.0) -> None:
    end = time.monotonic() + deadline_s
    while text in screen.text:
        assert time.monotonic() < end, f"still there: {text}\n{screen.text}"
        screen.pump()


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


def test_latency_opens_breakers_and_a_node_joins(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", str(NODES)) as screen:
        started(screen)
        screen.wait_for(r"all breakers closed", 30)
        screen.press("i")
        screen.wait_for(r"LATENCY on")
        # A held key must not apply: the bar takes the second press only after 150 ms.
        time.sleep(0.3)
        screen.press("i")
        screen.wait_for(r"latency 200±50 ms", 15)
        wait_gone(screen, "all breakers closed")
        screen.press("H")
        screen.wait_for(r"all breakers closed", 60)
        screen.press("a")
        screen.wait_for(r"(?i)enter")
        screen.press("\r")
        screen.wait_for(r"\bn4 +up\b", 60)
        assert len(processes_with(str(tmp_path))) == NODES + 1


def assert_restored(screen: Screen) -> None:
    assert screen.changed_modes() == []
    assert screen.echoes()


def test_ctrl_c_twice_leaves_at_once(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", str(NODES), "--no-load") as screen:
        started(screen)
        os.kill(processes_with(str(tmp_path))[0], signal.SIGSTOP)
        screen.press("\x03")
        screen.wait_for(r"QUIT")
        screen.press("\x03")
        assert screen.wait_end() == 130
        assert_restored(screen)
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")


@pytest.mark.parametrize("modal", [False, True], ids=["overview", "sheet"])
def test_sigterm_restores_the_terminal_and_leaves_nothing(tmp_path: Path, modal: bool) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", str(NODES)) as screen:
        started(screen)
        if modal:
            screen.press("?")
            screen.wait_for(r"esc closes")
        os.kill(screen.pid, signal.SIGTERM)
        assert screen.wait_end() == 130
        assert_restored(screen)
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")


def test_a_closed_terminal_leaves_no_process(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", str(NODES)) as screen:
        started(screen)
        screen.hang_up()
        screen.wait_end()
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left", 15)


def test_the_window_changes_its_size_while_it_runs(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", str(NODES), "--no-load") as screen:
        started(screen)
        for columns, rows in ((60, 20), (160, 45), (50, 15), (80, 24)):
            screen.resize(columns, rows)
            if columns < 60:
                screen.wait_for(rf"needs 60x20, now {columns}x{rows}")
            else:
                screen.wait_for(rf"\bn{NODES} +up\b")
        screen.press("q")
        screen.wait_for(r"(?i)enter")
        screen.press("\r")
        assert screen.wait_end() == 0
        assert_restored(screen)


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


SCENARIO = f"""
schema = 1
name = "short"
hypothesis = "A node that is resumed is a member."
[cluster]
nodes = {NODES}
[[probe]]
name = "all-here"
text = "every node is a member"
metric = "members.alive"
min = {NODES}
[[step]]
do = "pause"
target = "n2"
for = "1s"
note = "n2 holds its breath."
[[step]]
do = "expect"
probe = "all-here"
within = "20s"
"""


def test_a_scenario_runs_in_the_console_and_its_verdict_stays(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    path = tmp_path / "short.toml"
    path.write_text(SCENARIO)
    with open_screen(settings, "scenario", "run", str(path)) as screen:
        screen.wait_for(r"SCENARIO short", 60)
        screen.wait_for(r"n2 holds its breath", 60)
        screen.wait_for(r"MET: every claim held", 60)
        screen.press("q")
        screen.wait_for(r"(?i)enter")
        screen.press("\r")
        assert screen.wait_end() == 0
        assert "short: met" in screen.text
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")


def test_a_scenario_that_is_left_early_is_interrupted(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    path = tmp_path / "short.toml"
    path.write_text(SCENARIO.replace('for = "1s"', 'for = "60s"'))
    with open_screen(settings, "scenario", "run", str(path)) as screen:
        screen.wait_for(r"n2 holds its breath", 60)
        screen.press("q")
        screen.wait_for(r"(?i)enter")
        screen.press("\r")
        assert screen.wait_end() == 130
        assert "short: interrupted" in screen.text
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")
