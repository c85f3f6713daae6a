"""What must be true of a run: judgements over histories and over the nodes' own stores.

Each checker returns what it found wrong, as lines for a person; empty means nothing. Histories here
come from ``workload``: one writer per key, values that name their write. For histories with many
writers see ``linearizability``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from nodecore.requests import Flag
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.history import History, Operation, Result
from nodecore.simulation.workload import sequence_of
from nodecore.table.interface import Kind

Counts = Callable[[Operation], bool]

VIOLATIONS_SHOWN_MAX = 20
LAG_S = 4.0
"""An owner behind an open breaker gets hints only: it lags until the breaker probes again (1 s with
jitter, then 2 s) and the tick after that."""
LAG_AFTER_CRASH_S = 12.0
"""Hints that died with their keeper are made up for by anti-entropy: one round over all slots."""


def acknowledged(operation: Operation) -> bool:
    """Whether the cluster promised to keep this write: acknowledged, and not flagged sloppy."""
    return operation.result is Result.OK and not operation.flags & Flag.SLOPPY


def check_reads(
    history: History,
    counts: Counts = acknowledged,
    *,
    lag_s: float = LAG_S,
    since_s: float = 0.0,
    settled_s: float = math.inf,
) -> list[str]:
    """Reads see nothing older than they may, nothing that was never written, and nothing from the
    future.

    On its own connection a client sees every promised write that has ended; writes of others it
    sees after ``lag_s`` at the latest (an owner that is not the first may lag behind). This finds
    lost writes, keys that vanish while slots move, and deletes that come undone. Reads that the
    cluster itself calls stale or degraded are excused.

    Args:
        history: of a ``workload``.
        counts: which writes were promised.
        lag_s: how long a copy may take to reach the last owner.
        since_s: reads that began earlier are not judged (they were served by a cut-off minority).
        settled_s: from here on all owners agree, and no reader may lag.
    """
    found: list[str] = []
    for key, operations in history.by_key().items():
        writes = sorted((op for op in operations if op.kind == "write"), key=lambda op: op.sequence)
        for read in operations:
            if read.kind != "read" or read.result is not Result.OK or read.begin_s < since_s:
                continue
            if read.flags & (Flag.STALE | Flag.DEGRADED):
                continue
            least = 0
            for write in writes:
                own = (write.client, write.connection) == (read.client, read.connection)
                allowed_s = 0.0 if own or read.begin_s >= settled_s else lag_s
                if counts(write) and write.end_s + allowed_s < read.begin_s:
                    least = max(least, write.sequence)
            problem = _judge_read(key, read, writes, least)
            if problem:
                found.append(problem)
    return found[:VIOLATIONS_SHOWN_MAX]


def _judge_read(key: bytes, read: Operation, writes: list[Operation], least: int) -> str:
    where = f"{key.decode()} read by {read.client} at {read.begin_s:.4f}"
    if read.value is None:
        # A miss stands for any delete at or after the last promised write, or for no write at all.
        explained = least == 0 or any(
            write.value is None
            and write.sequence >= least
            and write.begin_s <= read.end_s
            and write.result is not Result.FAIL
            for write in writes
        )
        return "" if explained else f"{where}: a miss, but write {least} was acknowledged"
    sequence = sequence_of(key, read.value)
    if sequence is None:
        return f"{where}: {read.value[:40]!r} was never written"
    begun = [write for write in writes if write.sequence == sequence and write.value is not None]
    if not begun or begun[0].begin_s > read.end_s:
        return f"{where}: write {sequence} had not begun"
    if sequence < least:
        return f"{where}: write {sequence}, but write {least} was acknowledged before"
    return ""


def check_progress(history: History, *, share: float) -> list[str]:
    """At least this share of the operations succeeded."""
    counts = history.counts()
    total = len(history)
    if total and counts["ok"] < share * total:
        texts: dict[str, int] = {}
        for operation in history:
            if operation.result is not Result.OK:
                texts[operation.text] = texts.get(operation.text, 0) + 1
        worst = sorted(texts.items(), key=lambda item: -item[1])[:3]
        return [f"only {counts['ok']} of {total} operations succeeded: {worst}"]
    return []


def check_ring(cluster: SimCluster) -> list[str]:
    """All running members hold the same stable document, and no copy is missing."""
    newest = cluster.topology()
    found = [f"the topology is still joint: {newest.reason}"] if newest.joint else []
    for process in cluster.running_members:
        document = process.node.chain.document
        if document != newest:
            epoch = 0 if document is None else document.epoch
            found.append(f"{process.node_id} stands at epoch {epoch}, not {newest.epoch}")
        left = process.node.topology_changes.filling.left
        if left:
            found.append(f"{process.node_id} still has {left} slots to copy")
    return found


def check_convergence(cluster: SimCluster, keys: Iterable[bytes]) -> list[str]:
    """For each key all running owners hold equal entries, and nobody else holds any."""
    found: list[str] = []
    for key in keys:
        held: dict[str, tuple[int, bytes, int, int, int] | None] = {}
        for process in cluster.running_members:
            node = process.node
            slot = node.table.slot_of(key)
            entry = node.store.get(key, process.clock.now())
            owners = node.owners(slot)
            if process.node_id not in owners:
                if entry is not None:
                    found.append(f"{key.decode()}: {process.node_id} is no owner and holds it")
                continue
            held[str(process.node_id)] = (
                None
                if entry is None
                else (entry.kind, entry.value, entry.hlc, entry.node, entry.expires_ms)
            )

        if len({_content(value) for value in held.values()}) > 1:
            shown = {name: value and (value[2], value[1][:24]) for name, value in held.items()}
            found.append(f"{key.decode()}: owners differ: {shown}")
    return found[:VIOLATIONS_SHOWN_MAX]


def _content(value: tuple[int, bytes, int, int, int] | None) -> object:
    """A tombstone may have been collected on one owner and not yet on another."""
    return None if value is None or value[0] == Kind.TOMBSTONE else value


def check_copies(cluster: SimCluster, keys: Iterable[bytes]) -> list[str]:
    """Every key that any node holds is held by all its running owners."""
    found: list[str] = []
    for key in keys:
        holders, owners = [], []
        for process in cluster.running_members:
            node = process.node
            slot = node.table.slot_of(key)
            entry = node.store.get(key, process.clock.now())
            if entry is not None and entry.kind != Kind.TOMBSTONE:
                holders.append(str(process.node_id))
            if process.node_id in node.owners(slot):
                owners.append(str(process.node_id))
        missing = [name for name in owners if name not in holders]
        if holders and missing:
            found.append(f"{key.decode()}: held by {holders}, missing on {missing}")
    return found[:VIOLATIONS_SHOWN_MAX]
