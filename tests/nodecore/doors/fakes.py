"""A backend over a plain dict: what doors are tested against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nodecore.config import Addresses
from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import NO_VERSION, Epoch, NodeId, Now, Version
from nodecore.placement.topology import Member, Topology
from nodecore.replication.changes import Changed, Current, run_change
from nodecore.requests import (
    Applied,
    Done,
    Failed,
    Flag,
    Flush,
    KeyCount,
    Outcome,
    Read,
    Request,
    Update,
    Value,
    Write,
)
from nodecore.statistics import NodeStatistics
from nodecore.table.interface import Table
from nodecore.table.reference import ReferenceTable

START = Now(100.0, 1_700_000_000_000)


def member(name: str, index: int) -> Member:
    addresses = Addresses(f"127.0.0.1:{7101 + index}", f"127.0.0.1:{7001 + index}", "")
    return Member(NodeId(name), addresses, voter=True)


@dataclass
class FakeBackend:
    """Executes at once, or keeps everything until ``release`` when ``deferred``."""

    deferred: bool = False
    names: tuple[str, ...] = ("n1", "n2", "n3")
    flags: Flag = Flag.NONE
    is_ready: bool = True
    live: set[str] = field(default_factory=lambda: {"n1", "n2", "n3"})
    table_: ReferenceTable = field(default_factory=ReferenceTable)

    def __post_init__(self) -> None:
        self.store: dict[bytes, Value] = {}
        self.clock = 0
        self.requests: Counter[str] = Counter()
        self.submitted: list[Request] = []
        self.waiting: list[tuple[Request, OnOutcome]] = []
        self.admin_calls: list[tuple[str, dict[str, object]]] = []
        self.admin_results: dict[str, Outcome] = {}
        self.topology_ = Topology(
            "test", Epoch(7), tuple(member(name, index) for index, name in enumerate(self.names))
        )
        self.fail: Callable[[Request], Outcome | None] = lambda request: None

    @property
    def node_id(self) -> NodeId:
        return NodeId("n1")

    @property
    def topology(self) -> Topology:
        return self.topology_

    @property
    def table(self) -> Table:
        return self.table_

    def submit(self, request: Request, on_outcome: OnOutcome, now: Now) -> Outcome | None:
        self.submitted.append(request)
        if self.deferred:
            self.waiting.append((request, on_outcome))
            return None
        return self.run(request, now)

    def release(self, now: Now = START, index: int = 0) -> None:
        request, on_outcome = self.waiting.pop(index)
        on_outcome(self.run(request, now), now)

    def release_all(self, now: Now = START) -> None:
        while self.waiting:
            self.release(now)

    def version(self) -> Version:
        self.clock += 1
        return Version((START.wall_ms << 16) + self.clock, 1)

    def live_value(self, key: bytes, now: Now) -> Value | None:
        value = self.store.get(key)
        if value is not None and value.expires_ms and value.expires_ms <= now.wall_ms:
            del self.store[key]
            return None
        return value

    def run(self, request: Request, now: Now) -> Outcome:
        failed = self.fail(request)
        if failed is not None:
            return failed
        match request:
            case Read(keys, _):
                return Done([self.live_value(key, now) for key in keys], self.flags)
            case Write(keys, values, expires_ms, _):
                written = []
                for key, value in zip(keys, values, strict=True):
                    version = self.version()
                    self.store[key] = Value(value, version, expires_ms)
                    written.append(version)
                return Done(written, self.flags, 2)
            case Update():
                return self.update(request, now)
            case Flush():
                self.store.clear()
                return Done(None)
            case KeyCount():
                return Done(sum(self.live_value(key, now) is not None for key in list(self.store)))

    def update(self, request: Update, now: Now) -> Outcome:
        value = self.live_value(request.key, now)
        current = (
            None
            if value is None
            else Current(value.value, value.version, value.expires_ms, value.kind)
        )
        changed = run_change(request.change, current, request.arguments, now)
        if isinstance(changed, Failed):
            return changed
        assert isinstance(changed, Changed)
        stored = changed.stored
        applied = changed.applied
        if stored is not None:
            if stored.kind == 255:
                self.store.pop(request.key, None)
            else:
                version = self.version()
                self.store[request.key] = Value(stored.value, version, stored.expires_ms)
                applied = Applied(
                    applied.number, applied.previous, version, stored.expires_ms, applied.changed
                )
        return Done(applied, self.flags, 2)

    def owners(self, slot: int) -> Sequence[NodeId]:
        first = slot * len(self.names) // 16384
        return [NodeId(self.names[(first + step) % len(self.names)]) for step in range(2)]

    def is_live(self, node: NodeId) -> bool:
        return node in self.live

    def local_count(self, slot: int) -> int:
        return len(self.local_keys(slot, 1 << 30))

    def local_keys(self, slot: int, count: int) -> list[bytes]:
        return [key for key in self.store if self.table_.slot_of(key) == slot][:count]

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        keys = sorted(self.store)
        page = keys[cursor : cursor + count]
        following = cursor + count
        return (following if following < len(keys) else 0), page

    def statistics(self, now: Now) -> NodeStatistics:
        return NodeStatistics(
            "n1", now.wall_ms, 12.5, pid=4242, table="reference", epoch=7, keys=len(self.store),
            memory_bytes=1000, memory_bytes_max=1 << 20, eviction_policy="s3fifo",
        )  # fmt: skip

    def admin(
        self, verb: str, arguments: Mapping[str, object], on_outcome: OnOutcome, now: Now
    ) -> Outcome | None:
        self.admin_calls.append((verb, dict(arguments)))
        return self.admin_results.get(verb, Failed(Code.BAD_REQUEST, f"unknown verb {verb}"))

    def count_request(self, name: str, count: int = 1) -> None:
        self.requests[name] += count

    def ready(self) -> bool:
        return self.is_ready

    def epoch(self) -> Epoch:
        return self.topology_.epoch


assert Version(0, 0) == NO_VERSION
