"""Link breakers on virtual time."""

from __future__ import annotations

from random import Random

from nodecore.effects import Emit
from nodecore.ids import NodeId, Now
from nodecore.resilience.breaker import Breaker, State, wilson_lower_bound
from nodecore.resilience.breakers import LinkBreakers

PEERS = tuple(NodeId(f"n{number}") for number in range(2, 6))
N2, N3, N4 = PEERS[:3]


def at(seconds: float) -> Now:
    return Now(seconds, int(seconds * 1000))


class Links:
    """Breakers of one node and what they said."""

    def __init__(self, peers: tuple[NodeId, ...] = PEERS) -> None:
        self.events: list[Emit] = []
        self.breakers = LinkBreakers(100.0, Random(1), self.events.append)
        self.breakers.set_peers(peers)

    def calls(
        self,
        peer: NodeId,
        since_s: float,
        seconds: float,
        rate: float,
        latency_s: float,
        error: str = "",
    ) -> float:
        """Steady calls; returns when the breaker opened, or infinity."""
        for number in range(int(seconds * rate)):
            now = at(since_s + number / rate)
            if self.breakers.allows(peer):
                generation = self.breakers.generation(peer)
                self.breakers.record(peer, generation, latency_s, error, now)
                if not self.breakers.allows(peer):
                    return now.mono_s
            self.probe(now, latency_s, error)
        return float("inf")

    def probe(self, now: Now, latency_s: float, error: str = "") -> None:
        for peer in self.breakers.probes_due(now):
            generation = self.breakers.generation(peer)
            self.breakers.record(peer, generation, latency_s, error, now)

    def reason(self, peer: NodeId, now: Now) -> str:
        (found,) = [report.reason for report in self.breakers.reports(now) if report.peer == peer]
        return found


def test_five_errors_in_a_row_open_it() -> None:
    links = Links()
    for number in range(4):
        links.breakers.record(N2, 0, 0.001, "connection refused", at(number))
    assert links.breakers.allows(N2)
    links.breakers.record(N2, 0, 0.001, "connection refused", at(4))
    assert links.breakers.state(N2) is State.OPEN
    assert links.reason(N2, at(4)) == "5 errors in a row: connection refused"


def test_slowness_opens_it_within_seconds_also_after_a_fast_time() -> None:
    links = Links()
    assert links.calls(N2, 100.0, 30.0, 24.0, 0.002) == float("inf")
    opened_s = links.calls(N2, 130.0, 10.0, 24.0, 0.205)
    assert opened_s < 133.0
    assert "calls slower than 100 ms" in links.reason(N2, at(opened_s))


def test_a_few_slow_calls_do_not_open_it() -> None:
    links = Links()
    for number in range(2000):
        latency_s = 0.3 if number % 3 == 0 else 0.001
        links.breakers.record(N2, 0, latency_s, "", at(100 + number * 0.01))
    assert links.breakers.allows(N2)


def test_steady_two_percent_of_errors_never_open_it() -> None:
    links = Links()
    rng = Random(5)
    for number in range(100_000):
        error = "timed out" if rng.random() < 0.02 else ""
        links.breakers.record(N2, links.breakers.generation(N2), 0.001, error, at(number * 0.01))
        assert links.breakers.allows(N2), number


def test_a_jump_of_the_error_rate_opens_it_within_a_second() -> None:
    links = Links()
    links.calls(N2, 100.0, 20.0, 100.0, 0.001)
    rng = Random(6)
    for number in range(100):
        now = at(120 + number / 100)
        error = "timed out" if rng.random() < 0.6 else ""
        links.breakers.record(N2, links.breakers.generation(N2), 0.001, error, now)
        if not links.breakers.allows(N2):
            return
    raise AssertionError("still closed")


def test_errors_that_are_over_do_not_open_it_when_enough_calls_have_come_together() -> None:
    links = Links()
    links.calls(N2, 100.0, 0.4, 10.0, 0.001, "connecting timed out")
    links.calls(N2, 100.4, 0.8, 20.0, 0.001)
    links.calls(N2, 101.2, 1.0, 1.0, 0.2)
    assert links.breakers.state(N2) is State.CLOSED, "a slow answer is no error"
    links.calls(N2, 101.3, 1.0, 1.0, 0.001, "connecting timed out")
    assert links.breakers.state(N2) is State.OPEN


def test_it_closes_within_ten_seconds_after_healing_however_long_it_was_open() -> None:
    links = Links()
    opened_s = links.calls(N2, 100.0, 10.0, 50.0, 0.25)
    end_s = opened_s + 300.0
    now_s = opened_s
    while now_s < end_s:
        now_s += 0.25
        links.probe(at(now_s), 0.25)
        assert not links.breakers.allows(N2)
    while not links.breakers.allows(N2):
        now_s += 0.25
        links.probe(at(now_s), 0.002)
        assert now_s < end_s + 10.0
    assert links.events[-1].kind == "breaker.closed"


def test_late_replies_of_an_earlier_generation_move_nothing() -> None:
    links = Links()
    links.calls(N2, 100.0, 10.0, 50.0, 0.25)
    state = links.breakers.state(N2)
    for _ in range(10):
        links.breakers.record(N2, 0, 0.001, "", at(111))
    assert links.breakers.state(N2) is state


def test_never_more_than_half_of_the_peers_are_shut_out() -> None:
    links = Links()
    for peer in PEERS:
        links.calls(peer, 100.0, 5.0, 50.0, 0.25)
    shut = [peer for peer in PEERS if not links.breakers.allows(peer)]
    assert shut == [N2, N3]
    assert links.breakers.refused_to_open > 0


def test_an_operator_has_the_last_word() -> None:
    links = Links()
    assert links.breakers.force(N2, "forced-open", at(1)) == ""
    links.probe(at(100), 0.001)
    assert not links.breakers.allows(N2)
    assert links.breakers.force(N2, "disabled", at(101)) == ""
    for number in range(100):
        links.breakers.record(N2, links.breakers.generation(N2), 1.0, "dead", at(102 + number))
    assert links.breakers.allows(N2)
    assert links.breakers.force(N2, "closed", at(300)) == ""
    assert links.breakers.state(N2) is State.CLOSED
    assert "none of" in links.breakers.force(N2, "ajar", at(301))
    assert "no peer" in links.breakers.force(NodeId("n9"), "closed", at(301))


def test_open_times_grow_with_jitter_up_to_the_cap() -> None:
    breaker = Breaker("n2", 100.0, Random(3))
    lasted: list[float] = []
    now_s = 0.0
    breaker.open("test", at(now_s))
    for _ in range(12):
        began_s = now_s
        while breaker.state is State.OPEN:
            now_s += 0.05
            breaker.probe_due(at(now_s))
        lasted.append(now_s - began_s)
        breaker.record(breaker.generation, 500.0, "", at(now_s))
    assert 0.5 <= lasted[0] <= 1.6 + 2.0
    assert max(lasted) <= 62.1
    assert lasted[-1] > 10.0


def test_the_wilson_bound_is_below_the_rate_and_grows_with_evidence() -> None:
    bounds = [wilson_lower_bound(count * 3 // 5, count) for count in (5, 50, 500, 5000)]
    assert bounds == sorted(bounds)
    assert 0.1 < bounds[0] < bounds[-1] < 0.6
    assert wilson_lower_bound(0, 0) == 0.0
