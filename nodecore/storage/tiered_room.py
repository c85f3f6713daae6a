"""How entries leave memory for the disk, and how the disk gives up records.

Whatever memory has no room for goes down without anybody being told, if the disk takes it in this
tick. The disk evicts too: that is an eviction, told to the other owners or making the slot partial.
"""

from __future__ import annotations

from nodecore.ids import Version
from nodecore.storage.causes import Cause
from nodecore.storage.changes import EVICTED_REPORTED_MAX
from nodecore.storage.disk import Durability
from nodecore.storage.records import RANK_MAX, Record, encode, encode_entry
from nodecore.storage.room import choose
from nodecore.storage.tiered_changes import TieredChanges
from nodecore.table.interface import Entry, Kind


def _any_slot(_slot: int) -> bool:
    """Whoever decides about evictions: what goes down is not evicted."""
    return True


class TieredRoom(TieredChanges):
    """Makes room on both tiers; the base of ``tiered.TieredStore``."""

    def _evict_one(self) -> bool:
        """Move the least worthy entry down if the disk takes or has it; otherwise evict."""
        tier = self.tier
        if not tier.active:
            return super()._evict_one()
        takes = tier.takes
        goes_down = takes or self.durability_of is not None
        choice = choose(self.policy, _any_slot if goes_down else self.owner_decides)
        if choice is None:
            return super()._evict_one()
        entry = choice.entry
        there = False if entry.bare else tier.has(entry.key)
        if there:
            self._demote(entry)
        elif there is None:
            self._evict_alone(entry)
        elif takes and tier.accepts(entry.size):
            rank = min(RANK_MAX, entry.counter + tier.uses.estimate(entry.key))
            tier.write_back(entry.slot, entry.key, encode_entry(entry, rank))
            self._demote(entry)
        else:
            tier.counters["overflowed"] += not tier.budget.left
            if choice.forced or (goes_down and not self.owner_decides(entry.slot)):
                self._evict_alone(entry)
            else:
                self._evict(entry)
        return True

    def _evict(self, entry: Entry) -> None:
        """Remove an entry that has no record, for want of room on both tiers."""
        self.evictions["size"] += 1
        if len(self._evicted) < EVICTED_REPORTED_MAX:
            self._evicted.append((entry.key, Version(entry.hlc, entry.node)))
        self._remove_alone(entry, Cause.EVICTED)

    def _evict_alone(self, entry: Entry) -> None:
        """As ``_evict`` without telling the other owners, who keep what they hold."""
        self.partial_slots.add(entry.slot)
        self.evictions["forced"] += 1
        self._remove_alone(entry, Cause.FORCED)

    def _demote(self, entry: Entry) -> None:
        removed = self.table.remove(entry.key)
        assert removed is not None
        self._went_down = self._went_down or entry.key == self._arriving
        self.evictions["demoted"] += 1
        self.tier.count(entry.key, 1)
        removed.release()

    def write_down(self, key: bytes, rank: int = RANK_MAX) -> bool:
        """Copy an entry of memory to disk as well, within the budget; whether it is there now."""
        self.catch_up()
        entry = self.table.get(key)
        if entry is None or entry.kind == Kind.TOMBSTONE or not self.tier.active:
            return False
        if not entry.bare and self.tier.has(key):
            self.rank_up(key, rank)
            return True
        if not self.tier.accepts(entry.size):
            return False
        entry.bare = False
        self.tier.write_back(entry.slot, key, encode_entry(entry, rank))
        return True

    def rank_up(self, key: bytes, rank: int) -> bool:
        """Write the record of an entry again if it belongs to a colder class; whether it was written.

        A copy that was flushed stays as it is: it would have to be flushed again.
        """
        tier, entry = self.tier, self.table.get(key)
        if entry is None or entry.bare or not tier.takes:
            return False
        if not tier.may_hold(key) or tier.waits(key):
            return False
        if self.durability_of is not None and self.durability_of(key)[0] is Durability.POWER:
            return False
        record = tier.read(key)
        if record is None or record.version != (entry.hlc, entry.node):
            return False
        if record.rank.bit_length() >= rank.bit_length() or not tier.accepts(entry.size):
            return False
        tier.write_back(entry.slot, key, encode(record._replace(rank=rank)))
        return True

    def evict_record(self, record: Record) -> None:
        """The disk gives up a record: an eviction, if memory does not have the key or was promised."""
        key = record.key
        entry = self.table.get(key)
        tier = self.tier
        if entry is not None and not record.durable:
            tier.forget(key)
            return
        slot = self.table.slot_of(key)
        tier.counters["evictions_l2"] += 1
        self.evictions["disk"] += 1
        if self.owner_decides(slot):
            self._evicted.append((key, record.version))
        else:
            tier.counters["evictions_l2_forced"] += 1
            self.partial_slots.add(slot)
        if entry is not None:
            self._forget(key, Cause.EVICTED)
        else:
            self._lose(record)
