"""The section on the console: what it and the cluster below it cost, and how soon a key is seen.

The full screen runs on a pseudo-terminal with five nodes and the default load, as ``ringdeck`` starts
them. Processor time is read per process, which other work on the machine skews less than wall time;
memory is that of the screen's process alone.
"""

from __future__ import annotations

import os
import re
import statistics
import tempfile
import time
from pathlib import Path

from tests.e2e.harness import environment
from tests.e2e.screen import Screen, open_screen

COLUMNS, ROWS = 160, 45
SETTLE_S = 5.0
WINDOW_S = 15.0
PRESSES = 120
PRESS_PAUSE_S = 0.15
KEYS = ("j", "k")
"""Down and up in the node table: a small change of the screen each."""
ROLES = (("nodecore.runtime", "nodes"), ("runtime.load", "generator"), ("warden", "warden"))


def console(rounds: int, scale: float) -> dict[str, float]:
    """Start, share of a core by role, key to screen; with load and without."""
    figures: dict[str, float] = {}
    print(f"\nconsole: {COLUMNS}x{ROWS}, five nodes; share of one core, milliseconds to the screen")
    for title, arguments in (("loaded", ()), ("unloaded", ("--no-load",))):
        with tempfile.TemporaryDirectory(prefix="ringdeck-bench-") as home:
            found = _measure(Path(home), arguments, scale)
        figures.update({f"{title}_{name}": value for name, value in found.items()})
        print(f"  {title:9} " + "  ".join(f"{name} {value:.1f}" for name, value in found.items()))
    return figures


def _measure(home: Path, arguments: tuple[str, ...], scale: float) -> dict[str, float]:
    begun_s = time.monotonic()
    settings = environment(home)
    with open_screen(settings, "console", *arguments, columns=COLUMNS, rows=ROWS) as screen:
        screen.wait_for(r"UP 5/5", 60)
        figures = {"start_s": time.monotonic() - begun_s}
        _watch(screen, SETTLE_S)
        before, since_s = _processor_s(screen.pid), time.monotonic()
        _watch(screen, WINDOW_S * scale)
        after, window_s = _processor_s(screen.pid), time.monotonic() - since_s
        for role, used_s in after.items():
            figures[f"{role}_%"] = (used_s - before.get(role, 0.0)) / window_s * 100.0
        figures["console_MiB"] = _resident_mib(screen.pid)
        figures["all_%"] = sum(value for name, value in figures.items() if name.endswith("_%"))
        cursor, presses = _find_cursor(screen), int(PRESSES * scale)
        waits_ms = sorted(_press(screen, cursor, KEYS[turn % 2]) for turn in range(presses))
        figures["key_p50_ms"] = statistics.median(waits_ms)
        figures["key_p95_ms"] = waits_ms[int(len(waits_ms) * 0.95)]
        screen.press("q")
        screen.wait_for("QUIT")
        screen.press("\r")
        screen.wait_end()
    return figures


def _watch(screen: Screen, seconds: float) -> None:
    """Take what is drawn: a terminal that is not read would hold the console up."""
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        screen.pump(0.05)


def _find_cursor(screen: Screen) -> tuple[int, int]:
    """(column, row) of the sign before the chosen node, which both keys move."""
    for row, line in enumerate(screen.text.splitlines()):
        found = re.search(r"> [A-Z] n\d", line)
        if found is not None:
            return found.start(), row
    raise AssertionError(f"no cursor in the node table\n{screen.text}")


def _press(screen: Screen, cursor: tuple[int, int], key: str) -> float:
    """Milliseconds from a key to the cursor's leaving its place, or its return there.

    Looks at one cell: reading the whole screen takes longer than what is measured.
    """
    _watch(screen, PRESS_PAUSE_S)
    before, pressed_s = screen.cell(*cursor), time.monotonic()
    screen.press(key)
    while screen.cell(*cursor) == before and time.monotonic() - pressed_s < 1.0:
        screen.pump(0.005)
    return (time.monotonic() - pressed_s) * 1000.0


def _resident_mib(pid: int) -> float:
    """Resident memory of one process: the screen's own, without its nodes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def _processor_s(root: int) -> dict[str, float]:
    """Seconds of processor time by role, of a process and all below it."""
    parents: dict[int, int] = {}
    used: dict[int, tuple[str, float]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            command = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        role = next((role for part, role in ROLES if part in command), "console")
        used[pid] = (role, (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    totals: dict[str, float] = {}
    for pid, (role, seconds) in used.items():
        above = pid
        while above not in (root, 0, 1) and above in parents:
            above = parents[above]
        if above == root:
            totals[role] = totals.get(role, 0.0) + seconds
    return totals
