"""Acceptor and proposer: rules by table, safety by random schedules with loss, duplicates, restarts."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodecore.consensus.acceptor import Acceptor, AcceptorState, AcceptReply, PromiseReply
from nodecore.consensus.ballot import COUNTER_MAX, NO_BALLOT, Ballot
from nodecore.consensus.proposer import Choose, Phase, Proposer
from nodecore.ids import NodeId

ABC = tuple(NodeId(n) for n in "abc")


def first_or(mine: object) -> Choose:
    return lambda accepted, exists: accepted if exists else mine


def test_ballots_are_ordered_and_next_is_above() -> None:
    rng = Random(1)
    assert NO_BALLOT < Ballot(1, "a") < Ballot(1, "b") < Ballot(2, "a")
    ballot = Ballot(1 << 30, "z")
    for _ in range(50):
        following = ballot.next_for("a", rng)
        assert following > ballot
        assert following.counter >> 20 == (ballot.counter >> 20) + 1
        ballot = following


def test_promise_is_given_once_and_only_upwards() -> None:
    acceptor = Acceptor()
    reply, state = acceptor.prepare(Ballot(5, "a"))
    assert reply.granted
    assert state == AcceptorState(promised=Ballot(5, "a"))
    for lower in (Ballot(5, "a"), Ballot(4, "z"), NO_BALLOT):
        reply, state = acceptor.prepare(lower)
        assert not reply.granted
        assert reply.promised == Ballot(5, "a")
        assert state is None
    assert not acceptor.prepare(Ballot(COUNTER_MAX + 1, "a"))[0].granted


def test_accepting_below_a_promise_is_refused() -> None:
    acceptor = Acceptor()
    acceptor.prepare(Ballot(5, "b"))
    reply, state = acceptor.accept(Ballot(5, "a"), "x")
    assert (reply.granted, reply.promised, state) == (False, Ballot(5, "b"), None)
    reply, state = acceptor.accept(Ballot(6, "a"), "y")
    assert reply.granted
    assert state == AcceptorState(Ballot(6, "a"), Ballot(6, "a"), "y")
    assert acceptor.accept(Ballot(6, "a"), "other") == (AcceptReply(True, Ballot(6, "a")), None)
    assert acceptor.state.accepted == "y"
    assert not acceptor.accept(NO_BALLOT, "z")[0].granted


def test_proposer_takes_the_value_of_the_highest_accepted_ballot() -> None:
    round_ = Proposer(Ballot(9, "a"), [[*ABC, NodeId("d"), NodeId("e")]], first_or("mine"))
    granted = Ballot(9, "a")
    round_.on_promise(NodeId("a"), PromiseReply(True, granted, Ballot(2, "x"), "old"))
    round_.on_promise(NodeId("b"), PromiseReply(True, granted, Ballot(4, "x"), "newer"))
    assert round_.phase is Phase.PREPARING
    round_.on_promise(NodeId("b"), PromiseReply(True, granted, Ballot(4, "x"), "newer"))
    assert round_.phase is Phase.PREPARING
    assert round_.on_promise(NodeId("c"), PromiseReply(True, granted, NO_BALLOT, None)) is (
        Phase.ACCEPTING
    )
    assert (round_.value, round_.adopted) == ("newer", True)


def test_refusal_by_a_higher_ballot_preempts_and_by_our_own_does_not() -> None:
    round_ = Proposer(Ballot(9, "a"), [ABC], first_or("mine"))
    own = PromiseReply(False, Ballot(9, "a"), NO_BALLOT, None)
    assert round_.on_promise(NodeId("a"), own) is Phase.PREPARING
    rival = PromiseReply(False, Ballot(10, "b"), NO_BALLOT, None)
    assert round_.on_promise(NodeId("z"), rival) is Phase.PREPARING
    assert round_.on_promise(NodeId("b"), rival) is Phase.PREEMPTED
    assert round_.preempted_by == Ballot(10, "b")


def test_joint_round_needs_both_majorities() -> None:
    old, new = ABC, (NodeId("c"), NodeId("d"), NodeId("e"))
    round_ = Proposer(Ballot(1, "a"), [old, new], first_or("v"))
    assert round_.voters == tuple("abcde")
    reply = PromiseReply(True, Ballot(1, "a"), NO_BALLOT, None)
    for voter, phase in (("a", 0), ("b", 0), ("c", 0), ("d", 1)):
        expected = Phase.ACCEPTING if phase else Phase.PREPARING
        assert round_.on_promise(NodeId(voter), reply) is expected
    late = AcceptReply(True, Ballot(0, "a"))
    for voter in "abcde":
        assert round_.on_accepted(NodeId(voter), late) is Phase.ACCEPTING
    accepted = AcceptReply(True, Ballot(1, "a"))
    for voter, phase in (("d", 0), ("e", 0), ("a", 0), ("c", 1)):
        expected = Phase.CHOSEN if phase else Phase.ACCEPTING
        assert round_.on_accepted(NodeId(voter), accepted) is expected


class Schedule:
    """Proposers and acceptors over a network that loses, repeats and reorders; acceptors restart
    from what they persisted, proposers forget everything.
    """

    def __init__(self, seed: int, quorums: list[list[NodeId]], proposers: int) -> None:
        self.rng = Random(seed)
        self.quorums = quorums
        voters = dict.fromkeys(v for q in quorums for v in q)
        self.disk = {voter: AcceptorState() for voter in voters}
        self.acceptors = {voter: Acceptor() for voter in voters}
        self.names = [f"p{index}" for index in range(proposers)]
        self.rounds: dict[str, Proposer] = {}
        self.network: list[tuple[str, str, str, Ballot, object]] = []
        self.chosen: list[object] = []
        self.accepted: dict[Ballot, dict[NodeId, object]] = {}

    def begin(self, name: str) -> None:
        previous = self.rounds.get(name)
        floor = NO_BALLOT
        if previous is not None and self.rng.random() < 0.8:
            floor = max(previous.ballot, previous.preempted_by)
        ballot = floor.next_for(name, self.rng)
        value = f"{name}-{ballot.counter}"
        round_ = self.rounds[name] = Proposer(ballot, self.quorums, first_or(value))
        for voter in round_.voters:
            self.network.append(("prepare", name, voter, ballot, None))

    def step(self) -> None:
        dice = self.rng.random()
        if not self.network or dice < 0.04:
            self.begin(self.rng.choice(self.names))
        elif dice < 0.07:
            voter = self.rng.choice(list(self.acceptors))
            self.acceptors[voter] = Acceptor(self.disk[voter])
        else:
            index = self.rng.randrange(len(self.network))
            message = self.network[index]
            if self.rng.random() > 0.15:
                del self.network[index]
            if self.rng.random() > 0.15:
                self.handle(message)
        del self.network[:-400]

    def handle(self, message: tuple[str, str, str, Ballot, object]) -> None:
        kind, name, voter_name, ballot, body = message
        voter = NodeId(voter_name)
        if kind in ("prepare", "accept"):
            acceptor = self.acceptors[voter]
            reply: object
            if kind == "prepare":
                reply, state = acceptor.prepare(ballot)
            else:
                reply, state = acceptor.accept(ballot, body)
                if reply.granted:
                    self.note(voter, ballot, body)
            if self.rng.random() < 0.03:
                self.acceptors[voter] = Acceptor(self.disk[voter])
                return  # crashed before it could persist: nothing was said
            if state is not None:
                self.disk[voter] = state
            self.network.append((kind + "d", name, voter, ballot, reply))
            return
        round_ = self.rounds.get(name)
        if round_ is None or round_.ballot != ballot:
            return
        before = round_.phase
        if kind == "prepared":
            assert isinstance(body, PromiseReply)
            if round_.on_promise(voter, body) is Phase.ACCEPTING and before is Phase.PREPARING:
                for target in round_.voters:
                    self.network.append(("accept", name, target, ballot, round_.value))
        else:
            assert isinstance(body, AcceptReply)
            if round_.on_accepted(voter, body) is Phase.CHOSEN and before is Phase.ACCEPTING:
                self.chosen.append(round_.value)

    def note(self, voter: NodeId, ballot: Ballot, value: object) -> None:
        """One ballot stands for one value."""
        seen = self.accepted.setdefault(ballot, {})
        seen[voter] = value
        assert len(set(seen.values())) == 1


QUORUMS = {
    "three": [list("abc")],
    "five": [list("abcde")],
    "joint": [list("abc"), list("def")],
}


@pytest.mark.parametrize("shape", QUORUMS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 32))
def test_one_value_at_most_is_chosen(shape: str, seed: int) -> None:
    quorums = [[NodeId(voter) for voter in voters] for voters in QUORUMS[shape]]
    schedule = Schedule(seed, quorums, proposers=4)
    for _ in range(600):
        schedule.step()
    assert len(set(schedule.chosen)) <= 1


def test_schedules_do_choose() -> None:
    decided = 0
    for seed in range(20):
        schedule = Schedule(seed, [list(ABC)], proposers=3)
        for _ in range(800):
            schedule.step()
        decided += bool(schedule.chosen)
    assert decided > 10
