"""The pure tables of membership: merging claims, refuting, timing, queueing."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodecore.ids import Incarnation, NodeId, Now
from nodecore.membership.awareness import SCORE_MAX, Awareness
from nodecore.membership.clock_offsets import ClockOffsets
from nodecore.membership.gossip import CLAIMS_QUEUED_MAX, GossipQueue
from nodecore.membership.members import (
    Claim,
    MemberState,
    Merged,
    Status,
    condemned,
    merge,
    parse_claims,
    plain_claims,
    refutation,
)
from nodecore.membership.settings import MembershipSettings
from nodecore.membership.suspicion import suspicion_s

A, S, F, L = Status.ALIVE, Status.SUSPECT, Status.FAILED, Status.LEFT


def claim(status: Status, incarnation: int, by: str = "n2", about: str = "n1") -> Claim:
    return Claim(NodeId(about), status, Incarnation(incarnation), NodeId(by))


@pytest.mark.parametrize(
    ("status", "said", "incarnation", "becomes", "merged"),
    [
        # believed at incarnation 5; a claim of status, incarnation
        (A, A, 5, A, Merged.STALE),
        (A, A, 6, A, Merged.CHANGED),
        (A, S, 4, A, Merged.STALE),
        (A, S, 5, S, Merged.CHANGED),
        (A, F, 5, S, Merged.CHANGED),
        (A, L, 5, L, Merged.CHANGED),
        (S, A, 5, S, Merged.STALE),
        (S, A, 6, A, Merged.CHANGED),
        (S, S, 5, S, Merged.CONFIRMED),
        (S, S, 6, S, Merged.CHANGED),
        (S, F, 5, S, Merged.CONFIRMED),
        (F, A, 5, F, Merged.STALE),
        (F, A, 6, A, Merged.CHANGED),
        (F, S, 5, F, Merged.CONFIRMED),
        (F, S, 6, S, Merged.CHANGED),
        (F, L, 5, L, Merged.CHANGED),
        (L, S, 5, L, Merged.STALE),
        (L, F, 5, L, Merged.STALE),
        (L, A, 5, L, Merged.STALE),
        (L, A, 6, A, Merged.CHANGED),
        (L, L, 5, L, Merged.STALE),
    ],
)
def test_merge_table(
    status: Status, said: Status, incarnation: int, becomes: Status, merged: Merged
) -> None:
    state = MemberState(status, Incarnation(5))
    assert merge(state, claim(said, incarnation)) is merged
    assert state.status is becomes
    assert state.incarnation == (incarnation if merged is Merged.CHANGED else 5)
    assert merge(state, claim(said, incarnation)) is Merged.STALE


claims = st.lists(
    st.builds(
        claim,
        st.sampled_from([S, F]),
        st.integers(0, 3),
        st.sampled_from(["n2", "n3", "n4"]),
    )
    | st.builds(claim, st.sampled_from([A, L]), st.integers(0, 3), st.just("n1")),
    max_size=12,
)


@given(claims, st.randoms(use_true_random=False))
def test_beliefs_do_not_depend_on_the_order_of_claims(heard: list[Claim], rng: Random) -> None:
    # A node says goodbye or claims to be alive at one incarnation, never both after each other.
    goodbyes = {c.incarnation for c in heard if c.status is L}
    heard = [c for c in heard if c.status is not A or c.incarnation - 1 not in goodbyes]
    shuffled = heard[:]
    rng.shuffle(shuffled)
    one, other = MemberState(), MemberState()
    for c in heard:
        merge(one, c)
    for c in shuffled:
        merge(other, c)
    assert one.incarnation == other.incarnation
    assert one.status is other.status
    assert set(one.condemned_by) == set(other.condemned_by)
    assert set(one.suspected_by) == set(other.suspected_by)


def test_refutation_goes_above_what_was_claimed() -> None:
    assert refutation(Incarnation(3), claim(S, 3)) == 4
    assert refutation(Incarnation(3), claim(F, 7)) == 8
    assert refutation(Incarnation(3), claim(S, 2)) is None
    assert refutation(Incarnation(3), claim(A, 3)) is None
    assert refutation(Incarnation(3), claim(A, 9)) == 10


def test_condemned_needs_a_majority_of_every_set() -> None:
    state = MemberState()
    sets = [[NodeId(n) for n in ("a", "b", "c")], [NodeId(n) for n in ("c", "d", "e")]]
    for voter, verdict in (("a", False), ("b", False), ("d", False), ("x", False), ("e", True)):
        merge(state, claim(F, 0, voter))
        assert condemned(state, sets) is verdict
    assert not condemned(state, [])


@given(claims)
def test_claims_survive_the_wire(said: list[Claim]) -> None:
    assert parse_claims(plain_claims(said), 256) == said


def test_suspicion_shrinks_with_confirmations() -> None:
    spans = [suspicion_s(2, 6, n, 3) for n in range(6)]
    assert spans[0] == 6
    assert spans[3:] == [2, 2, 2]
    assert spans == sorted(spans, reverse=True)
    assert suspicion_s(2, 6, 0, 0) == 2
    assert suspicion_s(2, 6, 0, -1) == 2


def test_settings_formulas() -> None:
    settings = MembershipSettings()
    assert settings.suspicion_s_min(1) == pytest.approx(1.5)
    assert settings.suspicion_s_min(91) == pytest.approx(3.0)
    assert settings.transmissions(5) == 4
    assert settings.transmissions(10) == 8


def test_awareness_is_bounded() -> None:
    awareness = Awareness()
    awareness.improve()
    assert awareness.scale(2.0) == 2.0
    awareness.worsen(99)
    assert awareness.score == SCORE_MAX
    assert awareness.scale(1.0) == SCORE_MAX + 1


def test_queue_tells_each_claim_so_often_and_the_newest_first() -> None:
    queue = GossipQueue()
    for about in ("n1", "n2", "n3"):
        queue.put(claim(S, 1, "n9", about))
    assert [c.node_id for c in queue.take(2, 2)] == ["n3", "n2"]
    assert [c.node_id for c in queue.take(2, 2)] == ["n1", "n3"]
    assert [c.node_id for c in queue.take(5, 2)] == ["n2", "n1"]
    assert queue.take(5, 2) == []


def test_queue_drops_what_is_overtaken() -> None:
    queue = GossipQueue()
    queue.put(claim(S, 1, "n2"))
    queue.put(claim(S, 1, "n3"))
    assert len(queue) == 2
    queue.put(claim(F, 1, "n3"))
    assert len(queue) == 2
    queue.put(claim(A, 2, "n1"))
    assert queue.take(9, 9) == [claim(A, 2, "n1")]
    queue.forget(NodeId("n1"))
    assert len(queue) == 0


def test_queue_is_bounded() -> None:
    queue = GossipQueue()
    for number in range(CLAIMS_QUEUED_MAX + 5):
        queue.put(claim(S, 1, "n2", f"m{number}"))
    assert len(queue) == CLAIMS_QUEUED_MAX
    assert queue.dropped == 5


def test_one_mad_clock_of_three_doubts_itself_alone() -> None:
    sound, mad = ClockOffsets(), ClockOffsets()
    for peer, wall_ms in (("mad", -19_000), ("sound", 1_005)):
        sound.sample(NodeId(peer), Now(0, 1000), Now(0.01, 1010), wall_ms)
    for peer in ("one", "other"):
        mad.sample(NodeId(peer), Now(0, -19_000), Now(0.01, -18_990), 1_005)
    assert sound.median_ms() == 0
    assert mad.median_ms() == 20_000


def test_clock_offsets_ignore_slow_round_trips() -> None:
    offsets = ClockOffsets()
    assert offsets.median_ms() == 0.0
    offsets.sample(NodeId("a"), Now(0, 1000), Now(0.01, 1010), 1505)
    assert offsets.of(NodeId("a")) == 500
    offsets.sample(NodeId("a"), Now(0, 1000), Now(3, 4000), 9999)
    assert offsets.median_ms() == 500
    offsets.forget(NodeId("a"))
    assert offsets.of(NodeId("a")) is None
