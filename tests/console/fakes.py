"""A scripted source for screen tests: plausible snapshots with a fixed clock, commands recorded."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import trio

from console.source import (
    ActiveFault,
    AddPreview,
    Capability,
    ClusterSnapshot,
    CommandResult,
    LoadState,
    MemberRow,
    PastDocument,
    ProcessState,
)
from nodecore.ids import SLOTS_COUNT
from nodecore.statistics import (
    HEAT_BANDS,
    LATENCY_BOUNDS_US,
    BreakerState,
    EventRecord,
    KeyHeat,
    LatencyHistogram,
    NodeStatistics,
)

START_MS = 1_700_000_000_000
ALL = Capability.PROCESS_FAULTS | Capability.LINK_FAULTS | Capability.MEMBERSHIP | Capability.LOAD
HOT_SLOT = 9000


def make_owners(nodes: int, arcs_per_node: int = 32, seed: int = 7) -> tuple[tuple[int, ...], ...]:
    """A slot table of random arcs with three owners each."""
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(SLOTS_COUNT), nodes * arcs_per_node))
    order = [index % nodes for index in range(len(cuts))]
    rng.shuffle(order)
    table: list[tuple[int, ...]] = []
    for at, cut in enumerate(cuts):
        end = cuts[at + 1] if at + 1 < len(cuts) else SLOTS_COUNT
        first = order[at]
        owners = tuple((first + step) % nodes for step in range(min(3, nodes)))
        start = cut if at else 0
        table.extend([owners] * (end - start))
    return tuple(table)


def make_statistics(
    node_id: str, tick: int, peers: Sequence[str], **changes: Any
) -> NodeStatistics:
    """Statistics of a healthy node after ``tick`` seconds."""
    rng = random.Random(f"{node_id}{tick}")
    heat = [rng.randrange(4) for _ in range(HEAT_BANDS)]
    heat[HOT_SLOT * HEAT_BANDS // SLOTS_COUNT] = 120
    counts = [0] * (len(LATENCY_BOUNDS_US) + 1)
    counts[3], counts[6], counts[8] = 380 * tick, 15 * tick, 3 * tick
    base = NodeStatistics(
        node_id=node_id,
        at_wall_ms=START_MS + tick * 1000,
        uptime_s=float(tick),
        pid=40_000 + int(node_id[1:]),
        version="0.1.0",
        table="compiled",
        epoch=3,
        keys=3000 + 17 * int(node_id[1:]),
        memory_bytes=40 * 1024 * 1024,
        memory_bytes_max=256 * 1024 * 1024,
        reads=380 * tick,
        writes=40 * tick + 7 * (tick % 5),
        hits=350 * tick,
        misses=30 * tick,
        read_latency=LatencyHistogram(tuple(counts)),
        eviction_policy="s3fifo",
        breakers=tuple(
            BreakerState(peer, "closed", 0, 0.0, 0.0, 100) for peer in peers if peer != node_id
        ),
        slot_heat=tuple(heat),
    )
    return replace(base, **changes)


def make_snapshot(
    tick: int,
    nodes: int = 5,
    *,
    owners: tuple[tuple[int, ...], ...] | None = None,
    killed: Mapping[str, int] | None = None,
    paused: Sequence[str] = (),
    faults: Sequence[ActiveFault] = (),
    events: Sequence[EventRecord] = (),
) -> ClusterSnapshot:
    """A cluster after ``tick`` seconds; ``killed`` says since which tick."""
    killed = killed or {}
    ids = [f"n{index + 1}" for index in range(nodes)]
    members = []
    for index, node_id in enumerate(ids):
        dead = node_id in killed
        changes: dict[str, Any] = {}
        if killed:
            opened = tuple(
                BreakerState(
                    peer,
                    "open" if peer in killed else "closed",
                    5 if peer in killed else 0,
                    1.0 if peer in killed else 0.0,
                    0.0,
                    5,
                    reason="5 of 5 failed in 2.0 s" if peer in killed else "",
                    opened_wall_ms=START_MS + killed[peer] * 1000 if peer in killed else 0,
                    probe_in_s=3.2 if peer in killed else 0.0,
                )
                for peer in ids
                if peer != node_id
            )
            changes["breakers"] = opened
        stopped = dead or node_id in paused
        at = killed[node_id] if dead else tick
        members.append(
            MemberRow(
                node_id=node_id,
                letter="ABCDEFGHIJ"[index],
                status="failed" if dead else "alive",
                process=ProcessState.EXITED
                if dead
                else ProcessState.PAUSED
                if node_id in paused
                else ProcessState.RUNNING,
                pid=None if dead else 40_001 + index,
                exit_text="exit -9 at 12:03:41" if dead else "",
                addresses={
                    "resp": f"127.0.0.1:{7001 + index}",
                    "http": f"127.0.0.1:{8081 + index}",
                },
                statistics=make_statistics(node_id, at, ids, **changes),
                statistics_age_s=float(tick - at) if stopped else 0.1,
            )
        )
    return ClusterSnapshot(
        sequence=tick + 1,
        at_wall_ms=START_MS + tick * 1000,
        cluster="demo",
        epoch=3,
        state="stable",
        replicas=3,
        vnodes=160,
        members=tuple(members),
        owners=owners,
        hot_keys=(
            (KeyHeat(b"user:42", 780.0, 20.0, HOT_SLOT), "n3"),
            (KeyHeat(b"feed:top", 230.0, 2.0, 40), "n1"),
            (KeyHeat(b"cart:\x1b[31m7", 80.0, 4.0, 12_000), "n2"),
        ),
        faults=tuple(faults),
        load=LoadState(True, 2000.0, 0.9, 1.1, 10_000, rate=1990.0, p50_ms=0.3, p99_ms=4.0),
        events=tuple(events),
    )


class FakeSource:
    """Produces a snapshot at the start and whenever ``step`` is called (or every interval)."""

    name = "fake"

    def __init__(
        self, nodes: int = 5, capabilities: Capability = ALL, *, moving: bool = False
    ) -> None:
        self.capabilities = capabilities
        self.nodes = nodes
        self.owners = make_owners(nodes)
        self.commands: list[tuple[Any, ...]] = []
        self.interval_s = 1.0
        self.tick = 1
        self.killed: dict[str, int] = {}
        self.paused: list[str] = []
        self.faults: list[ActiveFault] = []
        self.events: list[EventRecord] = []
        self.moving = moving
        self.stopped = False
        self.fail_with = ""
        """Commands answer with this error."""
        self.hang = False
        """Commands never answer."""
        self.previews_held = False
        """Previews are not answered while this holds."""
        self._on_snapshot: Callable[[ClusterSnapshot], None] | None = None

    async def run(self, on_snapshot: Callable[[ClusterSnapshot], None]) -> None:
        self._on_snapshot = on_snapshot
        try:
            for _ in range(2):
                self.step()
            while self.moving:
                await trio.sleep(self.interval_s)
                self.step()
            await trio.sleep_forever()
        finally:
            self.stopped = True

    def step(self, ticks: int = 1) -> None:
        """Time passes; one snapshot for each second."""
        for _ in range(ticks):
            self.tick += 1
            events, self.events = self.events, []
            snapshot = make_snapshot(
                self.tick,
                self.nodes,
                owners=self.owners,
                killed=self.killed,
                paused=self.paused,
                faults=self.faults,
                events=events,
            )
            if self._on_snapshot is not None:
                self._on_snapshot(snapshot)

    def event(self, kind: str, text: str, node_id: str = "n1", severity: str = "info") -> None:
        """Something that the next snapshot tells."""
        at_ms = START_MS + (self.tick + 1) * 1000
        self.events.append(EventRecord(len(self.events), at_ms, node_id, kind, text, severity))

    def set_interval(self, interval_s: float) -> None:
        self.interval_s = interval_s

    async def _record(self, *command: Any, fault_id: str = "") -> CommandResult:
        self.commands.append(command)
        if self.hang:
            await trio.sleep_forever()
        if self.fail_with:
            return CommandResult(False, self.fail_with)
        return CommandResult(True, "done", fault_id, "undo")

    def _fault(self, kind: str, target: str, text: str) -> str:
        fault_id = f"f{len(self.commands)}"
        at_ms = START_MS + self.tick * 1000
        self.faults.append(ActiveFault(fault_id, kind, target, text, "you", at_ms))
        return fault_id

    async def kill(self, node_ids: Sequence[str]) -> CommandResult:
        result = await self._record("kill", *node_ids)
        if result.ok:
            for node_id in node_ids:
                self.killed[node_id] = self.tick
                self._fault("kill", node_id, f"kill {node_id}")
        return result

    async def terminate(self, node_ids: Sequence[str]) -> CommandResult:
        return await self._record("terminate", *node_ids)

    async def pause(self, node_ids: Sequence[str]) -> CommandResult:
        result = await self._record("pause", *node_ids)
        self.paused.extend(node_ids)
        for node_id in node_ids:
            self._fault("pause", node_id, f"pause {node_id}")
        return result

    async def resume(self, node_ids: Sequence[str]) -> CommandResult:
        result = await self._record("resume", *node_ids)
        self.paused = [kept for kept in self.paused if kept not in node_ids]
        self.faults = [fault for fault in self.faults if fault.target not in node_ids]
        return result

    async def restart(self, node_ids: Sequence[str]) -> CommandResult:
        result = await self._record("restart", *node_ids)
        for node_id in node_ids:
            self.killed.pop(node_id, None)
        self.faults = [fault for fault in self.faults if fault.target not in node_ids]
        return result

    async def add_fault(
        self,
        kind: str,
        link: str,
        attributes: Mapping[str, float],
        *,
        stream: str,
        toxicity: float,
        for_s: float | None,
        control: bool,
    ) -> CommandResult:
        fault_id = self._fault(kind, link, kind)
        return await self._record(
            "add_fault", kind, link, dict(attributes), stream, toxicity, for_s, control,
            fault_id=fault_id,
        )  # fmt: skip

    async def remove_fault(self, fault_id: str) -> CommandResult:
        self.faults = [fault for fault in self.faults if fault.fault_id != fault_id]
        return await self._record("remove_fault", fault_id)

    async def heal_all(self) -> CommandResult:
        self.killed.clear()
        self.paused.clear()
        self.faults.clear()
        return await self._record("heal_all")

    async def _preview_is_due(self) -> None:
        while True:
            await trio.sleep(0.01)
            if not self.previews_held:
                return

    async def preview_add(self, count: int) -> AddPreview:
        self.commands.append(("preview_add", count))
        await self._preview_is_due()
        first_owners = ["n6"] * 2730 + [f"n{owners[0] + 1}" for owners in self.owners[2730:]]
        return AddPreview(
            "n6", 2730 * count, 8190, 1700, 200_000, 4.0, (("n1", 0.034), ("n2", 0.031)), 1 / 6,
            tuple(first_owners),
        )  # fmt: skip

    async def preview_remove(self, node_id: str) -> AddPreview:
        self.commands.append(("preview_remove", node_id))
        await self._preview_is_due()
        return AddPreview(node_id, 3276, 9000, None, None, None, (("n1", 0.05),), 0.2)

    async def add_nodes(self, count: int) -> CommandResult:
        self.nodes += count
        self.owners = make_owners(self.nodes)
        return await self._record("add_nodes", count)

    async def remove_node(self, node_id: str) -> CommandResult:
        return await self._record("remove_node", node_id)

    async def set_load(
        self,
        *,
        running: bool,
        rate: float | None = None,
        zipf: float | None = None,
        reads: float | None = None,
    ) -> CommandResult:
        return await self._record("set_load", running, rate, zipf, reads)

    async def locate(self, key: bytes) -> tuple[int, tuple[str, ...]]:
        self.commands.append(("locate", key))
        return HOT_SLOT, ("n3", "n4", "n5")

    async def history(self) -> list[PastDocument]:
        self.commands.append(("history",))
        first = PastDocument(1, 1, "stable", "started", "", START_MS, START_MS, members=5)
        joint = PastDocument(
            1, 2, "joint", "n6 \x1b[31mjoins", "n1", START_MS + 1000, 0, "join", "n6", members=5
        )
        last = PastDocument(
            1, 3, "stable", "n6 has joined", "n1", START_MS + 2000, 0, members=6, added=("n6",)
        )
        return [first, joint, last]

    async def log_tail(self, node_id: str, lines: int) -> list[str]:
        self.commands.append(("log_tail", node_id, lines))
        return ["started", "joined \x1b[31mred", "x" * 300]
