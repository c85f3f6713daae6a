"""Several whole nodes on virtual time: what clients were promised holds while things break."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId, Now
from nodecore.node_tick import RESIDENT_SHARE_MAX, RESIDENT_SPARE_BYTES
from nodecore.placement.hashing import slot_of
from nodecore.replication.changes import INTEGER_MAX
from nodecore.replication.versions import COORDINATE_OFFSET_MS_MAX
from nodecore.requests import (
    Applied,
    Change,
    Done,
    Failed,
    Flag,
    Flush,
    KeyCount,
    Level,
    Outcome,
    Read,
    Request,
    Unknown,
    Update,
    Value,
    Write,
)
from nodecore.storage.causes import Cause
from tests.nodecore.node_pump import Pump
from transport.messages import Forward, Lane, PeerApply, PeerRead, PeerWrite


def value_of(outcome: Outcome) -> bytes | None:
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, list)
    (found,) = outcome.result
    assert found is None or isinstance(found, Value), found
    return None if found is None else found.value


def flags_of(outcome: Outcome) -> Flag:
    assert isinstance(outcome, Done), outcome
    return outcome.flags


def applied(outcome: Outcome) -> Applied:
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, Applied)
    return outcome.result


def owners_of(pump: Pump, key: bytes) -> list[str]:
    node = next(node for name, node in pump.nodes.items() if name not in pump.dead)
    return [str(owner) for owner in node.owners(slot_of(key))]


def key_with_first_owner(pump: Pump, name: str, salt: str = "") -> bytes:
    for number in range(10_000):
        key = f"key{salt}{number}".encode()
        if owners_of(pump, key)[0] == name:
            return key
    raise AssertionError("no such key")


def holds(pump: Pump, name: str, key: bytes) -> bytes | None:
    entry = pump.nodes[name].store.get(key, pump.now)
    return None if entry is None or entry.kind == 255 else entry.value


def test_a_node_alone_caps_its_quorums() -> None:
    """N=3, W=2 on one node: N and W are one, nothing is sloppy, nothing degraded."""
    pump = Pump(1)
    assert pump.nodes["n1"].ready()
    outcome = pump.submit("n1", Write((b"a",), (b"1",)))
    assert (flags_of(outcome), outcome) == (Flag.NONE, replace_copies(outcome, 1))
    assert value_of(pump.submit("n1", Read((b"a",)))) == b"1"
    missing = pump.submit("n1", Read((b"none",)))
    assert value_of(missing) is None
    assert flags_of(missing) == Flag.NONE
    strict = pump.submit("n1", Write((b"a",), (b"2",), level=Level.ALL))
    assert isinstance(strict, Done)


def replace_copies(outcome: Outcome, copies: int) -> Outcome:
    assert isinstance(outcome, Done)
    return replace(outcome, copies=copies)


def test_writes_do_not_wait_for_a_node_that_is_known_to_be_dead() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    load(pump, 1.0)
    pump.kill("n3")
    taken = load(pump, 20.0)
    assert all(isinstance(outcome, Done) for _seconds, outcome in taken)
    assert max(seconds for seconds, _outcome in taken) < 0.1


def test_every_node_reads_what_any_node_wrote() -> None:
    pump = Pump(5)
    for number, writer in enumerate(pump.nodes):
        key = b"shared%d" % number
        outcome = pump.submit(writer, Write((key,), (b"v",)))
        assert isinstance(outcome, Done)
        assert outcome.copies >= 2
        assert [value_of(pump.submit(reader, Read((key,)))) for reader in pump.nodes] == [b"v"] * 5


def test_a_connection_reads_its_own_writes() -> None:
    pump = Pump(5)
    for number in range(50):
        key = b"own%d" % (number % 7)
        pump.submit("n3", Write((key,), (b"%d" % number,)))
        assert value_of(pump.submit("n3", Read((key,)))) == b"%d" % number


def test_an_acknowledged_write_is_at_the_first_live_owner() -> None:
    pump = Pump(5)
    for number in range(40):
        key = b"first%d" % number
        first = owners_of(pump, key)[0]
        outcomes = pump.start("n1", Write((key,), (b"x",)))
        while not outcomes:
            pump.run(0.0001)
        assert holds(pump, first, key) == b"x"


def test_a_batch_costs_one_frame_for_each_peer() -> None:
    pump = Pump(5)
    pump.sent.clear()
    keys = tuple(b"batch%d" % number for number in range(1000))
    outcome = pump.submit("n1", Write(keys, keys))
    assert isinstance(outcome, Done)
    frames = [
        send for name, send in pump.sent if name == "n1" and isinstance(send.message, PeerWrite)
    ]
    assert sorted(str(send.peer) for send in frames) == ["n2", "n3", "n4", "n5"]
    read = pump.submit("n2", Read(keys))
    assert isinstance(read, Done)
    assert isinstance(read.result, list)
    assert [found.value for found in read.result] == list(keys)


def test_writes_of_one_wake_up_share_a_frame() -> None:
    pump = Pump(3)
    pump.sent.clear()
    node = pump.nodes["n1"]
    outcomes: list[Outcome] = []
    for number in range(20):
        request = Write((b"single%d" % number,), (b"v",))
        assert node.submit(request, lambda found, _now: outcomes.append(found), pump.now) is None
    pump.drain("n1")
    pump.run(0.1)
    assert len(outcomes) == 20
    frames = [
        send for name, send in pump.sent if name == "n1" and isinstance(send.message, PeerWrite)
    ]
    assert len(frames) == 2
    assert frames[0].message is frames[1].message, "peers with the same rows get the same object"


def test_of_a_repeated_key_the_last_value_counts() -> None:
    pump = Pump(3)
    outcome = pump.submit("n1", Write((b"k", b"j", b"k"), (b"9", b"5", b"1")))
    assert isinstance(outcome, Done)
    assert len(outcome.result) == 3  # type: ignore[arg-type]
    assert value_of(pump.submit("n2", Read((b"k",)))) == b"1"


def test_killing_an_owner_in_the_middle_of_a_write_loses_nothing() -> None:
    pump = Pump(3)
    outcomes = pump.start("n1", Write((b"mid",), (b"v",)))
    pump.kill("n3")
    pump.run(0.1)
    assert len(outcomes) == 1
    assert isinstance(outcomes[0], Done)
    assert outcomes[0].copies == 2
    assert pump.nodes["n1"].coordinator.hints.count(NodeId("n3")) == 1


def test_hints_reach_a_node_that_was_cut_off() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    pump.cut_off("n3")
    pump.run(1.0)
    keys = tuple(b"hinted%d" % number for number in range(300))
    outcome = pump.submit("n1", Write(keys, keys))
    assert isinstance(outcome, Done)
    assert outcome.copies == 2
    assert outcome.flags == Flag.NONE
    assert holds(pump, "n3", keys[0]) is None
    pump.heal()
    pump.run(8.0)
    assert [holds(pump, "n3", key) for key in keys] == list(keys)
    hints = pump.nodes["n1"].coordinator.hints
    assert (len(hints), hints.sent, hints.bytes_used) == (0, 300, 0)


def test_a_hint_never_beats_a_newer_write() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    pump.cut_off("n3")
    pump.run(1.0)
    pump.submit("n1", Write((b"k",), (b"zzz-old",)))
    pump.heal()
    outcomes = pump.start("n2", Write((b"k",), (b"new",)))
    pump.run(8.0)
    assert isinstance(outcomes[0], Done)
    assert [holds(pump, name, b"k") for name in pump.nodes] == [b"new"] * 3


def test_with_fewer_copies_than_w_the_answer_is_sloppy_and_strict_levels_fail() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    pump.kill("n2")
    pump.kill("n3")
    pump.run(0.2)
    outcome = pump.submit("n1", Write((b"alone",), (b"v",)))
    assert isinstance(outcome, Done)
    assert (outcome.flags, outcome.copies) == (Flag.SLOPPY, 1)
    assert pump.nodes["n1"].statistics(pump.now).sloppy_writes == 1
    strict = pump.submit("n1", Write((b"alone",), (b"w",), level=Level.QUORUM))
    assert isinstance(strict, Failed)
    assert strict.code is Code.NOT_ENOUGH_COPIES
    assert value_of(pump.submit("n1", Read((b"alone",)))) == b"v", "a refused write must not show"
    missing = pump.submit("n1", Read((b"none",)))
    assert value_of(missing) is None
    assert flags_of(missing) == Flag.DEGRADED
    refused = pump.submit("n1", Read((b"none",), Level.QUORUM))
    assert isinstance(refused, Failed)


def test_a_miss_needs_owners_that_agree() -> None:
    """What two of three owners have is found from the third, which is then repaired."""
    pump = Pump(3)
    version = pump.nodes["n2"].clock.next(pump.now)
    for name in ("n2", "n3"):
        pump.nodes[name].store.apply(b"k", 0, b"v", version, 0, Cause.REPLICA, pump.now)
    assert value_of(pump.submit("n1", Read((b"k",)))) == b"v"
    assert holds(pump, "n1", b"k") == b"v"
    assert pump.nodes["n1"].statistics(pump.now).repairs == 1


def test_a_tombstone_anywhere_is_a_miss_and_a_delete_is_not_undone() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    pump.submit("n1", Write((b"gone",), (b"v",)))
    pump.cut_off("n3")
    pump.run(1.0)
    assert applied(pump.submit("n1", Update(b"gone", Change.DELETE))).number == 1
    pump.heal()
    pump.run(8.0)
    for name in pump.nodes:
        assert value_of(pump.submit(name, Read((b"gone",)))) is None


def test_counting_from_every_node_loses_no_count() -> None:
    pump = Pump(5)
    pending = [
        pump.start(name, Update(b"counter", Change.INCREMENT, (1,)))
        for _round in range(20)
        for name in pump.nodes
    ]
    pump.run(1.0)
    numbers = sorted(applied(outcomes[0]).number for outcomes in pending)
    assert numbers == list(range(1, 101))
    assert value_of(pump.submit("n4", Read((b"counter",)))) == b"100"


def test_an_update_keeps_the_words_of_redis() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"text",), (b"abc",)))
    for name in pump.nodes:
        failed = pump.submit(name, Update(b"text", Change.INCREMENT, (1,)))
        assert isinstance(failed, Failed)
        assert failed.code is Code.NOT_AN_INTEGER
    pump.submit("n1", Write((b"big",), (b"%d" % INTEGER_MAX,)))
    failed = pump.submit("n2", Update(b"big", Change.INCREMENT, (1,)))
    assert isinstance(failed, Failed)
    assert failed.code is Code.OVERFLOW


def test_an_update_whose_owner_falls_silent_is_unknown_not_failed() -> None:
    pump = Pump(3)
    key = key_with_first_owner(pump, "n2")
    pump.lost_replies_of["n2"] = True
    outcomes = pump.start("n1", Update(key, Change.INCREMENT, (1,)))
    pump.run(3.0)
    (outcome,) = outcomes
    assert isinstance(outcome, Unknown)
    assert outcome.code is Code.TIMED_OUT


def test_an_update_whose_owner_is_down_runs_at_the_next() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    key = key_with_first_owner(pump, "n2")
    assert applied(pump.submit("n1", Update(key, Change.INCREMENT, (1,)))).number == 1
    pump.kill("n2")
    assert applied(pump.submit("n1", Update(key, Change.INCREMENT, (1,)))).number == 2
    assert applied(pump.submit("n3", Update(key, Change.INCREMENT, (1,)))).number == 3


def test_requests_from_an_old_epoch_are_refused_with_the_new_one() -> None:
    pump = Pump(3)
    pump.submit("n1", Flush())
    pump.run(1.0)
    node = pump.nodes["n2"]
    pump.sent.clear()
    assert node.epoch() == 2
    old = PeerRead(epoch=1, keys=[b"k"])
    node.on_message(NodeId("n1"), 77, Lane.DATA, old, pump.now)
    pump.drain("n2")
    (reply,) = [send.message for name, send in pump.sent if name == "n2" and send.stream == 77]
    assert getattr(reply, "code", None) == Code.STALE_EPOCH


def test_a_coordinator_that_is_behind_learns_and_finishes_its_write() -> None:
    pump = Pump(3)
    pump.withheld["n3"] = True
    pump.submit("n1", Flush())
    pump.run(0.2)
    assert pump.nodes["n1"].epoch() == 2
    assert pump.nodes["n3"].epoch() == 1
    pump.withheld.clear()
    outcome = pump.submit("n3", Write((b"late",), (b"v",)))
    assert isinstance(outcome, Done)
    assert outcome.copies >= 2
    assert pump.nodes["n3"].epoch() == 2
    assert value_of(pump.submit("n1", Read((b"late",)))) == b"v"


def test_a_request_from_the_future_waits_for_the_topology() -> None:
    pump = Pump(3)
    pump.withheld["n3"] = True
    pump.submit("n1", Flush())
    pump.run(0.2)
    pump.withheld.clear()
    pump.sent.clear()
    future = PeerRead(epoch=2, keys=[b"k"])
    pump.nodes["n3"].on_message(NodeId("n1"), 78, Lane.DATA, future, pump.now)
    pump.drain("n3")
    assert not [1 for _name, send in pump.sent if send.stream == 78]
    pump.run(1.0)
    replies = [send.message for name, send in pump.sent if name == "n3" and send.stream == 78]
    assert [type(reply).__name__ for reply in replies] == ["PeerValues"]


def test_flush_empties_every_node_and_later_writes_stay() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"before",), (b"v",)))
    assert isinstance(pump.submit("n2", Flush()), Done)
    pump.run(1.0)
    pump.submit("n3", Write((b"after",), (b"v",)))
    for name in pump.nodes:
        assert value_of(pump.submit(name, Read((b"before",)))) is None
        assert value_of(pump.submit(name, Read((b"after",)))) == b"v"
    counts = [pump.submit(name, KeyCount()) for name in pump.nodes]
    assert sum(count.result for count in counts if isinstance(count, Done)) == 1  # type: ignore[misc]


def load(pump: Pump, seconds: float, rate: float = 60.0) -> list[tuple[float, Outcome]]:
    """Writes from every node; (seconds that each took, outcome)."""
    taken: list[tuple[float, Outcome]] = []
    steps = int(seconds * rate)
    for step in range(steps):
        for name in pump.nodes:
            if name in pump.dead:
                continue
            began = pump.now_s
            node = pump.nodes[name]

            def note(outcome: Outcome, _now: object, began: float = began) -> None:
                taken.append((pump.now_s - began, outcome))

            key = b"load%d" % (step % 200)
            found = node.submit(Write((key,), (b"%d" % step,)), note, pump.now)
            if found is not None:
                note(found, None)
            pump.drain(name)
        pump.run(1 / rate)
    return taken


def breaker_states(pump: Pump, peer: str) -> list[str]:
    return [
        state.state
        for name, node in pump.nodes.items()
        if name != peer
        for state in node.statistics(pump.now).breakers
        if state.peer == peer
    ]


def test_breakers_open_towards_a_slow_node_and_close_after_it_healed() -> None:
    """200 ms on everything that n3 is asked: open within seconds, fast meanwhile, closed again."""
    pump = Pump(5)
    load(pump, 2.0)
    for name in pump.nodes:
        pump.slow[name, "n3"] = 0.2
    load(pump, 5.0)
    assert breaker_states(pump, "n3") == ["open"] * 4 or set(breaker_states(pump, "n3")) <= {
        "open",
        "half-open",
    }
    taken = load(pump, 5.0)
    elsewhere = sorted(seconds for seconds, _outcome in taken)
    assert elsewhere[len(elsewhere) * 95 // 100] < 0.05, "requests go around the open breaker"
    assert all(isinstance(outcome, Done) for _seconds, outcome in taken)
    pump.slow.clear()
    load(pump, 10.0)
    assert breaker_states(pump, "n3") == ["closed"] * 4
    opened = [event for _name, event in pump.events if event.kind == "breaker.open"]
    assert any("slower than 100 ms" in event.text for event in opened)


def test_a_breaker_forced_open_stays_open_until_it_is_given_back() -> None:
    pump = Pump(3)
    outcome = pump.admin("n1", "breaker.force", peer="n2", state="forced-open")
    assert isinstance(outcome, Done)
    write = pump.submit("n1", Write((b"k",), (b"v",)))
    assert isinstance(write, Done)
    assert pump.nodes["n1"].coordinator.hints.count(NodeId("n2")) == 1
    pump.admin("n1", "breaker.force", peer="n2", state="closed")
    pump.run(2.0)
    assert holds(pump, "n2", b"k") == b"v"
    assert isinstance(pump.admin("n1", "breaker.force", peer="nobody", state="closed"), Failed)


def test_a_version_from_the_far_future_is_refused() -> None:
    pump = Pump(3)
    node = pump.nodes["n1"]
    future = (pump.now.wall_ms + 10_000) << 16
    message = PeerWrite(epoch=1, keys=[b"k"], values=[b"v"], hlc=future, node=1, expires_ms=0)
    pump.sent.clear()
    node.on_message(NodeId("n2"), 9, Lane.DATA, message, pump.now)
    pump.drain("n1")
    (reply,) = [send.message for _name, send in pump.sent if send.stream == 9]
    assert getattr(reply, "refused", None) == [[0, int(Code.CLOCK_SKEW)]]
    assert holds(pump, "n1", b"k") is None


def test_a_forwarded_request_is_not_forwarded_again() -> None:
    pump = Pump(5)
    key = b"elsewhere"
    stranger = next(name for name in pump.nodes if name not in owners_of(pump, key))
    pump.sent.clear()
    message = Forward(
        epoch=1, request=["update", key, int(Change.INCREMENT), [1], 0], deadline_ms=1
    )
    pump.nodes[stranger].on_message(NodeId("n1"), 5, Lane.DATA, message, pump.now)
    pump.drain(stranger)
    (reply,) = [send.message for name, send in pump.sent if name == stranger and send.stream == 5]
    assert getattr(reply, "code", None) == Code.NOT_OWNER


def test_garbage_from_a_peer_is_answered_and_changes_nothing() -> None:
    pump = Pump(3)
    node = pump.nodes["n1"]
    bad = [
        PeerWrite(1, [b"k"], [b"v", b"w"], 5 << 16, 1, 0),
        PeerWrite(1, ["k"], [b"v"], 5 << 16, 1, 0),
        PeerWrite(1, [b"k"], [b"v"], -5, 1, 0),
        PeerApply(1, "nonsense", []),
        PeerApply(1, "update", [[b"k", 77, b"v", 1 << 16, 1, 0]]),
        PeerApply(1, "update", [[b"k", 0, b"v", 1 << 16, 1]]),
        PeerRead(1, "keys"),
        Forward(1, ["update"], 1),
    ]
    for number, message in enumerate(bad, 1):
        pump.sent.clear()
        node.on_message(NodeId("n2"), number, Lane.DATA, message, pump.now)
        pump.drain("n1")
        (reply,) = [send.message for _name, send in pump.sent if send.stream == number]
        assert getattr(reply, "code", None) == Code.BAD_REQUEST, message
    assert holds(pump, "n1", b"k") is None


def test_a_restarted_node_counts_its_lives_and_never_repeats_a_version() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    pump.submit("n1", Write((b"k",), (b"1",)))
    before = pump.nodes["n1"].clock.next(pump.now)
    pump.kill("n1")
    pump.run(1.0)
    node = pump.boot("n1")
    assert node.incarnation > 1
    assert node.clock.next(pump.now).hlc > before.hlc
    assert node.epoch() >= Epoch(1)
    write = pump.submit("n1", Write((b"k",), (b"2",)))
    assert isinstance(write, Done), "a peer coordinates until the clock is settled"
    pump.run(8.0)
    assert value_of(pump.submit("n1", Read((b"k",)))) == b"2"
    assert node.ready()


def test_a_node_alone_that_was_killed_serves_again_within_a_second() -> None:
    pump = Pump(1)
    pump.run(20.0)
    pump.kill("n1")
    pump.run(0.2)
    assert pump.boot("n1").ready(), "an idle node leaves nothing to wait for"
    pump.submit("n1", Write((b"k",), (b"1",)))
    last = pump.nodes["n1"].clock.next(pump.now)
    pump.kill("n1")
    node = pump.boot("n1")
    assert not node.ready()
    pump.run(1.25)
    assert node.ready()
    assert isinstance(pump.submit("n1", Write((b"k",), (b"2",))), Done)
    assert node.clock.next(pump.now).hlc > last.hlc


def test_a_process_that_outgrows_its_memory_says_so_once_and_when_it_is_over() -> None:
    pump = Pump(1)
    node = pump.nodes["n1"]
    bound = int(RESIDENT_SHARE_MAX * node.store.bytes_max) + RESIDENT_SPARE_BYTES

    def told(rss_bytes: int) -> list[str]:
        before = len(pump.events)
        node.note_process(rss_bytes=rss_bytes)
        pump.run(1.0)
        return [event.text for _name, event in pump.events[before:] if "resident" in event.kind]

    assert told(bound) == []
    (said,) = told(bound + 1)
    assert "lower maxmemory" in said
    assert told(bound - 1) == told(2 * bound) == []
    (said,) = told(bound // 2)
    assert "again" in said


def test_what_the_gate_writes_is_heat_of_writes() -> None:
    pump = Pump(1)
    pump.run(1.0)
    node = pump.nodes["n1"]
    write = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"
    read = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
    data = write * 30 + read * 10
    assert node.table.serve(data, pump.now.wall_ms, b"$-1\r\n")[1] == len(data)
    pump.run(1.3)
    (heat,) = node.heat.hot_keys or node.statistics(pump.now).hot_keys
    assert heat.writes_per_s == 3 * heat.reads_per_s > 0


def test_every_request_is_counted_once_and_is_heat_once() -> None:
    pump = Pump(3)
    pump.run(3.0)
    requests: list[Request] = [
        Write((b"a", b"b"), (b"1", b"2")),
        Read((b"a", b"b", b"absent")),
        Read((b"a", b"absent"), Level.QUORUM),
        Read((b"b",), Level.ALL),
        Update(b"count", Change.INCREMENT, (1,)),
        Update(b"count", Change.INCREMENT, (1,)),
        Write((b"strong:s",), (b"1",)),
        Read((b"strong:s", b"strong:absent")),
    ]
    for name in pump.nodes:
        for request in requests:
            assert isinstance(pump.submit(name, request), Done)
    pump.run(2.5)
    found = [node.statistics(pump.now) for node in pump.nodes.values()]
    reads, writes = len(found) * 8, len(found) * 5
    assert sum(statistics.reads for statistics in found) == reads
    assert sum(statistics.writes for statistics in found) == writes
    assert sum(statistics.heat_operations for statistics in found) == reads + writes


def test_a_node_that_lost_its_records_does_not_wait_either() -> None:
    pump = Pump(3, down_grace_s=1000.0)
    pump.submit("n1", Write((b"k",), (b"1",)))
    pump.kill("n1")
    pump.disks["n1"].clear()
    pump.run(1.0)
    node = pump.boot("n1")
    pump.run(0.6)
    assert node.clock.may_coordinate(pump.now)
    pump.run(5.0)
    assert node.ready()


def test_a_flush_is_dated_by_a_sound_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    pump = Pump(3)
    pump.submit("n2", Write((b"k",), (b"1",)))
    clock = pump.nodes["n1"].clock
    clock.offset_ms = COORDINATE_OFFSET_MS_MAX + 1.0
    drawn: list[Now] = []
    monkeypatch.setattr(clock, "next", drawn.append)
    assert isinstance(pump.submit("n1", Flush()), Done)
    assert not drawn
    assert value_of(pump.submit("n2", Read((b"k",)))) is None


def test_with_no_sound_clock_anywhere_a_write_is_refused_for_that_reason() -> None:
    pump = Pump(3)
    for node in pump.nodes.values():
        node.clock.offset_ms = COORDINATE_OFFSET_MS_MAX + 1.0
    for request in (Write((b"k",), (b"1",)), Update(b"k", Change.INCREMENT, (1,)), Flush()):
        outcome = pump.submit("n1", request)
        assert isinstance(outcome, Failed)
        assert outcome.code is Code.NOT_READY
        assert "clock" in outcome.text
        assert "not settled" in outcome.text


def test_admin_verbs_check_their_arguments() -> None:
    pump = Pump(3)
    located = pump.admin("n1", "locate", key=b"a")
    assert isinstance(located, Done)
    assert located.result["owners"] == owners_of(pump, b"a")  # type: ignore[index]
    for verb, arguments in [
        ("locate", {}),
        ("no.such", {}),
        ("events", {"count": "many"}),
        ("fault.add", {"id": "f", "kind": "no-such", "link": "*->n1"}),
        ("fault.remove", {"id": "none"}),
        ("change.preview", {"kind": "sideways"}),
    ]:
        outcome = pump.admin("n1", verb, **arguments)
        assert isinstance(outcome, Failed), verb
        assert outcome.code is Code.BAD_REQUEST
        assert outcome.text


def test_faults_are_listed_until_their_lease_ends() -> None:
    pump = Pump(1)
    added = pump.admin(
        "n1", "fault.add", id="f1", kind="latency", link="*->n1", attributes={"latency": 200},
        owner="console", lease_s=5.0,
    )  # fmt: skip
    assert isinstance(added, Done), added
    (fault,) = pump.nodes["n1"].statistics(pump.now).faults
    assert (fault.fault_id, fault.kind, fault.target) == ("f1", "latency", "*->n1")
    pump.run(3.0)
    assert pump.admin("n1", "fault.renew", owner="console") == Done({"renewed": 1})
    pump.run(4.0)
    assert pump.nodes["n1"].statistics(pump.now).faults
    pump.run(2.0)
    assert not pump.nodes["n1"].statistics(pump.now).faults
    assert "fault.ended" in [event.kind for _name, event in pump.events]


def test_the_preview_moves_only_what_a_new_node_takes() -> None:
    pump = Pump(4)
    pump.submit("n1", Write(tuple(b"p%d" % i for i in range(500)), (b"v",) * 500))
    outcome = pump.admin("n1", "change.preview", kind="join", count=1)
    assert isinstance(outcome, Done)
    plain = outcome.result
    assert isinstance(plain, dict)
    assert 0 < plain["copies_moved"] < 3 * 16384
    assert plain["keys_moved"] > 0
    assert plain["minimum_share"] == 0.2


def test_statistics_survive_the_wire() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"k",), (b"v",)))
    pump.nodes["n1"].record_latency("read", 120, 3)
    pump.run(2.5)
    statistics = pump.nodes["n1"].statistics(pump.now)
    assert type(statistics).from_plain(statistics.to_plain()) == statistics
    assert statistics.slots_primary + statistics.slots_replica == 16384
    assert statistics.writes == 1
    assert statistics.read_latency is not None
    assert sum(statistics.read_latency.counts) == 3


def test_a_paused_first_owner_delays_nobody_for_long() -> None:
    """Suspicion, not the time-out of two seconds, ends the wait for an owner that is silent."""
    pump = Pump(3, down_grace_s=1000.0)
    key = key_with_first_owner(pump, "n2")
    pump.lost_replies_of["n2"] = True
    outcomes = pump.start("n1", Write((key,), (b"v",)))
    pump.nodes["n1"].coordinator.calls.on_suspect(NodeId("n2"), pump.now)
    pump.run(0.01)
    assert isinstance(outcomes[0], Done)
    assert outcomes[0].copies == 2


def test_nothing_is_missing_while_a_node_joins_and_another_is_replaced() -> None:
    pump = Pump(3, down_grace_s=3.0)
    keys = tuple(b"moved%d" % number for number in range(300))
    assert isinstance(pump.submit("n1", Write(keys, keys)), Done)

    def check(reader: str) -> None:
        outcome = pump.submit(reader, Read(keys))
        assert isinstance(outcome, Done)
        assert isinstance(outcome.result, list)
        assert [found.value for found in outcome.result] == list(keys)

    newcomer = pump.boot("n4", join=True)
    for _ in range(10):
        pump.run(0.5)
        check("n2")
    assert newcomer.ready()
    check("n4")
    pump.kill("n1")
    for _ in range(12):
        pump.run(1.0)
        check("n3")
    assert [str(member.node_id) for member in pump.nodes["n3"].topology.members] == [
        "n2",
        "n3",
        "n4",
    ]
    pump.kill("n2")
    pump.run(1.0)
    check("n3")


@pytest.mark.parametrize("count", [1, 3])
def test_strong_keys_are_served_at_every_node_and_mix_with_others(count: int) -> None:
    pump = Pump(count)
    pump.run(1.0)
    key = b"strong:k"
    for number, name in enumerate(pump.nodes, start=1):
        written = pump.submit(name, Write((b"plain", key), (b"v", b"%d" % number)))
        assert isinstance(written, Done), written
        counted = pump.submit(name, Update(key, Change.INCREMENT, (10,)))
        assert isinstance(counted, Done), counted
        assert isinstance(counted.result, Applied)
        assert counted.result.number == number + 10
        for reader in pump.nodes:
            read = pump.submit(reader, Read((key, b"plain")))
            assert isinstance(read, Done), read
            assert isinstance(read.result, list)
            assert [found.value for found in read.result] == [b"%d" % (number + 10), b"v"]
        assert all(node.table.get(key) is None for node in pump.nodes.values())


def test_latencies_of_coordinated_requests_are_recorded() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"k",), (b"v",)))
    pump.submit("n1", Read((b"k",)))
    statistics = pump.nodes["n1"].statistics(pump.now)
    assert statistics.write_latency is not None
    assert statistics.read_latency is not None
    assert sum(statistics.write_latency.counts) == 1
    assert statistics.write_latency.sum_us >= 500
    assert statistics.read_latency.counts[0] == 1


def test_a_read_that_a_slow_owner_holds_up_is_hedged() -> None:
    pump = Pump(5)
    key = b"hedge"
    pump.submit("n1", Write((key,), (b"v",)))
    pump.run(0.1)
    owners = owners_of(pump, key)
    stranger = next(name for name in pump.nodes if name not in owners)
    pump.slow[stranger, owners[0]] = 1.5
    began_s = pump.now_s
    assert value_of(pump.submit(stranger, Read((key,)))) == b"v"
    assert pump.now_s - began_s < 0.1
    assert pump.nodes[stranger].statistics(pump.now).hedged == 1


def test_a_quorum_read_sees_what_a_quorum_wrote_and_repairs_the_rest() -> None:
    pump = Pump(3)
    pump.submit("n1", Write((b"k",), (b"old",)))
    pump.run(0.1)
    version = pump.nodes["n2"].clock.next(pump.now)
    for name in ("n2", "n3"):
        pump.nodes[name].store.apply(b"k", 0, b"new", version, 0, Cause.REPLICA, pump.now)
    assert value_of(pump.submit("n1", Read((b"k",)))) == b"old", "one owner is enough for a hit"
    assert value_of(pump.submit("n1", Read((b"k",), Level.QUORUM))) == b"new"
    assert holds(pump, "n1", b"k") == b"new"
