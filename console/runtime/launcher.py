"""Makes local clusters: chooses ports, writes configurations, begins nodes, waits until they serve.

The nodes are ordinary headless nodes (``python -m nodecore.runtime --config FILE``); nothing here
is known to them but the path of a file that they write when they are ready members. Who begins the
processes (detached, or a warden) is the spawner's affair.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import trio

from console.cluster_record import ClusterRecord, NodeRecord, decode_record
from console.errors import StartFailed, UsageError
from console.exit_codes import ExitCode
from console.runtime.ports import HOST, choose_ports, is_free, port_base
from console.runtime.processes import RunState, look, python_environment, state_of
from console.runtime.secret import HELD
from console.runtime.spawner import Spawner
from console.runtime.state_dir import StateDir, tail, write_atomically
from console.toml_text import to_toml
from nodecore.config_parsing import parse
from nodecore.config_rules import split_address
from nodecore.errors import InvalidConfig
from nodecore.limits import MEMBERS_MAX

READY_DEADLINE_S: Final = 30.0
STOP_DEADLINE_S: Final = 10.0
POLL_S: Final = 0.03
EXIT_POLLS_MAX: Final = 30
START_TRIES: Final = 3
CONFIGURATION_REFUSED: Final = "exit 2"
"""How a node ends that can't use its settings."""
LOG_LINES_SHOWN: Final = 12
_BUSY: Final = "Address already in use"
_PER_NODE: Final = (
    "NODE_ID",
    "BIND_",
    "ADVERTISE_",
    "JOIN",
    "DATA_DIR",
    "LOG_FILE",
    "CLUSTER_ID",
    "SECRET_FILE",
)

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class StartOptions:
    """What a new local cluster should be."""

    nodes: int = 3
    chaos: bool = False
    data_dir: str = ""
    settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    owner_pid: int = 0
    """A console that takes the nodes with it; 0: they run on their own."""


def running_nodes(record: ClusterRecord) -> list[NodeRecord]:
    """The nodes whose processes live, paused ones included."""
    return [node for node in record.nodes if state_of(node.pid, node.born) is not RunState.GONE]


async def start_cluster(
    state: StateDir, options: StartOptions, spawner: Spawner, tell: Tell
) -> ClusterRecord:
    """Start a cluster and wait until every node is a ready member; the caller holds the lock.

    Raises:
        UsageError: it runs already, or the options can't be used. Nothing was changed.
        StartFailed: a node did not become ready in time; what was started is stopped again.
    """
    if not 1 <= options.nodes <= MEMBERS_MAX:
        raise UsageError(f"nodes: {options.nodes} is outside 1..{MEMBERS_MAX}")
    refuse_running(state, tell)
    state.create()
    for attempt in range(1, START_TRIES + 1):
        record = _plan(state, options, tell)
        try:
            return await _start_planned(state, record, spawner)
        except StartFailed as failed:
            await stop_nodes(running_nodes(state.load() or record), spawner, signal.SIGKILL)
            (state.folder / "cluster.json").unlink(missing_ok=True)
            if _BUSY not in failed.tail or attempt == START_TRIES or _resumes(options):
                raise
            tell("a port was taken meanwhile; choosing others")
        except BaseException:
            with trio.CancelScope(shield=True):
                await stop_nodes(running_nodes(state.load() or record), spawner, signal.SIGKILL)
            (state.folder / "cluster.json").unlink(missing_ok=True)
            raise
    raise AssertionError("the last attempt returns or raises")


def refuse_running(state: StateDir, tell: Tell) -> None:
    """Raise UsageError when this cluster runs; say so when a crash left its record behind."""
    record = state.load()
    if record is None:
        return
    alive = running_nodes(record)
    if alive:
        pids = ", ".join(f"{node.id} pid {node.pid}" for node in alive)
        raise UsageError(
            f"cluster {state.name!r} is running ({pids})",
            hint=f"ringdeck cluster stop --name {state.name}",
        )
    if any(node.pid for node in record.nodes):
        tell(f"cluster {state.name!r} ended without being stopped; starting anew")


async def _start_planned(state: StateDir, record: ClusterRecord, spawner: Spawner) -> ClusterRecord:
    # Nodes of a cluster with a secret answer only those who have it.
    HELD.use_recorded(record.settings)
    state.save(record)
    for node in record.nodes:
        record = record.with_node(await begin_node(state, node, spawner))
        # Saved after each: a crash here must not lose sight of a process.
        state.save(record)
    await wait_ready(state, record.nodes, spawner)
    if record.data_dir:
        write_atomically(Path(record.data_dir) / "cluster.json", _bytes_of(state))
    return record


