"""Registers: counted, written down, read back, walked; a damaged record is noticed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodecore.consensus.acceptor import AcceptorState
from nodecore.consensus.ballot import NO_BALLOT, Ballot
from nodecore.ids import NodeId, Now
from nodecore.replication.changes import Stored
from nodecore.storage.disk import Area, Durability
from nodecore.strong.ballots import ballot_above, version_of
from nodecore.strong.record import Record, following
from nodecore.strong.register_format import unpack_state
from nodecore.table.interface import Kind
from tests.nodecore.strong.fakes import NOW, Acceptors

N1 = NodeId("n1")


def state_of(
    value: bytes | None, above: Ballot = NO_BALLOT, *, epoch: int = 1, expires_ms: int = 0
) -> AcceptorState:
    ballot = ballot_above(above, 0, epoch, N1)
    kind = Kind.TOMBSTONE if value is None else Kind.STRING
    stored = Stored(kind, value or b"", expires_ms)
    return AcceptorState(ballot, ballot, following(None, stored, version_of(ballot), ballot))


def put(node: Acceptors, key: bytes, state: AcceptorState) -> None:
    node.registers.put(key, node.slot(key), state, NOW, None)


def test_a_restart_reads_back_what_was_promised_and_accepted() -> None:
    node = Acceptors()
    put(node, b"live", state_of(b"v", expires_ms=5))
    put(node, b"dead", state_of(None))
    put(node, b"promised", AcceptorState(promised=Ballot(64, "n2")))
    put(node, b"gone", state_of(b"x"))
    node.registers.remove(b"gone", node.slot(b"gone"), NOW)
    node.registers.raise_floor(7, 640, NOW)
    node.write_down()
    before = {
        key: node.registers.get(key, node.slot(key)) for key in (b"live", b"dead", b"promised")
    }
    used = node.registers.bytes_used
    node.restart()
    assert {key: node.registers.get(key, node.slot(key)) for key in before} == before
    assert node.registers.get(b"gone", node.slot(b"gone")) is None
    assert node.registers.floor(7) == 640
    assert (node.registers.bytes_used, node.store.outside_bytes) == (used, used)
    assert not node.registers.damaged


def test_a_damaged_record_damages_its_slot_alone() -> None:
    node = Acceptors()
    for key in (b"a", b"b"):
        put(node, key, state_of(b"v"))
    node.write_down()
    name = next(name for _area, name in node.medium.kept if name.endswith(b"a"))
    record = bytearray(node.medium.kept[int(Area.STRONG), name])
    record[len(record) // 2] ^= 1
    node.medium.kept[int(Area.STRONG), name] = bytes(record)
    node.restart()
    assert list(node.registers.damaged) == [node.slot(b"a")]
    assert node.registers.get(b"b", node.slot(b"b")) is not None


def test_a_record_under_a_damaged_name_damages_the_slot_that_it_was_of() -> None:
    for place in range(1, len(b"rss{t}key")):
        node = Acceptors()
        put(node, b"{t}key", state_of(b"v"))
        node.write_down()
        ((area, name),) = node.medium.kept
        wrong = bytearray(name)
        wrong[place] ^= 4
        node.medium.kept[area, bytes(wrong)] = node.medium.kept.pop((area, name))
        node.restart()
        assert node.slot(b"{t}key") in node.registers.damaged
        assert node.registers.count == 0


def test_a_damaged_floor_damages_its_slot() -> None:
    node = Acceptors()
    node.registers.raise_floor(7, 640, NOW)
    node.write_down()
    ((place, sealed),) = node.medium.kept.items()
    node.medium.kept[place] = sealed[:-1] + bytes([sealed[-1] ^ 1])
    node.restart()
    assert 7 in node.registers.damaged
    assert node.registers.floor(7) == 0


def test_what_nothing_is_known_of_is_not_read_by_a_later_life() -> None:
    node = Acceptors()
    for number in range(5):
        put(node, b"%d" % number, state_of(b"v"))
    node.registers.raise_floor(7, 640, NOW)
    node.write_down()
    node.registers.discard(NOW)
    node.write_down()
    node.restart()
    assert node.registers.count == 0
    assert node.registers.floor(7) == 0


def test_answers_wait_for_the_medium_only_where_power_may_fail() -> None:
    for durability, at_once in ((Durability.PROCESS, [NOW]), (Durability.POWER, [])):
        node = Acceptors(durability=durability)
        told: list[Now] = []
        node.registers.put(b"k", 1, state_of(b"v"), NOW, told.append)
        assert told == at_once
        node.write_down()
        assert told == [NOW]


def test_memory_is_counted_to_the_last_byte_and_a_full_store_says_no() -> None:
    node = Acceptors(bytes_max=2_000)
    put(node, b"k", state_of(b"v" * 100))
    slot = node.slot(b"k")
    large = state_of(b"v" * 1_500, above=Ballot(6400, "n1"))
    assert isinstance(large.accepted, Record)
    assert not node.registers.fits(b"k", slot, large.accepted)
    assert node.registers.fits(b"k", slot, state_of(b"").accepted)  # type: ignore[arg-type]
    node.registers.remove(b"k", slot, NOW)
    assert node.store.outside_bytes == node.registers.bytes_used == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"{a}1", b"{a}2"]), st.sampled_from([b"v", b"", None])
        ),
        max_size=30,
    )
)
def test_counts_agree_with_what_is_there(steps: list[tuple[bytes, bytes | None]]) -> None:
    node = Acceptors()
    model: dict[bytes, bytes | None] = {}
    above = NO_BALLOT
    for key, value in steps:
        state = state_of(value, above)
        above = state.promised
        put(node, key, state)
        model[key] = value
    registers = node.registers
    live = sorted(key for key, value in model.items() if value is not None)
    assert registers.live_total == len(live)
    assert (
        sorted(key for slot in registers.slots() for key in registers.live_keys(slot, 99)) == live
    )
    assert sorted(registers.idle) == sorted(key for key, value in model.items() if value is None)
    assert sum(registers.live_count(slot) for slot in registers.slots()) == len(live)


def test_a_flush_takes_the_values_of_earlier_epochs_and_keeps_their_ballots() -> None:
    node = Acceptors()
    put(node, b"old", state_of(b"v", epoch=3))
    put(node, b"new", state_of(b"v", epoch=4))
    node.registers.on_flush(4)
    assert node.registers.live_total == 1
    assert node.registers.get(b"old", node.slot(b"old")) is not None


def test_a_scan_returns_every_key_once_whatever_the_page() -> None:
    node = Acceptors()
    keys = [b"{t}%d" % number for number in range(20)] + [b"%d" % number for number in range(40)]
    for key in keys:
        put(node, key, state_of(b"v"))
    for count in (1, 7, 100):
        found: list[bytes] = []
        position = -1
        while position:
            position, page = node.registers.scan(max(0, position), count, lambda _slot: True)
            found += page
        assert sorted(found) == sorted(keys)


def test_copies_are_paged_in_order_and_leave_out_bare_promises() -> None:
    node = Acceptors()
    keys = [b"{t}%02d" % number for number in range(10)]
    for key in keys:
        put(node, key, state_of(b"v"))
    put(node, b"{t}promise", AcceptorState(promised=Ballot(64, "n2")))
    slot, after, found = node.slot(b"{t}"), None, []
    while page := node.registers.copies(slot, after, 3):
        found += page
        after = page[-1].key
    assert [copy.key for copy in found] == keys
    assert unpack_state(found[0].packed) == node.registers.get(keys[0], slot)
