"""Fakes around the rooms of a topology change: a store of slots, and ports that record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from nodecore.config import Addresses
from nodecore.consensus.outcome import OnResult
from nodecore.effects import Emit
from nodecore.ids import SLOTS_COUNT, NodeId, Now, Version
from nodecore.placement.topology import Member, Topology
from nodecore.replication.calls import CallEnd, OnEnd
from nodecore.replication.change_ports import ChangePorts, SlotEntry
from nodecore.table import Table, make_table
from transport.messages import Lane, Message, PeerApply, PeerWritten


def moment(mono_s: float = 0.0) -> Now:
    return Now(mono_s, 1_700_000_000_000 + int(mono_s * 1000))


def member(number: int) -> Member:
    addresses = Addresses(*(f"127.0.0.1:{base + number}" for base in (7100, 7000, 8000)))
    return Member(NodeId(f"n{number}"), addresses)


class FakeStore:
    """Entries by slot, in order of keys."""

    def __init__(self) -> None:
        self.slots: dict[int, dict[bytes, SlotEntry]] = {}
        self.table: Table = make_table("reference")
        self.partial_slots: set[int] = set()
        self.dropped: list[int] = []

    def put(self, slot: int, key: bytes, value: bytes = b"v", hlc: int = 1 << 20) -> None:
        self.slots.setdefault(slot, {})[key] = (key, 0, value, hlc, 1, 0)

    def slot_count(self, slot: int) -> int:
        return self.table.slot_count(slot)

    def slot_counts(self, slots: Iterable[int]) -> list[int]:
        return list(map(self.table.slot_count, slots))

    def empties(self, slots: Iterable[int]) -> Iterator[bool]:
        return (not self.slots.get(slot) and not self.table.slot_count(slot) for slot in slots)

    def slot_heads(self, slot: int) -> Iterator[tuple[bytes, int, int, int, int]]:
        for key in self.table.slot_keys(slot):
            entry = self.table.get(key)
            assert entry is not None
            yield key, entry.kind, entry.hlc, entry.node, entry.expires_ms

    def slot_entries(self, slot: int, after: bytes | None, count: int) -> Sequence[SlotEntry]:
        keys = sorted(self.slots.get(slot, {}))
        return [self.slots[slot][key] for key in keys if after is None or key > after][:count]

    def give_up(self, key: bytes, up_to: Version) -> bool:
        for entries in self.slots.values():
            if key in entries and entries[key][3:5] <= up_to:
                del entries[key]
                return True
        return False

    def drop_slot(self, slot: int) -> int:
        self.dropped.append(slot)
        return len(self.slots.pop(slot, {}))


@dataclass
class Outbox:
    """What a room has asked of its node."""

    node_id: str
    sent: list[tuple[str, Message]] = field(default_factory=list)
    requests: list[tuple[str, Message, OnEnd]] = field(default_factory=list)
    proposals: list[tuple[Topology, OnResult]] = field(default_factory=list)
    learned: list[object] = field(default_factory=list)
    events: list[Emit] = field(default_factory=list)
    stops: list[tuple[str, int]] = field(default_factory=list)
    refreshed: int = 0
    suspects: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    heat: dict[int, float] = field(default_factory=dict)
    life: int = 1

    def ports(self) -> ChangePorts:
        return ChangePorts(
            node_id=NodeId(self.node_id),
            send=self._send,
            request=self._request,
            propose=self._propose,
            learn=self._learn,
            is_live=lambda node: node not in self.suspects and node not in self.failed,
            is_failed=lambda node: node in self.failed,
            emit=self.events.append,
            stop=lambda reason, exit_code: self.stops.append((reason, exit_code)),
            on_filled=self._on_filled,
            rng=Random(self.life),
            heat_bands=lambda: [self.heat.get(slot, 0.0) for slot in range(SLOTS_COUNT)],
        )

    def _send(self, peer: NodeId, _lane: Lane, _stream: int, message: Message) -> None:
        self.sent.append((peer, message))

    def _request(self, peer: NodeId, message: Message, on_end: OnEnd, _now: Now) -> None:
        self.requests.append((peer, message, on_end))

    def _propose(self, document: Topology, on_result: OnResult, _now: Now) -> None:
        self.proposals.append((document, on_result))

    def _learn(self, plain: object, _now: Now) -> bool:
        self.learned.append(plain)
        return True

    def _on_filled(self, _now: Now) -> None:
        self.refreshed += 1

    def answer(self, now: Now, end: CallEnd | None = None) -> PeerApply:
        """End the oldest request (well, unless told otherwise); returns its page."""
        _peer, message, on_end = self.requests.pop(0)
        assert isinstance(message, PeerApply)
        on_end(end or PeerWritten(message.epoch, 1, []), now)
        return message
