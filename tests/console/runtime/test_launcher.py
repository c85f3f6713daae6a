"""Starting and stopping local clusters, with small programs in place of nodes."""

from __future__ import annotations

import os
import socket
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from console.errors import StartFailed, UsageError
from console.exit_codes import ExitCode
from console.runtime import launcher
from console.runtime.launcher import StartOptions, running_nodes, start_cluster, stop_nodes
from console.runtime.processes import RunState, state_of
from console.runtime.state_dir import StateDir
from console.runtime.supervisor import Supervisor
from console.source import ProcessState
from tests.console.runtime.fakes import BUSY, HANG, READY, FakeNodeSpawner


@pytest.fixture(autouse=True)
def _ports(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        base = 20_000 + int(probe.getsockname()[1]) % 20_000
    monkeypatch.setenv("RINGDECK_PORT_BASE", str(base))


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[StateDir]:
    state = StateDir("test", tmp_path)
    yield state
    record = state.load()
    if record is not None:
        await stop_nodes(running_nodes(record), FakeNodeSpawner())


async def test_start_writes_equal_bootstrap_lists_and_stop_leaves_nothing(state: StateDir) -> None:
    spawner = FakeNodeSpawner()
    options = StartOptions(nodes=3, chaos=True, settings={"replicas": 2})
    record = await start_cluster(state, options, spawner, print)
    assert [node.id for node in record.nodes] == ["n1", "n2", "n3"]
    assert state.load() == record
    configs = [tomllib.loads(state.config_path(node.id).read_text()) for node in record.nodes]
    assert configs[0]["bootstrap"] == configs[2]["bootstrap"]
    assert {config["cluster_id"] for config in configs} == {record.cluster_id}
    assert all(config["enable_chaos"] and config["replicas"] == 2 for config in configs)
    assert len(running_nodes(record)) == 3
    with pytest.raises(UsageError, match="is running"):
        await start_cluster(state, options, spawner, print)
    assert await stop_nodes(record.nodes, spawner) == []
    assert running_nodes(record) == []
    told: list[str] = []
    again = await start_cluster(state, StartOptions(nodes=1), spawner, told.append)
    assert "ended without being stopped" in "\n".join(told)
    assert again.cluster_id != record.cluster_id


async def test_a_node_that_fails_shows_its_output_and_nothing_stays(state: StateDir) -> None:
    spawner = FakeNodeSpawner([READY, "print('no luck'); raise SystemExit(2)"])
    with pytest.raises(StartFailed, match="n2 did not start: exit 2") as caught:
        await start_cluster(state, StartOptions(nodes=2), spawner, print)
    assert "no luck" in caught.value.tail
    assert caught.value.exit_code == ExitCode.USAGE
    assert str(state.output_path("n2")) in caught.value.hint
    assert state.load() is None


async def test_a_lost_port_is_chosen_anew(state: StateDir) -> None:
    spawner = FakeNodeSpawner([BUSY, READY])
    told: list[str] = []
    record = await start_cluster(state, StartOptions(nodes=1), spawner, told.append)
    assert told == ["a port was taken meanwhile; choosing others"]
    assert len(running_nodes(record)) == 1


async def test_a_node_that_never_gets_ready_is_named_and_stopped(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "READY_DEADLINE_S", 0.3)
    record = await start_cluster(state, StartOptions(nodes=1), FakeNodeSpawner(), print)
    supervisor = Supervisor(state, record, FakeNodeSpawner([HANG]))
    node = await supervisor.add()
    assert node.id == "n2"
    assert tomllib.loads(state.config_path("n2").read_text())["join"] == [record.nodes[0].native]
    with pytest.raises(StartFailed, match=r"not ready within 0.3 s: n2"):
        await supervisor.wait_ready(node, 0.3)


async def test_bad_settings_change_nothing(state: StateDir) -> None:
    with pytest.raises(UsageError, match="did you mean 'vnodes'"):
        await start_cluster(state, StartOptions(settings={"vnods": 3}), FakeNodeSpawner(), print)
    assert state.load() is None


async def test_data_folder_brings_the_same_cluster_back(state: StateDir, tmp_path: Path) -> None:
    options = StartOptions(nodes=2, data_dir=str(tmp_path / "data"))
    first = await start_cluster(state, options, FakeNodeSpawner(), print)
    await stop_nodes(first.nodes, FakeNodeSpawner())
    state.purge()
    second = await start_cluster(state, options, FakeNodeSpawner(), print)
    assert second.cluster_id == first.cluster_id
    assert [node.native for node in second.nodes] == [node.native for node in first.nodes]


async def test_process_verbs(state: StateDir) -> None:
    spawner = FakeNodeSpawner()
    record = await start_cluster(state, StartOptions(nodes=3), spawner, print)
    supervisor = Supervisor(state, record, spawner)
    assert await supervisor.pause(["n1"]) == "paused n1"
    node = record.nodes[0]
    while state_of(node.pid, node.born) is RunState.RUNNING:
        os.sched_yield()
    assert supervisor.view("n1").state is ProcessState.PAUSED
    assert await supervisor.kill(["n2"]) == "killed n2"
    assert supervisor.view("n2").state is ProcessState.EXITED
    assert supervisor.view("n2").exit_text == "exit -9"
    with pytest.raises(UsageError, match="not running: n2"):
        await supervisor.kill(["n3", "n2"])
    assert supervisor.view("n3").state is ProcessState.RUNNING
    with pytest.raises(UsageError, match="no such node"):
        await supervisor.pause(["n9"])
    assert await supervisor.terminate(["n3"]) == "terminated n3"
    assert await supervisor.heal() == ["resumed n1", "restarted n2, n3"]
    assert {view.state for view in supervisor.views()} == {ProcessState.RUNNING}
    restored = state.load()
    assert restored is not None
    assert [node.fault for node in restored.nodes] == ["", "", ""]


async def test_a_node_that_ends_again_is_still_to_be_healed(state: StateDir) -> None:
    record = await start_cluster(state, StartOptions(nodes=2), FakeNodeSpawner(), print)
    spawner = FakeNodeSpawner(["raise SystemExit(1)", HANG, READY])
    supervisor = Supervisor(state, record, spawner)
    await supervisor.kill(["n2"])
    with pytest.raises(StartFailed, match="n2 did not start: exit 1") as caught:
        await supervisor.heal(wait_s=10)
    assert caught.value.exit_code == ExitCode.FAILED
    assert supervisor.view("n2").node.fault == "kill"
    with pytest.raises(StartFailed, match="not ready within"):
        await supervisor.heal(wait_s=0.2)
    assert supervisor.view("n2").state is ProcessState.RUNNING
    assert supervisor.view("n2").node.fault == ""
    await supervisor.kill(["n2"])
    assert await supervisor.heal(wait_s=10) == ["restarted n2"]
    assert supervisor.view("n2").node.fault == ""
