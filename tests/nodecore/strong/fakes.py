"""A store, a disk and a few acceptors without a node around them."""

from __future__ import annotations

from nodecore.ids import Now
from nodecore.storage.disk import Area, DiskWrites, Durability
from nodecore.strong.registers import Registers
from nodecore.table import make_table
from nodecore.table.interface import Table

NOW = Now(100.0, 1_700_000_000_000)


class FakeStore:
    """Room for so many bytes."""

    def __init__(self, bytes_max: int = 1 << 20) -> None:
        self.outside_bytes = 0
        self.bytes_max = bytes_max
        self._table = make_table("reference")

    @property
    def table(self) -> Table:
        return self._table

    def make_room(self, growth: int) -> bool:
        return self.outside_bytes + growth <= self.bytes_max


class FakeDisk:
    """Keeps what a DiskWrite would have written."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, bytes], bytes] = {}

    def get(self, area: Area, key: bytes) -> bytes | None:
        return self.kept.get((int(area), key))

    def walk(self, area: Area, after: bytes | None, count: int) -> list[tuple[bytes, bytes]]:
        found = sorted(
            (key, record)
            for (kept, key), record in self.kept.items()
            if kept == area and (after is None or key > after)
        )
        return found[:count]

    def used_bytes(self, area: Area) -> int:
        return sum(len(body) for (kept, _key), body in self.kept.items() if kept == area)


class Acceptors:
    """The registers of one node, and the disk under them."""

    def __init__(
        self, bytes_max: int = 1 << 20, durability: Durability = Durability.PROCESS
    ) -> None:
        self.medium = FakeDisk()
        self.writes = DiskWrites(self.medium)
        self.store = FakeStore(bytes_max)
        self.durability = durability
        self.registers = self._registers()

    def _registers(self) -> Registers:
        slot_of = self.store.table.slot_of
        registers = Registers(self.store, self.writes, slot_of)
        registers.durability = self.durability
        return registers

    def slot(self, key: bytes) -> int:
        return self.store.table.slot_of(key)

    def write_down(self) -> None:
        """Execute what the wake-up has to write."""
        batch = self.writes.take()
        if batch is None:
            return
        for area, key, record in (*batch.records, *batch.synced):
            if record is None:
                self.medium.kept.pop((area, key), None)
            else:
                self.medium.kept[area, key] = record
        self.writes.on_done(batch.ticket, NOW)

    def restart(self) -> None:
        """Another life on the same disk."""
        self.store = FakeStore(self.store.bytes_max)
        self.registers = self._registers()
        self.registers.restore(NOW)