def _bytes_of(state: StateDir) -> bytes:
    return (state.folder / "cluster.json").read_bytes()


def _resumes(options: StartOptions) -> bool:
    return bool(options.data_dir) and (Path(options.data_dir) / "cluster.json").exists()


def _plan(state: StateDir, options: StartOptions, tell: Tell) -> ClusterRecord:
    if _resumes(options):
        record = _resumed(state, options)
        tell(f"resuming {', '.join(node.id for node in record.nodes)} from {options.data_dir}")
    else:
        record = _fresh(state, options, tell)
    born = look(options.owner_pid)[1] if options.owner_pid else ""
    record = replace(record, owner_pid=options.owner_pid, owner_born=born)
    bootstrap = [
        {"id": node.id, "native": node.native, "resp": node.resp, "http": node.http}
        for node in record.nodes
    ]
    for node in record.nodes:
        shutil.rmtree(state.node_folder(node.id), ignore_errors=True)
        write_config(state, record, node, {"bootstrap": bootstrap})
    return record


def _fresh(state: StateDir, options: StartOptions, tell: Tell) -> ClusterRecord:
    base = port_base()
    taken: list[int] = []
    nodes = []
    for index in range(1, options.nodes + 1):
        ports = choose_ports(index, taken, base)
        taken += [ports.resp, ports.native, ports.http]
        for text in ports.moved:
            tell(f"n{index}: {text}")
        nodes.append(_node(f"n{index}", ports.resp, ports.native, ports.http))
    settings = {**options.settings, **HELD.as_setting()}
    data_dir = str(Path(options.data_dir).expanduser().absolute()) if options.data_dir else ""
    return ClusterRecord(
        name=state.name,
        cluster_id=f"{state.name}-{secrets.token_hex(4)}",
        nodes=tuple(nodes),
        chaos=options.chaos,
        data_dir=data_dir,
        settings=settings,
    )


def _resumed(state: StateDir, options: StartOptions) -> ClusterRecord:
    """The cluster whose data is in the folder: same ids, same addresses."""
    path = Path(options.data_dir).expanduser().absolute() / "cluster.json"
    record = decode_record(path.read_bytes(), str(path))
    busy = [
        f"{node.id} {address}"
        for node in record.nodes
        for address in (node.resp, node.native, node.http)
        if not is_free((split_address(address) or ("", 0))[1])
    ]
    if busy:
        raise UsageError(f"the cluster in {path.parent} needs busy ports: {', '.join(busy)}")
    nodes = tuple(replace(node, pid=0, born="", fault="") for node in record.nodes)
    settings = {**record.settings, **options.settings, **HELD.as_setting()}
    return replace(record, name=state.name, nodes=nodes, chaos=options.chaos, settings=settings)


def _node(node_id: str, resp: int, native: int, http: int) -> NodeRecord:
    return NodeRecord(node_id, f"{HOST}:{native}", f"{HOST}:{resp}", f"{HOST}:{http}")


def write_config(
    state: StateDir, record: ClusterRecord, node: NodeRecord, membership: Mapping[str, object]
) -> None:
    """Write a node's configuration; ``membership`` holds ``bootstrap`` or ``join``.

    Raises:
        UsageError: a node would refuse it; every problem is named.
    """
    data = (
        Path(record.data_dir) / node.id if record.data_dir else state.node_folder(node.id) / "data"
    )
    mapping: dict[str, object] = {
        **record.settings,
        "node_id": node.id,
        "cluster_id": record.cluster_id,
        "data_dir": str(data),
        "log_file": str(state.log_path(node.id)),
        "enable_chaos": record.chaos,
        "bind": {"native": node.native, "resp": node.resp, "http": node.http},
        **membership,
    }
    try:
        parse(mapping)
    except InvalidConfig as invalid:
        raise UsageError("; ".join(invalid.problems)) from None
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        state.node_folder(node.id).mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(state.config_path(node.id), to_toml(mapping).encode())
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from None


async def begin_node(state: StateDir, node: NodeRecord, spawner: Spawner) -> NodeRecord:
    """Begin a node's process from its written configuration; returns the record with its pid.

    Raises:
        StartFailed: the process could not be begun.
    """
    state.ready_path(node.id).unlink(missing_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.removeprefix("RINGDECK_").startswith(_PER_NODE) or name[:9] != "RINGDECK_"
    }
    environment["RINGDECK_READY_FILE"] = str(state.ready_path(node.id))
    arguments = [
        sys.executable,
        "-m",
        "nodecore.runtime",
        "--config",
        str(state.config_path(node.id)),
    ]
    pid = await spawner.spawn(
        arguments, python_environment(environment), state.output_path(node.id)
    )
    return replace(node, pid=pid, born=look(pid)[1], fault="")


