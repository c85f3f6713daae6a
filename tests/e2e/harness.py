"""Real clusters for tests, started and commanded as a person would: through the command line.

Every cluster has a state folder and a range of ports of its own, and is gone when its block ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from console.runtime.ports import HTTP_OFFSET, NATIVE_OFFSET, is_free

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND_TIMEOUT_S = 90.0
FIRST_PORTS = {"gw0": 20_000, "gw1": 25_600}
PORTS_OF_A_WORKER = 4_300
"""Bases of a worker; the last door of a cluster is 1,180 ports above its base."""
NODES_USUAL = 8
POLL_S = 0.05


def environment(home: Path) -> dict[str, str]:
    """The environment of a test's commands: nothing of this machine's own clusters."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RINGDECK_")}
    if "RINGDECK_TABLE" in os.environ:
        kept["RINGDECK_TABLE"] = os.environ["RINGDECK_TABLE"]
    own = {
        "RINGDECK_HOME": str(home),
        "RINGDECK_PORT_BASE": str(port_base(kept.get("PYTEST_XDIST_WORKER", ""))),
        "XDG_CONFIG_HOME": str(home / ".config"),
    }
    return {**kept, **own}


def port_base(worker: str) -> int:
    """A base whose ports nobody listens on now: clusters that tests share live beside those of one test.

    Below the ephemeral range; the workers of a run keep apart.
    """
    first = FIRST_PORTS.get(worker, 20_000)
    bases = list(range(first, first + PORTS_OF_A_WORKER, 50))
    random.SystemRandom().shuffle(bases)
    doors = (0, NATIVE_OFFSET, HTTP_OFFSET)
    for base in bases:
        if all(is_free(base + door + node) for door in doors for node in range(NODES_USUAL)):
            return base
    raise AssertionError(f"no free ports from {first} on")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Cluster:
    """A local cluster under test."""

    def __init__(self, home: Path, name: str = "test") -> None:
        self.home = home
        self.name = name
        self.environment = environment(home)
        self.nodes: list[dict[str, Any]] = []
        """As ``start`` printed them."""
        self.started: dict[str, Any] = {}
        """What ``start`` printed."""

    def run(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> Done:
        """Run ``ringdeck ARGUMENTS`` to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "console.cli", *arguments],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str) -> Done:
        """Run a command of this cluster that must succeed."""
        done = self.run(*arguments, "--name", self.name)
        assert done.code == 0, f"{arguments}: exit {done.code}\n{done.err}"
        return done

    def start(self, nodes: int = 3, *options: str) -> list[dict[str, Any]]:
        """Start it; returns its nodes as printed."""
        found = self.ok("cluster", "start", "--nodes", str(nodes), "--json", *options).json
        assert isinstance(found["nodes"], list)
        self.started = found
        self.nodes = found["nodes"]
        return self.nodes

    def status(self) -> dict[str, Any]:
        """``cluster status --json``."""
        found = self.ok("cluster", "status", "--json").json
        assert isinstance(found, dict)
        return found

    def member(self, node_id: str) -> dict[str, Any]:
        """One member's status."""
        for member in self.status()["members"]:
            if member["id"] == node_id:
                assert isinstance(member, dict)
                return member
        raise AssertionError(f"{node_id} is no member")

    def redis(self, address: str) -> redis.Redis:
        """A client of one node's Redis door; must be closed."""
        port = int(address.rpartition(":")[2])
        return redis.Redis(port=port, socket_timeout=5, decode_responses=False)

    def pids(self) -> list[int]:
        """Processes of this machine that run a node of this cluster."""
        return processes_with(str(self.home))


@contextlib.contextmanager
def cluster(home: Path, nodes: int = 3, *options: str) -> Iterator[Cluster]:
    """A started cluster for the length of the block."""
    found = Cluster(home)
    try:
        if nodes:
            found.start(nodes, *options)
        yield found
    finally:
        found.run("cluster", "stop", "--purge", "--name", found.name)
        left = found.pids()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        assert not left, f"processes were left behind: {left}"


def processes_with(text: str) -> list[int]:
    """Pids of node processes whose command line holds ``text``."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,stat=,args="],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    found = []
    for line in listed.stdout.splitlines():
        pid, state, arguments = line.split(maxsplit=2)
        if text in arguments and "nodecore.runtime" in arguments and not state.startswith("Z"):
            found.append(int(pid))
    return found


def node_process(home: Path, node_id: str) -> int:
    """Pid of the one process that runs a node under ``home``."""
    found = [pid for pid in processes_with(str(home)) if f"/{node_id}/" in _arguments(pid)]
    assert len(found) == 1, f"{node_id} has processes {found}"
    return found[0]


def _arguments(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def wait_until(
    holds: Callable[[], object], what: str, deadline_s: float = 20.0, poll_s: float = POLL_S
) -> None:
    """Wait for a condition; fails with ``what`` when it does not come true in time."""
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {what}"
        time.sleep(poll_s)
