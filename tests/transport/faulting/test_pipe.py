"""Every fault in virtual time: what comes out, when, and how connections end."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.faulting.test_spec import plain
from transport import limits
from transport.errors import RemoteProtocolError
from transport.faults import FaultBoard, FaultPipe, link_rng, parse_fault
from transport.framing import FrameDecoder, encode_frame
from transport.messages import Lane


class Wire:
    """A pipe with virtual time: what left it, and when."""

    def __init__(self, *faults: dict[str, object], seed: int = 1) -> None:
        self.board = FaultBoard()
        self.pipe = FaultPipe(self.board, "n1", "n3", "down", Lane.DATA, Random(seed))
        self.out: list[tuple[float, bytes]] = []
        self.ended: tuple[float, str] | None = None
        self.now_s = 0.0
        for index, fault in enumerate(faults):
            self.board.add(f"f{index}", parse_fault(fault), "test", 0.0)

    def run(self, until_s: float) -> Wire:
        """Let time pass, calling the pipe exactly when it asks."""
        while self.ended is None:
            self.collect()
            due_s = self.pipe.next_at_s()
            if due_s is None or due_s > until_s or self.ended is not None:
                break
            self.now_s = max(self.now_s, due_s)
        self.now_s = max(self.now_s, until_s)
        self.collect()
        return self

    def collect(self) -> None:
        self.out += [(round(self.now_s, 6), data) for data in self.pipe.pop(self.now_s)]
        ending = self.pipe.closing(self.now_s)
        if ending is not None and self.ended is None:
            self.ended = (round(self.now_s, 6), ending)

    def push(self, at_s: float, data: bytes) -> None:
        self.run(at_s)
        self.pipe.push(data, at_s)

    @property
    def data(self) -> bytes:
        return b"".join(data for _, data in self.out)


def attributes(kind: str, **numbers: float) -> dict[str, object]:
    return plain(kind, attributes=numbers)


def test_without_a_matching_fault_the_pipe_is_idle() -> None:
    wire = Wire(plain("latency", link="n2->n3"), plain("latency", stream="up"))
    assert wire.pipe.idle(0.0)
    assert wire.pipe.next_at_s() is None
    assert wire.run(10.0).ended is None


def test_latency_counts_from_arrival() -> None:
    wire = Wire(attributes("latency", latency=100))
    assert not wire.pipe.idle(0.0)
    wire.push(0.0, b"a")
    wire.push(0.03, b"b")
    wire.run(1.0)
    assert wire.out == [(0.1, b"a"), (0.13, b"b")]
    assert wire.board.faults()[0].hits == 2


def test_jitter_is_even_and_never_reorders() -> None:
    wire = Wire(attributes("latency", latency=100, jitter=50))
    for index in range(200):
        wire.push(index * 0.01, bytes([index]))
    wire.run(10.0)
    assert wire.data == bytes(range(200))
    delays = [at_s - index * 0.01 for index, (at_s, _) in enumerate(wire.out)]
    assert min(delays) >= 0.05
    assert max(delays) <= 0.15 + 1e-6
    assert 0.1 < sum(delays) / 200 < 0.15, "waiting behind others only adds"


def test_latencies_in_a_row_add_up() -> None:
    wire = Wire(attributes("latency", latency=100), attributes("latency", latency=50))
    wire.push(0.0, b"a")
    assert wire.run(1.0).out == [(0.15, b"a")]


def test_late_calls_add_no_time_of_their_own() -> None:
    wire = Wire(attributes("latency", latency=100), attributes("latency", latency=50))
    wire.pipe.push(b"a", 0.0)
    assert wire.pipe.pop(0.16) == [b"a"]


def test_bandwidth_in_thousands_of_bytes_a_second() -> None:
    wire = Wire(attributes("bandwidth", rate=10))
    wire.push(0.0, bytes(20_000))
    wire.run(0.5)
    assert len(wire.data) == 5000
    wire.run(1.99)
    assert len(wire.data) == 19_000
    wire.push(5.0, b"x" * 1000)
    wire.run(10.0)
    assert wire.out[-1] == (5.1, b"x" * 1000), "an idle line earns no credit and owes none"


def test_slicer_cuts_and_pauses() -> None:
    wire = Wire(attributes("slicer", average_size=10, size_variation=4, delay=1000))
    sent = bytes(range(100))
    wire.push(0.0, sent)
    wire.run(1.0)
    assert wire.data == sent
    assert all(6 <= len(data) <= 14 for _, data in wire.out[:-1])
    assert [at_s for at_s, _ in wire.out] == [
        pytest.approx(index * 0.001) for index in range(len(wire.out))
    ]


def test_slow_close_holds_only_the_end() -> None:
    wire = Wire(attributes("slow_close", delay=500))
    wire.push(0.0, b"a")
    wire.pipe.finish(0.1)
    wire.run(2.0)
    assert wire.out == [(0.0, b"a")]
    assert wire.ended == (0.6, "close")


def test_the_end_comes_after_the_data() -> None:
    wire = Wire(attributes("latency", latency=1000))
    wire.push(0.0, b"a")
    wire.pipe.finish(0.0)
    wire.run(3.0)
    assert wire.out == [(1.0, b"a")]
    assert wire.ended == (1.0, "close")


def test_timeout_drops_and_closes_from_its_start() -> None:
    wire = Wire(attributes("timeout", timeout=1000))
    wire.push(0.5, b"lost")
    wire.run(3.0)
    assert wire.out == []
    assert wire.ended == (1.0, "close")


def test_black_hole_swallows_until_its_removal_closes() -> None:
    wire = Wire(attributes("timeout", timeout=0))
    wire.push(0.5, b"lost")
    wire.pipe.finish(1.0)
    wire.run(1000.0)
    assert wire.ended is None, "not even the end gets through"
    wire.board.remove_all()
    wire.run(1001.0)
    assert wire.out == []
    assert wire.ended == (1000.0, "close")


def test_reset_counts_from_the_first_data() -> None:
    wire = Wire(attributes("reset_peer", timeout=100))
    wire.run(5.0)
    assert wire.ended is None
    wire.push(5.0, b"lost")
    wire.run(6.0)
    assert wire.out == []
    assert wire.ended == (5.1, "reset")


def test_limit_data_lets_so_many_bytes_through_and_closes_behind_them() -> None:
    wire = Wire(attributes("limit_data", bytes=5), attributes("latency", latency=100))
    wire.push(0.0, b"abc")
    wire.push(0.01, b"defgh")
    wire.run(1.0)
    assert wire.out == [(0.1, b"abc"), (0.11, b"de")]
    assert wire.ended == (0.11, "close")


def test_limit_of_zero_closes_at_once() -> None:
    assert Wire(attributes("limit_data", bytes=0)).run(1.0).ended == (0.0, "close")


def test_packet_loss_is_delay_and_keeps_everything() -> None:
    wire = Wire(attributes("packet_loss", loss_rate=0.3))
    for index in range(200):
        wire.push(index * 1.0, bytes([index]))
    wire.run(300.0)
    assert wire.data == bytes(range(200))
    late = [at_s - index for index, (at_s, _) in enumerate(wire.out) if at_s > index]
    assert 30 < len(late) < 90
    assert min(late) == pytest.approx(0.2), "one retransmission"
    assert pytest.approx(0.6) in late, "two: the timeout doubles"
    assert wire.board.faults()[0].hits >= len(late) / 2


def test_correlated_loss_comes_in_bursts() -> None:
    def runs(correlation: float) -> int:
        wire = Wire(attributes("packet_loss", loss_rate=0.5, correlation=correlation))
        fates = []
        for index in range(400):
            at_s = index * 100.0
            wire.push(at_s, b"x")
            wire.run(at_s + 99)
            fates.append(wire.out[-1][0] > at_s)
        return sum(before != after for before, after in pairwise(fates))

    assert runs(0.95) < runs(0.0) / 3


def test_cut_loses_everything_and_its_healing_resets_what_lost_something() -> None:
    wire = Wire(plain("cut"))
    wire.push(0.0, b"lost")
    wire.run(10.0)
    assert (wire.out, wire.ended) == ([], None)
    wire.board.remove_all()
    assert wire.run(11.0).ended == (10.0, "reset")
    quiet = Wire(plain("cut"))
    quiet.run(10.0)
    quiet.board.remove_all()
    quiet.push(11.0, b"fine")
    assert quiet.run(12.0).out == [(11.0, b"fine")]
    assert quiet.ended is None, "a connection over which nothing was sent survives"


def test_corruption_is_caught_by_the_checksum() -> None:
    wire = Wire(attributes("corrupt", rate=1))
    frame = encode_frame(b"payload of some length", 7)
    caught = 0
    for index in range(200):
        wire.push(float(index), frame)
        wire.run(index + 0.5)
        decoder = FrameDecoder(1000)
        decoder.receive_data(wire.out[-1][1])
        try:
            # A flipped bit of the length may also leave the frame forever incomplete.
            caught += not list(decoder.frames())
        except RemoteProtocolError:
            caught += 1
    assert caught == 200
    assert wire.board.faults()[0].hits == 200


def test_toxicity_is_drawn_once_per_connection_and_start() -> None:
    hit = 0
    for seed in range(400):
        wire = Wire(plain("latency", toxicity=0.25, attributes={"latency": 100}), seed=seed)
        for at_s in (0.0, 1.0, 2.0):
            wire.push(at_s, b"x")
        wire.run(9.0)
        late = [at_s % 1 > 0 for at_s, _ in wire.out]
        assert len(set(late)) == 1, "all or nothing of one connection"
        hit += late[0]
    assert 60 < hit < 140
    draws = set()
    wire = Wire(plain("latency"))
    for _ in range(20):
        wire.board.remove_all()
        wire.board.add("f0", parse_fault(plain("latency", toxicity=0.5)), "test", 0.0)
        draws.add(wire.pipe.idle(10.0))
    assert draws == {True, False}, "a new start draws anew"


def test_removal_releases_what_was_held_at_once_and_in_order() -> None:
    wire = Wire(attributes("latency", latency=10_000), attributes("latency", latency=1000))
    wire.push(0.0, b"a")
    wire.push(0.5, b"b")
    wire.run(1.0)
    wire.board.remove("f0")
    assert wire.pipe.next_at_s() is not None
    wire.push(1.0, b"c")
    wire.run(9.0)
    assert wire.out == [(2.0, b"a"), (2.0, b"b"), (2.0, b"c")]
    wire.push(9.0, b"d")
    wire.board.remove_all()
    wire.run(9.0)
    assert wire.out[-1] == (9.0, b"d")
    assert wire.pipe.idle(9.0)
    assert wire.pipe.held_bytes == 0


def test_new_faults_join_live_connections() -> None:
    wire = Wire()
    assert wire.pipe.idle(0.0)
    wire.board.add("late", parse_fault(attributes("latency", latency=100)), "test", 0.0)
    assert not wire.pipe.idle(1.0)
    wire.push(1.0, b"a")
    assert wire.run(2.0).out == [(1.1, b"a")]


def test_what_is_held_is_bounded() -> None:
    wire = Wire(attributes("latency", latency=600_000))
    piece = bytes(limits.FAULT_HELD_BYTES_MAX // 4)
    for _ in range(4):
        assert not wire.pipe.full
        wire.pipe.push(piece, 0.0)
    assert wire.pipe.full
    assert wire.pipe.closing(0.0) is None
    for _ in range(5):
        wire.pipe.push(piece, 0.0)
    assert wire.pipe.closing(0.0) == "reset", "a sender that ignores it is cut off"


KEEPING = ["latency", "bandwidth", "slicer", "packet_loss", "slow_close"]


@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_faults_that_keep_data_never_lose_or_reorder_it(data: st.DataObject) -> None:
    """Random faults come and go while random pieces are sent."""
    wire = Wire(seed=data.draw(st.integers(0, 99)))
    sent = bytearray()
    now_s = 0.0
    for step in range(data.draw(st.integers(1, 25))):
        now_s += data.draw(st.sampled_from([0.0, 0.001, 0.05, 1.0]))
        action = data.draw(st.sampled_from(["push", "push", "add", "remove"]))
        if action == "push":
            piece = bytes([step]) * data.draw(st.integers(1, 3000))
            sent += piece
            wire.push(now_s, piece)
        elif action == "add":
            fault = plain(data.draw(st.sampled_from(KEEPING)), toxicity=0.8)
            wire.board.add(f"f{step}", parse_fault(fault), "test", now_s)
        else:
            faults = wire.board.faults()
            if faults:
                wire.board.remove(data.draw(st.sampled_from(faults)).fault_id)
        wire.run(now_s)
        assert sent.startswith(wire.data)
    if data.draw(st.booleans()):
        wire.board.remove_all()
        wire.run(now_s)
    wire.run(now_s + 10_000)
    assert wire.data == bytes(sent)
    assert wire.pipe.held_bytes == 0


def test_the_same_seed_gives_the_same_faults() -> None:
    def run(seed: int) -> list[tuple[float, bytes]]:
        wire = Wire(plain("latency"), plain("packet_loss"), plain("slicer"))
        wire.pipe = FaultPipe(
            wire.board, "n1", "n3", "down", Lane.DATA, link_rng(seed, "n1", "n3", "down", 1)
        )
        for index in range(20):
            wire.push(index * 0.1, bytes(200))
        return wire.run(100.0).out

    assert run(1) == run(1) != run(2)
