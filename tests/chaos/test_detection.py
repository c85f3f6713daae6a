"""How soon real processes miss one that died, and that they do not bury one that only pauses.

All nodes stamp their events with the clock of one machine, which is the test's own clock too.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from console.runtime.admin_client import call_each
from tests.e2e.harness import Cluster, cluster, wait_until

pytestmark = pytest.mark.chaos

KILLS = int(os.environ.get("RINGDECK_KILLS", "5"))
DETECTED_S_MAX = 5.0
PAUSES_S = float(os.environ.get("RINGDECK_PAUSES_S", "20"))
PAUSE_S = 2.0
LOST_FOR_GOOD = "--set", "down_grace_s=300"


def events(found: Cluster, names: list[str], kind: str) -> dict[str, list[dict[str, Any]]]:
    """Events of one kind that these nodes still have, oldest first."""
    addresses = {node["id"]: node["native"] for node in found.nodes if node["id"] in names}

    async def ask() -> dict[str, object]:
        return dict(await call_each(addresses, "events", {"count": 1000}, timeout_s=5.0))

    answers = trio.run(ask)
    kept: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        answer = answers[name]
        assert isinstance(answer, dict), f"{name}: {answer}"
        kept[name] = [event for event in answer["events"] if event["kind"] == kind]
    return kept


def first_after(listed: list[dict[str, Any]], since_ms: float, about: str) -> float | None:
    """When the first of these events about a node was stamped, in milliseconds."""
    for event in listed:
        if event["at_wall_ms"] >= since_ms and event["text"].startswith(f"{about} is "):
            return float(event["at_wall_ms"])
    return None


def detection_s(found: Cluster, victim: str) -> list[float]:
    """Kill a node; how long each of the others took to call it failed."""
    others = [node["id"] for node in found.nodes if node["id"] != victim]
    since_ms = time.time() * 1000
    os.kill(found.member(victim)["pid"], signal.SIGKILL)
    killed_ms = time.time() * 1000
    stamps: dict[str, float] = {}

    def all_know() -> bool:
        for name, listed in events(found, others, "member.failed").items():
            stamp = first_after(listed, since_ms, victim)
            if stamp is not None:
                stamps.setdefault(name, stamp)
        return len(stamps) == len(others)

    wait_until(all_know, f"{others} call {victim} failed", 4 * DETECTED_S_MAX, 0.2)
    return [(stamp - killed_ms) / 1000 for stamp in stamps.values()]


def is_whole(found: Cluster) -> bool:
    return all(member["status"] == "alive" for member in found.status()["members"])


@pytest.mark.timeout(120 + 20 * KILLS)
def test_a_killed_node_is_called_failed_within_five_seconds(tmp_path: Path) -> None:
    took_s: list[float] = []
    with cluster(tmp_path, 3, *LOST_FOR_GOOD) as found:
        for number in range(KILLS):
            victim = found.nodes[number % len(found.nodes)]["id"]
            took_s += detection_s(found, victim)
            found.ok("chaos", "restart", victim)
            wait_until(lambda: is_whole(found), f"{victim} is back", 60, 0.5)
    took_s.sort()
    figures = " ".join(f"{value:.2f}" for value in took_s)
    print(f"detection of {KILLS} kills, seconds: {figures}")
    assert took_s[-1] <= DETECTED_S_MAX, figures


@contextlib.contextmanager
def busy_cores() -> Iterator[None]:
    """Every core of this machine has something else to do."""
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _core in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@pytest.mark.timeout(120 + 2 * PAUSES_S)
def test_nodes_that_pause_on_a_busy_machine_are_not_called_failed(tmp_path: Path) -> None:
    rng = random.Random(1)
    pauses = 0
    with cluster(tmp_path, 3, *LOST_FOR_GOOD) as found:
        names = [node["id"] for node in found.nodes]
        began_ms = time.time() * 1000
        with busy_cores():
            end_s = time.monotonic() + PAUSES_S
            while time.monotonic() < end_s:
                pid = rng.choice(found.nodes)["pid"]
                os.kill(pid, signal.SIGSTOP)
                try:
                    time.sleep(PAUSE_S)
                finally:
                    os.kill(pid, signal.SIGCONT)
                pauses += 1
                time.sleep(rng.uniform(0.5, 1.5))
        failed = {
            name: [event["text"] for event in listed if event["at_wall_ms"] >= began_ms]
            for name, listed in events(found, names, "member.failed").items()
        }
        suspected = sum(map(len, events(found, names, "member.suspect").values()))
    print(f"{pauses} pauses of {PAUSE_S:g} s, {suspected} suspicions")
    assert not any(failed.values()), failed
