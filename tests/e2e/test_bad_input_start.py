"""Clusters and nodes that can't start as asked: said clearly, nothing left behind."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.harness import ROOT, Cluster, Done, cluster, processes_with
from tests.e2e.wire import port_of

pytestmark = pytest.mark.slow

NODE_TIMEOUT_S = 30.0


def listeners(ports: list[int], stack: ExitStack) -> None:
    for port in ports:
        sock = stack.enter_context(socket.socket())
        # Clusters of earlier tests may have left connections of this port in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            found.append(sock.getsockname()[1])
        return found


def run_node(ring: Cluster, config: Path) -> Done:
    """A node process to its end; it must end by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "nodecore.runtime", "--config", str(config)],
        env=ring.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=NODE_TIMEOUT_S,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def write_config(folder: Path, **settings: Any) -> Path:
    native, resp, http = free_ports(3)
    lines = [f"{name} = {value!r}".replace("'", '"') for name, value in settings.items()]
    lines += [
        f'data_dir = "{folder / "data"}"',
        "[bind]",
        f'native = "127.0.0.1:{native}"',
        f'resp = "127.0.0.1:{resp}"',
        f'http = "127.0.0.1:{http}"',
    ]
    path = folder / "node.toml"
    path.write_text("\n".join(lines))
    return path


def test_a_second_node_with_a_taken_id_is_refused(ring: Cluster, tmp_path: Path) -> None:
    config = write_config(tmp_path, node_id="n2", join=[ring.nodes[0]["native"]])
    done = run_node(ring, config)
    assert done.code == 1
    assert "refuses this node: n2 is a member at another address" in done.err
    assert [member["status"] for member in ring.status()["members"]] == ["alive"] * 3


def test_a_node_of_another_cluster_is_refused(ring: Cluster, tmp_path: Path) -> None:
    config = write_config(
        tmp_path, node_id="n9", cluster_id="elsewhere", join=[ring.nodes[0]["native"]]
    )
    done = run_node(ring, config)
    assert done.code == 1
    assert "elsewhere" in done.err
    assert len(ring.status()["members"]) == 3


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, 0) as found:
        yield found


def test_every_mistake_of_a_configuration_is_told(alone: Cluster, tmp_path: Path) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text('node_id = "N 1"\nvnodez = 3\nreplicas = "three"\n')
    done = run_node(alone, config)
    assert done.code == 2
    for word in ("node_id", "vnodez", "replicas"):
        assert word in done.err
    assert len(done.err.strip().splitlines()) >= 3
    absent = run_node(alone, tmp_path / "nothing.toml")
    assert absent.code == 2
    assert "nothing.toml" in absent.err


def test_other_than_loopback_needs_a_secret(alone: Cluster, tmp_path: Path) -> None:
    config = tmp_path / "open.toml"
    for address in ("0.0.0.0:7101", "192.0.2.7:7101", "[::]:7101"):
        config.write_text(f'node_id = "n1"\n[bind]\nnative = "{address}"\n')
        done = run_node(alone, config)
        assert done.code == 2
        assert "secret" in done.err


def test_busy_ports_are_passed_over_and_told(alone: Cluster) -> None:
    base = int(alone.environment["RINGDECK_PORT_BASE"])
    with ExitStack() as stack:
        listeners([base, base + 1], stack)
        done = alone.ok("cluster", "start", "--nodes", "1", "--json")
        (node,) = done.json["nodes"]
        assert port_of(node["resp"]) == base + 2
        assert f"{base} is busy, {base + 2} instead" in done.err
        again = alone.run("cluster", "start", "--name", alone.name)
        assert again.code == 2
        assert "is running" in again.err
        assert alone.name in again.err
        assert len(alone.pids()) == 1


def test_a_port_that_cannot_be_had_ends_the_node_with_its_name(
    alone: Cluster, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        (port,) = free_ports(1)
        listeners([port], stack)
        config = tmp_path / "busy.toml"
        config.write_text(f'node_id = "n1"\n[bind]\nnative = "127.0.0.1:{port}"\n')
        done = run_node(alone, config)
        assert done.code == 1
        assert f"127.0.0.1:{port}" in done.err
        assert "in use" in done.err.lower()


WRONG_ARGUMENTS = (
    (("cluster", "start", "--nodes", "0"), "--nodes"),
    (("cluster", "start", "--nodes", "many"), "--nodes"),
    (("cluster", "start", "--set", "vnodez=1"), "vnodes"),
    (("cluster", "start", "--set", "vnodes"), "vnodes"),
    (("cluster", "start", "--name", "../escape"), "escape"),
    (("cluster", "frobnicate"), "frobnicate"),
)


def test_wrong_arguments_exit_2_and_start_nothing(alone: Cluster) -> None:
    for arguments, word in WRONG_ARGUMENTS:
        done = alone.run(*arguments)
        assert done.code == 2, done.err
        assert word in done.err
        assert "Traceback" not in done.err
    assert processes_with(str(alone.home)) == []
