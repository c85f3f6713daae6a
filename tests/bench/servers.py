"""Starts what is measured: redis-server and ringdeck nodes, as plain child processes on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Server:
    """One running server process."""

    name: str
    pid: int
    resp: int
    http: int = 0
    native: int = 0

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def private_bytes(self) -> int:
        """Memory of its own. Pages of files do not count: they are the system's cache, and whoever maps
        one that is still to be written has it among its dirty ones for a while.
        """
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no Anonymous in smaps_rollup")


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for entry in sockets:
        entry.bind(("127.0.0.1", 0))
    ports = [int(entry.getsockname()[1]) for entry in sockets]
    for entry in sockets:
        entry.close()
    return ports


def wait_for_port(port: int, process: subprocess.Popen[bytes], deadline_s: float = 20.0) -> None:
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        assert process.poll() is None, f"server ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.02)
    raise AssertionError(f"port {port} did not open")


@contextlib.contextmanager
def redis_server() -> Iterator[Server]:
    """A redis-server without persistence."""
    program = shutil.which("redis-server")
    assert program is not None, "redis-server is not installed"
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port, process)
        yield Server("redis-server", process.pid, port)
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Cluster:
    """Running nodes and what commands need to reach them."""

    name: str
    environment: Mapping[str, str]
    nodes: list[Server]

    def command(self, *arguments: str, check: bool = True) -> str:
        """Run ``ringdeck`` on this cluster; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "console.cli", *arguments, "--name", self.name],
            env=dict(self.environment), cwd=ROOT, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def log(self, node_id: str) -> str:
        """What a node has logged so far."""
        home = Path(self.environment["RINGDECK_HOME"])
        return (home / self.name / node_id / "node.log").read_text()


@contextlib.contextmanager
def ringdeck_cluster(
    count: int,
    *,
    table: str = "auto",
    maxmemory_bytes: int = 2 << 30,
    name: str = "bench",
    settings: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """A cluster of nodes, started as the command line starts them, ready when this yields.

    Args:
        count: how many nodes.
        table: which table they use.
        maxmemory_bytes: of each node.
        name: of the cluster.
        settings: of the nodes, in the spelling of their environment.
    """
    with tempfile.TemporaryDirectory(prefix="ringdeck-bench-") as home:
        environment = dict(os.environ, RINGDECK_HOME=home, RINGDECK_TABLE=table)
        environment["RINGDECK_MAXMEMORY_BYTES"] = str(maxmemory_bytes)
        environment.update(settings or {})
        cluster = Cluster(name, environment, [])
        try:
            started = cluster.command("cluster", "start", "--nodes", str(count), "--json")
            cluster.nodes.extend(
                Server(
                    f"ringdeck {node['id']}",
                    int(node["pid"]),
                    int(node["resp"].rsplit(":", 1)[1]),
                    int(node["http"].rsplit(":", 1)[1]),
                    int(node["native"].rsplit(":", 1)[1]),
                )
                for node in json.loads(started)["nodes"]
            )
            yield cluster
        finally:
            cluster.command("cluster", "stop", "--purge", check=False)


@contextlib.contextmanager
def ringdeck_nodes(
    count: int,
    *,
    table: str = "auto",
    maxmemory_bytes: int = 2 << 30,
    name: str = "bench",
    settings: Mapping[str, str] | None = None,
) -> Iterator[list[Server]]:
    """As ``ringdeck_cluster``, for who needs its nodes alone."""
    with ringdeck_cluster(
        count, table=table, maxmemory_bytes=maxmemory_bytes, name=name, settings=settings
    ) as cluster:
        yield cluster.nodes
