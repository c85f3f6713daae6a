"""The acceptor states of this node's strong keys, slot by slot: in memory, on disk, within the limit.

All registers are held in memory and counted against the store's memory limit; nothing is evicted,
because a replica that forgets one key alone has forgotten a promise. What changes is handed to the
disk before any answer leaves, with the durability of the strong keyspaces; a restart reads it back.
A slot's *floor* is the highest ballot among tombstones that were collected there: nothing at or below
it is granted any more, so that a message that was long under way can't bring back what was deleted.

It decides no vote: see ``replica``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, NamedTuple, final

from nodecore.consensus.acceptor import AcceptorState
from nodecore.consensus.ballot import COUNTER_MAX, NO_BALLOT
from nodecore.ids import SLOTS_COUNT, Now
from nodecore.storage.disk import Area, Durability, OnDurable
from nodecore.storage.expiry import BYTES_PER_KEY, ExpiryWheel
from nodecore.storage.paging import HASH_BITS, hash_of
from nodecore.strong.ports import StrongDisk, StrongStore
from nodecore.strong.record import MalformedRecord, Record
from nodecore.strong.register_format import pack_state, record_of, seal, unpack_state, unseal
from transport.codec import pack_plain, unpack_plain
from transport.errors import TransportError

REGISTER_BYTES: Final = 700
"""What a register costs beyond key and value: cells, ballots, record, history; measured."""
WALK_RECORDS: Final = 1_000
MARKER: Final = b"m"
"""Name of the record that tells which life began the registers, see ``lives``."""
_REGISTER: Final = b"r"
_FLOOR: Final = b"f"


class Copy(NamedTuple):
    """One register in the shape that streams carry."""

    key: bytes
    kind: int
    packed: bytes
    counter: int
    node: int = 0
    expires_ms: int = 0


@final
class Registers:
    """See the module.

    Args:
        store: its memory limit counts what is held here.
        disk: where changes go.
        slot_of: of a key.
    """

    def __init__(
        self,
        store: StrongStore,
        disk: StrongDisk,
        slot_of: Callable[[bytes], int],
    ) -> None:
        self._store = store
        self._disk = disk
        self._slot_of = slot_of
        self.durability = Durability.PROCESS
        """Of what is written from now on."""
        self._slots: dict[int, dict[bytes, AcceptorState]] = {}
        self._live: dict[int, int] = {}
        self._order: tuple[int, list[bytes]] = (-1, [])
        self.wheel = ExpiryWheel(self._expiry_of)
        self.idle: dict[bytes, float] = {}
        """Registers without a live value, and since when (monotonic seconds): to be collected."""
        self.floors: dict[int, int] = {}
        self.bytes_used = 0
        self.live_total = 0
        self.flushed_epoch = 0
        self._unflushed: dict[bytes, list[list[OnDurable]]] = {}
        """Keys of which states are on their way to the medium; for each state who waits for it."""
        self.damaged: dict[int, None] = {}
        """Slots of which a record could not be read."""

    # -- registers ---------------------------------------------------------------------------

    def get(self, key: bytes, slot: int) -> AcceptorState | None:
        """What was promised and accepted for a key; None: nothing."""
        registers = self._slots.get(slot)
        return None if registers is None else registers.get(key)

    def record(self, key: bytes, slot: int) -> Record | None:
        """The accepted value."""
        state = self.get(key, slot)
        return None if state is None else record_of(state)

    def floor(self, slot: int) -> int:
        """Ballots with counters up to this are refused."""
        return self.floors.get(slot, 0)

    def fits(self, key: bytes, slot: int, record: Record | None) -> bool:
        """Make room for a register, or a new value of one; False: there is none to be had."""
        growth = _size(key, record) - self._size_of(key, slot)
        return growth <= 0 or self._store.make_room(growth)

    def put(
        self, key: bytes, slot: int, state: AcceptorState, now: Now, on_durable: OnDurable | None
    ) -> None:
        """Store a state; ``on_durable`` runs once an answer may leave."""
        self._place(key, slot, state, now)
        self._write(key, slot, state, now)
        if on_durable is not None:
            self.when_durable(key, on_durable, now)

    def _write(self, key: bytes, slot: int, state: AcceptorState, now: Now) -> None:
        landed: OnDurable | None = None
        if self.durability is Durability.POWER:
            waiters: list[OnDurable] = []
            self._unflushed.setdefault(key, []).append(waiters)
            landed = partial(self._on_landed, key, waiters)
        name = _REGISTER + slot.to_bytes(2, "big") + key
        sealed = pack_state(state, name)
        self._disk.put(Area.STRONG, name, sealed, self.durability, landed, now)

    def when_durable(self, key: bytes, on_durable: OnDurable, now: Now) -> None:
        """Call back once what is held of a key is as durable as was promised.

        Nothing of it may be told before: a loss of power would take it back.
        """
        unflushed = self._unflushed.get(key)
        if unflushed is None:
            on_durable(now)
        else:
            unflushed[-1].append(on_durable)

    def _on_landed(self, key: bytes, waiters: list[OnDurable], now: Now) -> None:
        unflushed = self._unflushed[key]
        unflushed[:] = [others for others in unflushed if others is not waiters]
        if not unflushed:
            del self._unflushed[key]
        for on_durable in waiters:
            on_durable(now)

    def rewrite(self, keys: Iterable[bytes], now: Now) -> None:
        """Write registers again, with the durability of today; those that are gone are passed over."""
        for key in keys:
            slot = self._slot_of(key)
            state = self.get(key, slot)
            if state is not None:
                self._write(key, slot, state, now)

    def _place(self, key: bytes, slot: int, state: AcceptorState, now: Now) -> None:
        registers = self._slots.setdefault(slot, {})
        before = registers.get(key)
        growth = _size(key, record_of(state)) - self._size_of(key, slot)
        was, live = before is not None and self._alive(before), self._alive(state)
        registers[key] = state
        if before is None:
            self._order = (-1, [])
        self._count(slot, growth, live - was)
        if live:
            self.idle.pop(key, None)
            record = record_of(state)
            if record is not None and record.expires_ms:
                self.wheel.add(key, record.expires_ms)
        elif before is None or was or before.accepted_ballot != state.accepted_ballot:
            self.idle.pop(key, None)
            self.idle[key] = now.mono_s

    def remove(self, key: bytes, slot: int, now: Now) -> None:
        """Forget a register: a tombstone that all owners hold, or a key that is not ours any more."""
        registers = self._slots.get(slot, {})
        state = registers.get(key)
        if state is None:
            return
        self._count(slot, -self._size_of(key, slot), -int(self._alive(state)))
        del registers[key]
        if not registers:
            del self._slots[slot]
        self._order = (-1, [])
        self.idle.pop(key, None)
        name = _REGISTER + slot.to_bytes(2, "big") + key
        self._disk.put(Area.STRONG, name, None, Durability.PROCESS, None, now)

    def raise_floor(self, slot: int, counter: int, now: Now) -> None:
        """From now on nothing up to this counter is granted in the slot.

        A loss of power may take it back, and takes along what was under way on the links of this node.
        """
        if counter > self.floor(slot):
            self.floors[slot] = counter
            name = _FLOOR + slot.to_bytes(2, "big")
            sealed = seal(name, pack_plain(counter))
            self._disk.put(Area.STRONG, name, sealed, Durability.PROCESS, None, now)

    def drop_slot(self, slot: int, now: Now) -> int:
        """Forget a slot that others own now; how many registers went."""
        keys = list(self._slots.get(slot, ()))
        for key in keys:
            self.remove(key, slot, now)
        if self.floors.pop(slot, None) is not None:
            name = _FLOOR + slot.to_bytes(2, "big")
            self._disk.put(Area.STRONG, name, None, Durability.PROCESS, None, now)
        return len(keys)

    # -- what is there -----------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Registers, tombstones included."""
        return sum(map(len, self._slots.values()))

    def slots(self) -> list[int]:
        """Slots with registers or a floor, ascending."""
        return sorted({**dict.fromkeys(self._slots), **dict.fromkeys(self.floors)})

    def holds(self, slot: int) -> bool:
        """Whether a slot has registers."""
        return slot in self._slots

    def keys(self) -> Iterator[tuple[bytes, int]]:
        """Every key and its slot."""
        for slot, registers in self._slots.items():
            for key in registers:
                yield key, slot

    def live_count(self, slot: int) -> int:
        """Keys of a slot that hold a value; expired ones count until they are swept."""
        return self._live.get(slot, 0)

    def live_keys(self, slot: int, count: int) -> list[bytes]:
        """Up to ``count`` of them."""
        registers = self._slots.get(slot, {})
        live = (key for key, state in registers.items() if self._alive(state))
        return [key for key, _number in zip(live, range(count), strict=False)]

    def scan(
        self, position: int, count: int, wanted: Callable[[int], bool]
    ) -> tuple[int, list[bytes]]:
        """A page of live keys from (slot, hash) ``position`` on, and where to go on; 0: the end.

        Keys that stay during a whole walk are returned exactly once.
        """
        slot, least = divmod(position, 1 << HASH_BITS)
        keys: list[bytes] = []
        for number in sorted(self._slots):
            if number < slot or not wanted(number):
                continue
            from_hash = least if number == slot else 0
            found = sorted((hash_of(key), key) for key in self.live_keys(number, self.count))
            for at, (key_hash, key) in enumerate(found):
                if key_hash < from_hash:
                    continue
                # Keys of equal hash stay together, so that a page can begin behind them.
                if len(keys) >= count and (at == 0 or found[at - 1][0] != key_hash):
                    return (number << HASH_BITS) | key_hash, keys
                keys.append(key)
        return 0, keys

    def on_flush(self, epoch: int) -> None:
        """A flush began this epoch: values of earlier ones are gone, their ballots are not."""
        self.flushed_epoch = epoch
        self._live.clear()
        self.live_total = 0
        for slot, registers in self._slots.items():
            live = sum(map(self._alive, registers.values()))
            if live:
                self._live[slot] = live
            self.live_total += live

    # -- copies ------------------------------------------------------------------------------

    def copies(self, slot: int, after: bytes | None, count: int) -> list[Copy]:
        """Up to ``count`` accepted values of a slot in order of the keys behind ``after``.

        Floors are not copied: they guard against messages of the epoch in which they were raised, and
        a new owner's or a learner's first vote belongs to a later one.
        """
        found: list[Copy] = []
        if self._order[0] != slot or after is None:
            self._order = (slot, sorted(self._slots.get(slot, ())))
        order = self._order[1]
        start = 0 if after is None else bisect_right(order, after)
        for key in order[start:]:
            if len(found) >= count:
                break
            state = self.get(key, slot)
            if state is not None and state.accepted_ballot > NO_BALLOT:
                packed = pack_state(state)
                found.append(Copy(key, 0, packed, state.accepted_ballot.counter))
        return found

    # -- another life ------------------------------------------------------------------------

    def restore(self, now: Now) -> None:
        """Read what the disk has kept; a record that can't be read damages its slot.

        Raises:
            DiskError: the medium could not be read at all.
        """
        after: bytes | None = None
        while page := self._disk.store.walk(Area.STRONG, after, WALK_RECORDS):
            for name, sealed in page:
                if name != MARKER:
                    self._restore(name, sealed, now)
            after = page[-1][0]

    def _restore(self, name: bytes, sealed: bytes, now: Now) -> None:
        slot, key = int.from_bytes(name[1:3], "big"), name[3:]
        try:
            if name[:1] == _FLOOR:
                counter = unpack_plain(unseal(name, sealed))
                if not isinstance(counter, int) or not 0 <= counter <= COUNTER_MAX:
                    raise MalformedRecord("not a floor")
                self.floors[slot] = max(counter, self.floor(slot))
            else:
                self._place(key, slot, unpack_state(sealed, name), now)
        except (MalformedRecord, TransportError):
            # The damage may be in the name itself: then either the number or the key tells the slot.
            self.damaged[slot % SLOTS_COUNT] = None
            self.damaged[self._slot_of(key)] = None

    def discard(self, now: Now) -> None:
        """Remove what the disk has kept of a life that nothing is known of: no later one may read it.

        Raises:
            DiskError: the medium could not be read.
        """
        after: bytes | None = None
        while page := self._disk.store.walk(Area.STRONG, after, WALK_RECORDS):
            for name, _sealed in page:
                self._disk.put(Area.STRONG, name, None, Durability.PROCESS, None, now)
            after = page[-1][0]

    def clear_memory(self) -> None:
        """Forget what was read, as if nothing had ever been kept; the disk is left alone."""
        self._store.outside_bytes -= self.bytes_used
        self._slots.clear()
        self._live.clear()
        self.idle.clear()
        self.wheel.clear()
        self.floors.clear()
        self.bytes_used = self.live_total = 0

    # -- accounting --------------------------------------------------------------------------

    def _count(self, slot: int, growth: int, live: int) -> None:
        self.bytes_used += growth
        self._store.outside_bytes += growth
        if live:
            self.live_total += live
            self._live[slot] = self._live.get(slot, 0) + live

    def _alive(self, state: AcceptorState) -> bool:
        record = record_of(state)
        return record is not None and not record.dead and not record.flushed(self.flushed_epoch)

    def _size_of(self, key: bytes, slot: int) -> int:
        state = self.get(key, slot)
        return 0 if state is None else _size(key, record_of(state))

    def _expiry_of(self, key: bytes) -> int:
        record = self.record(key, self._slot_of(key))
        return 0 if record is None or record.dead else record.expires_ms


def _size(key: bytes, record: Record | None) -> int:
    if record is None:
        return REGISTER_BYTES + len(key)
    wheel_bytes = BYTES_PER_KEY if record.expires_ms else 0
    return REGISTER_BYTES + len(key) + len(record.value) + wheel_bytes