async def wait_ready(
    state: StateDir,
    nodes: Iterable[NodeRecord],
    spawner: Spawner,
    deadline_s: float = READY_DEADLINE_S,
) -> None:
    """Wait until each of these nodes says that it is a ready member.

    Raises:
        StartFailed: one ended or was not ready in time; its log's last lines are with the error.
    """
    waiting = list(nodes)
    with trio.move_on_after(deadline_s):
        while waiting:
            for node in list(waiting):
                if _is_ready(state, node):
                    waiting.remove(node)
                elif state_of(node.pid, node.born) is RunState.GONE:
                    how = await _how_it_ended(spawner, node.pid)
                    failed = _start_failed(state, node, f"{node.id} did not start: {how}")
                    if how == CONFIGURATION_REFUSED:
                        failed.exit_code = ExitCode.USAGE
                    raise failed
            if waiting:
                await trio.sleep(POLL_S)
    if waiting:
        names = ", ".join(node.id for node in waiting)
        raise _start_failed(state, waiting[0], f"not ready within {deadline_s:g} s: {names}")


async def _how_it_ended(spawner: Spawner, pid: int) -> str:
    """The exit in words: the system says that a process is gone before its parent says how."""
    for _attempt in range(EXIT_POLLS_MAX):
        if text := spawner.exit_text(pid):
            return text
        await trio.sleep(POLL_S)
    return "ended"


def _is_ready(state: StateDir, node: NodeRecord) -> bool:
    try:
        found = json.loads(state.ready_path(node.id).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("pid") == node.pid


def _start_failed(state: StateDir, node: NodeRecord, text: str) -> StartFailed:
    log, output = state.log_path(node.id), state.output_path(node.id)
    lines = tail(log, LOG_LINES_SHOWN) + tail(output, LOG_LINES_SHOWN)
    whole = log if log.exists() else output
    return StartFailed(text, "\n".join(lines), hint=f"the whole log: {whole}")


async def stop_nodes(
    nodes: Iterable[NodeRecord],
    spawner: Spawner,
    number: signal.Signals = signal.SIGTERM,
    deadline_s: float = STOP_DEADLINE_S,
) -> list[str]:
    """Stop processes, paused ones included; those that ignore it are killed, and named in the result."""
    waiting = list(nodes)
    for node in waiting:
        await spawner.signal(node.pid, node.born, number)
        await spawner.signal(node.pid, node.born, signal.SIGCONT)
    await wait_gone(waiting, spawner, deadline_s)
    stubborn = [node.id for node in waiting]
    for node in waiting:
        await spawner.signal(node.pid, node.born, signal.SIGKILL)
    await wait_gone(waiting, spawner, 5.0)
    return stubborn


async def wait_gone(waiting: list[NodeRecord], spawner: Spawner, deadline_s: float) -> None:
    """Wait until these processes are gone, at most ``deadline_s``; they are taken off the list."""
    with trio.move_on_after(deadline_s):
        while True:
            for node in list(waiting):
                spawner.exit_text(node.pid)
                if state_of(node.pid, node.born) is RunState.GONE:
                    waiting.remove(node)
            if not waiting:
                return
            await trio.sleep(POLL_S)


def plan_node(
    state: StateDir,
    record: ClusterRecord,
    taken: frozenset[str],
    settings: Mapping[str, object] | None = None,
) -> NodeRecord:
    """A further node for a running cluster, its configuration written; not begun.

    ``settings``: of this node alone.

    Raises:
        UsageError: no port is free, or no member runs that it could join through.
    """
    doors = running_nodes(record)
    if not doors:
        raise UsageError(f"cluster {state.name!r} has no running node to join")
    if len(record.nodes) >= MEMBERS_MAX:
        raise UsageError(f"a cluster has at most {MEMBERS_MAX} nodes")
    node_id = record.next_node_id(taken)
    used = [
        (split_address(address) or ("", 0))[1]
        for node in record.nodes
        for address in (node.resp, node.native, node.http)
    ]
    index = int(node_id[1:])
    ports = choose_ports(index, used, port_base())
    node = _node(node_id, ports.resp, ports.native, ports.http)
    with contextlib.suppress(OSError):
        shutil.rmtree(state.node_folder(node_id))
    write_config(state, record, node, {"join": [door.native for door in doors], **(settings or {})})
    return node
