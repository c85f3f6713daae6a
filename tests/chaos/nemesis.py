"""Harms a real cluster, one way after another, and keeps the story with its times.

Whatever one step breaks is mended before the next may break a second copy: a killed or wiped node is
back, and holds its copies again, before another process is touched. So every single failure is one from
which nothing acknowledged with two copies may be lost.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

import trio

from console.runtime.fault_commands import FaultRequest, add_fault, list_faults, remove_fault
from tests.chaos.recorder import Calm
from tests.e2e.harness import Cluster, wait_until

SETTLED_S_MAX: Final = 90.0
KILLED_S: Final = 6.0
PAUSED_S: Final = 3.0
LINK_S: Final = 4.0
LOOK_S: Final = 1.0
"""Before a fault ends by itself, it is asked how often it acted: it takes its count along."""
JOIN_S_MAX: Final = 90.0
REST_S: Final = 1.0
SKEW_MS: Final = 300.0


@dataclass(frozen=True)
class Kill:
    """A killed node, and until when it was the only thing wrong."""

    node: str
    at_s: float
    until_s: float


class Nemesis:
    """Faults on a running cluster; ``addresses`` (id to Redis door) follow its members."""

    def __init__(
        self, ring: Cluster, addresses: dict[str, str], calm: Calm, rng: Random, began_s: float
    ) -> None:
        self._ring, self._addresses, self._calm, self._rng = ring, addresses, calm, rng
        self._began_s = began_s
        self.story: list[str] = []
        self.kills: list[Kill] = []
        self.hits: dict[str, int] = {}
        """How often faults of links acted, by kind."""
        self.steps: dict[str, Callable[[], None]] = {
            "kill": self._kill,
            "pause": self._pause,
            "cut": lambda: self._link("cut", self._victim()),
            "one-way cut": lambda: self._link("cut", "->".join(self._pair())),
            "latency": lambda: self._link("latency", self._victim(), latency=150.0, jitter=50.0),
            "loss": lambda: self._link("packet_loss", self._victim(), loss_rate=0.2),
            "corruption": lambda: self._link("corrupt", f"*->{self._victim()}", rate=0.05),
            "wipe": self._wipe,
            "skew": self._skew,
            "join": self._join,
            "join over lossy links": self._join_over_lossy_links,
            "leave": self._leave,
        }

    def deck(self) -> list[str]:
        """Every kind of fault once, in some order."""
        names = list(self.steps)
        self._rng.shuffle(names)
        return names

    def run(self, name: str) -> None:
        """One fault from its beginning to its end, and until the cluster is whole again."""
        self._calm.disturb()
        self.steps[name]()
        self.settle()
        self._calm.settle()
        time.sleep(REST_S)

    def settle(self) -> None:
        """Wait until every member is alive and no copy is missing."""
        wait_until(self._is_whole, "every member is alive and settled", SETTLED_S_MAX, 0.5)

    def tell(self, text: str) -> None:
        self.story.append(f"{time.monotonic() - self._began_s:8.3f} {text}")

    def _is_whole(self) -> bool:
        status = self._ring.status()
        return status["state"] == "stable" and all(
            member["status"] == "alive" and member["pid"] for member in status["members"]
        )

    def _members(self) -> list[dict[str, str]]:
        found = self._ring.status()["members"]
        assert isinstance(found, list)
        return found

    def _victim(self) -> str:
        return self._rng.choice(sorted(self._addresses))

    def _pair(self) -> list[str]:
        return self._rng.sample(sorted(self._addresses), 2)

    def _pid(self, node: str) -> int:
        return int(self._ring.member(node)["pid"])

    def _kill(self) -> None:
        node = self._victim()
        pid = self._pid(node)
        at_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.tell(f"kill -9 {node}")
        time.sleep(KILLED_S)
        self.kills.append(Kill(node, at_s, time.monotonic()))
        self._restart(node)

    def _wipe(self) -> None:
        node = self._victim()
        os.kill(self._pid(node), signal.SIGKILL)
        self.tell(f"kill -9 {node}, its disk is wiped")
        folder = self._ring.home / self._ring.name / node / "data"
        assert folder.is_dir()
        time.sleep(1.0)
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
        self._restart(node)

    def _restart(self, node: str) -> None:
        self._ring.ok("chaos", "restart", node)
        self.tell(f"{node} is restarted")

    def _pause(self) -> None:
        node = self._victim()
        pid = self._pid(node)
        os.kill(pid, signal.SIGSTOP)
        self.tell(f"SIGSTOP {node}")
        try:
            time.sleep(PAUSED_S)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.tell(f"SIGCONT {node}")

    def _link(self, kind: str, target: str, **attributes: float) -> None:
        with self._faulty(kind, target, LINK_S, attributes):
            time.sleep(LINK_S - LOOK_S)

    @contextlib.contextmanager
    def _faulty(
        self, kind: str, target: str, for_s: float, attributes: dict[str, float]
    ) -> Iterator[None]:
        """A fault around the block, lifted after it; how often it acted is counted."""
        doors = {member["id"]: member["native"] for member in self._members()}
        request = FaultRequest(kind, target, attributes, stream="both", for_s=for_s)
        fault_id = trio.run(add_fault, doors, list(doors), request)
        self.tell(f"{kind} {target} {attributes or ''}")
        yield
        hits = 0
        for entry in trio.run(list_faults, doors):
            if str(entry.get("fault_id", "")).startswith(fault_id):
                hits += int(str(entry.get("hits", 0)))
        trio.run(remove_fault, doors, fault_id)
        self.hits[kind] = self.hits.get(kind, 0) + hits
        self.tell(f"{kind} {target} is lifted after {hits} hits")

    def _join_over_lossy_links(self) -> None:
        target = f"*->{self._victim()}"
        with self._faulty("packet_loss", target, JOIN_S_MAX, {"loss_rate": 0.1}):
            self._join()

    def _skew(self) -> None:
        offset = self._rng.choice((-SKEW_MS, SKEW_MS))
        self._link("skew", f"{self._victim()}:clock", offset=offset)

    def _join(self) -> None:
        self.tell("a node is to join")
        (name,) = self._ring.ok("cluster", "add", "--json").json["added"]
        self._addresses[name] = self._ring.member(name)["resp"]
        self.tell(f"{name} has joined")

    def _leave(self) -> None:
        node = self._victim()
        if len(self._addresses) <= 4:
            self._join()
        self.tell(f"{node} is to leave")
        # Clients go elsewhere first, as behind any rolling change.
        del self._addresses[node]
        self._ring.ok("cluster", "remove", node)
        self.tell(f"{node} has left")
