"""The warden ends its children however its console ends, paused ones too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import trio

from console.cluster_record import ClusterRecord
from console.runtime.processes import RunState, look, python_environment, state_of
from console.runtime.spawner import DetachedSpawner, OwnedSpawner, open_warden, spawner_for

SLEEPER = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]

CONSOLE = """
import json, os, signal, subprocess, sys
warden = subprocess.Popen(
    [sys.executable, "-m", "console.runtime.warden"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
)
pids = []
for number in range(2):
    command = {"id": number + 1, "do": "spawn", "arguments": json.loads(sys.argv[1]),
               "environment": dict(os.environ), "output": "/dev/null"}
    warden.stdin.write(json.dumps(command).encode() + b"\\n")
    warden.stdin.flush()
    pids.append(json.loads(warden.stdout.readline())["pid"])
os.kill(pids[0], signal.SIGSTOP)
print(json.dumps([warden.pid, *pids]), flush=True)
signal.pause()
"""


def wait_gone(pids: list[int], deadline_s: float = 10.0) -> list[int]:
    end = time.monotonic() + deadline_s
    left = list(pids)
    while left and time.monotonic() < end:
        left = [pid for pid in left if look(pid)[0] is not RunState.GONE]
        time.sleep(0.01)
    return left


def test_kill_of_the_console_leaves_no_process() -> None:
    console = subprocess.Popen(
        [sys.executable, "-c", CONSOLE, json.dumps(SLEEPER)],
        stdout=subprocess.PIPE,
        env=python_environment(os.environ),
    )
    assert console.stdout is not None
    pids = json.loads(console.stdout.readline())
    end = time.monotonic() + 5
    while look(pids[1])[0] is not RunState.STOPPED:
        assert time.monotonic() < end
    console.kill()
    console.wait()
    console.stdout.close()
    assert wait_gone(pids) == []


async def test_children_run_are_signalled_and_reported(tmp_path: Path) -> None:
    async with open_warden() as warden:
        pid = await warden.spawn(SLEEPER, os.environ, tmp_path / "out")
        state, born = look(pid)
        assert state is not RunState.GONE
        assert await warden.signal(pid, born, signal.SIGKILL)
        with trio.fail_after(5):
            while not warden.exit_text(pid):
                await trio.lowlevel.checkpoint()
        assert warden.exit_text(pid) == "exit -9"
        assert not await warden.signal(pid, born, signal.SIGTERM)
        other = await warden.spawn(SLEEPER, os.environ, tmp_path / "out")
        other_born = look(other)[1]
    assert state_of(other, other_born) is RunState.GONE


async def test_a_node_that_another_process_started_is_signalled_too(tmp_path: Path) -> None:
    outsider = await DetachedSpawner().spawn(SLEEPER, os.environ, tmp_path / "out")
    born = look(outsider)[1]
    async with open_warden() as warden:
        assert await warden.signal(outsider, born, signal.SIGKILL)
    assert wait_gone([outsider]) == []


async def test_a_node_started_for_a_console_ends_with_it_even_paused(tmp_path: Path) -> None:
    console = await DetachedSpawner().spawn(SLEEPER, os.environ, tmp_path / "out")
    spawner = OwnedSpawner(console, look(console)[1])
    node = await spawner.spawn(SLEEPER, os.environ, tmp_path / "out")
    (keeper,) = spawner.keepers
    os.kill(node, signal.SIGSTOP)
    assert look(keeper)[0] is not RunState.GONE
    os.kill(console, signal.SIGKILL)
    assert wait_gone([console, node, keeper]) == []
    assert spawner.exit_text(node) == "exit -9"
    assert spawner.keepers == []


async def test_a_keeper_ends_with_its_node(tmp_path: Path) -> None:
    console = await DetachedSpawner().spawn(SLEEPER, os.environ, tmp_path / "out")
    spawner = OwnedSpawner(console, look(console)[1])
    node = await spawner.spawn(SLEEPER, os.environ, tmp_path / "out")
    try:
        assert await spawner.signal(node, look(node)[1], signal.SIGKILL)
        assert wait_gone([node, *spawner.keepers]) == []
        assert look(console)[0] is not RunState.GONE
    finally:
        os.kill(console, signal.SIGKILL)


def test_further_nodes_live_as_the_others_do() -> None:
    alone = ClusterRecord("test", "test-1", ())
    assert not isinstance(spawner_for(alone), OwnedSpawner)
    here = os.getpid()
    owned = replace(alone, owner_pid=here, owner_born=look(here)[1])
    assert isinstance(spawner_for(owned), OwnedSpawner)
    assert not isinstance(spawner_for(replace(owned, owner_born="before")), OwnedSpawner)


async def test_bad_commands_are_answered_and_do_not_end_it() -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "console.runtime.warden"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=python_environment(os.environ),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = [
        b"garbage",
        b"[]",
        b'{"id": 1, "do": "dance"}',
        b'{"id": 2, "do": "signal", "pid": 1, "signal": 9}',
        b'{"id": 3, "do": "spawn", "arguments": ["/no/such"], "environment": {}, "output": "/dev/null"}',
    ]
    await process.stdin.send_all(b"\n".join(lines) + b"\n")
    received = b""
    with trio.fail_after(10):
        while received.count(b"\n") < len(lines):
            received += await process.stdout.receive_some()
        answers = [json.loads(line) for line in received.splitlines()]
        assert [answer["id"] for answer in answers] == [None, None, 1, 2, 3]
        assert all(answer["error"] for answer in answers)
        await process.stdin.aclose()
        assert await process.wait() == 0
    await process.stdout.aclose()
