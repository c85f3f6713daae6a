"""The console on a real terminal with real nodes: look, break, heal, quit; nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.harness import (
    Cluster,
    cluster,
    environment,
    node_process,
    processes_with,
    wait_until,
)
from tests.e2e.screen import Screen, open_screen

pytestmark = pytest.mark.slow

NODES = 3
ARM_PAUSE_S = 1.0
"""A harmful key counts 150 ms after its bar was painted; a busy machine may take its time to paint."""
PUMP_S = 0.02


def started(screen: Screen) -> None:
    screen.wait_for(rf"\bn{NODES} +up\b", 60)


def row_of(node_id: str) -> str:
    """Pattern of a node's row in the table, up to its state."""
    return rf"\b{node_id} +(?:\d{{3,}} +|- +)?"


def arm(screen: Screen, key: str, bar: str) -> None:
    """Open a harmful bar and press the key again, long after the bar's guard against held keys."""
    screen.press(key)
    screen.wait_for(bar)
    time.sleep(ARM_PAUSE_S)
    screen.press(key)


def leave(screen: Screen) -> int:
    """``q``, Enter, and the exit code."""
    screen.press("q")
    screen.wait_for(r"Enter: ")
    screen.press("\r")
    return screen.wait_end()


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def seconds_until(screen: Screen, pattern: str, begun: Callable[[], bool]) -> float:
    """Seconds from the moment when ``begun`` holds until the screen matches.

    A busy machine keeps this process waiting too, beyond what it asked for. That time is no fault of
    the console's, which waits as long, and is not counted.
    """
    begun_s: float | None = None
    counted_s = 0.0
    end_s = time.monotonic() + 60
    while True:
        found = re.search(pattern, screen.text)
        if begun_s is None and begun():
            begun_s = time.monotonic()
        if found:
            return counted_s
        before_s = time.monotonic()
        assert before_s < end_s, f"not seen: {pattern}\n{screen.text}"
        screen.pump(PUMP_S)
        if begun_s is not None:
            counted_s += min(time.monotonic() - before_s, PUMP_S)


def ring_of(screen: Screen) -> str:
    """The ring's panel, without its frame."""
    lines = screen.text.splitlines()
    top = next(index for index, line in enumerate(lines) if "1 Ring" in line)
    width = lines[top].index("┐")
    end = next(index for index in range(top, len(lines)) if lines[index].startswith("└"))
    return "\n".join(line[1:width] for line in lines[top + 1 : end])


def test_look_kill_add_slow_down_heal_and_quit(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    with open_screen(settings, "console", "--nodes", str(NODES)) as screen:
        started(screen)
        screen.wait_for(r"all breakers closed")
        for number, letter in enumerate("ABC", 1):
            screen.wait_for(rf"\b{letter} {row_of(f'n{number}')}up\b")
            assert letter in ring_of(screen)
        assert f"{NODES} of {NODES} up" in ring_of(screen)
        assert "·" not in ring_of(screen)
        victim = node_process(tmp_path, "n1")
        arm(screen, "x", "FAULT on A n1")
        down = row_of("n1") + r"DOWN\b"
        assert seconds_until(screen, down, lambda: not runs(victim)) <= 1.0
        screen.press("\r")
        seen_s = seconds_until(screen, r"suspected by n2 n3", lambda: True)
        assert seen_s <= 5.0
        screen.press("q")
        screen.wait_gone(r"esc closes")
        screen.wait_for(rf"{NODES - 1} of {NODES} up")
        assert "·" in ring_of(screen)

        screen.press("a")
        screen.wait_for(r"ADD 1 NODE")
        screen.press("\r")
        screen.wait_for(row_of("n4") + r"up\b", 60)

        screen.press("j")
        arm(screen, "i", r"LATENCY on n2")
        screen.wait_for(row_of("n2") + r"up\b.* x\d +lat200", 40)
        screen.press("H")
        screen.wait_for(r"all breakers closed", 60)
        screen.wait_for(row_of("n1") + r"up\b", 60)
        screen.wait_gone(r"\d FAULT")
        assert len(processes_with(str(tmp_path))) == NODES + 1
        assert leave(screen) == 0
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")
    assert not (tmp_path / "default").exists()


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
        assert leave(screen) == 0
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
            assert leave(screen) == 0
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
        assert leave(screen) == 0
        assert "short: met" in screen.text
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")


def test_a_scenario_that_is_left_early_is_interrupted(tmp_path: Path) -> None:
    settings = environment(tmp_path)
    path = tmp_path / "short.toml"
    path.write_text(SCENARIO.replace('for = "1s"', 'for = "60s"'))
    with open_screen(settings, "scenario", "run", str(path)) as screen:
        screen.wait_for(r"n2 holds its breath", 60)
        assert leave(screen) == 130
        assert "short: interrupted" in screen.text
    wait_until(lambda: processes_with(str(tmp_path)) == [], "no process is left")
