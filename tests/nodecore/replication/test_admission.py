from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from nodecore.consensus.outcome import ProposalOutcome, ProposalResult
from nodecore.errors import Code
from nodecore.ids import NodeId, Now
from nodecore.placement.proposals import bootstrap, propose_join
from nodecore.placement.topology import Keyspace, Member, RingSettings, Topology, Wish
from nodecore.replication.admission import Admission
from nodecore.replication.departure import OPERATOR_CANCEL
from nodecore.replication.joining import ASK_INTERVAL_S, STREAM, Joining
from nodecore.requests import Done, Failed, Outcome, Unknown
from nodecore.timers import Timers
from tests.nodecore.replication.change_fakes import Outbox, member, moment
from transport.messages import ErrorReply, Join, JoinReply, Message

NOW = moment()


def stable(count: int) -> Topology:
    members = [member(number) for number in range(1, count + 1)]
    return bootstrap("c", members, RingSettings(vnodes=8), (Keyspace(),))


class Bench:
    def __init__(self, topology: Topology | None) -> None:
        self.outbox = Outbox("n1")
        self.admission = Admission(self.outbox.ports(), lambda: topology)
        self.outcomes: list[Outcome] = []

    def join(self, asking: Member) -> Message | None:
        plain = msgspec.to_builtins(asking)
        self.admission.on_join(asking.node_id, 9, plain, NOW)
        return self.outbox.sent[-1][1] if self.outbox.sent else None

    def on_outcome(self, outcome: Outcome, _now: Now) -> None:
        self.outcomes.append(outcome)


def refusal(message: Message | None) -> Code:
    assert isinstance(message, ErrorReply)
    return Code(message.code)


def test_a_new_node_is_answered_when_its_change_has_begun() -> None:
    bench = Bench(stable(3))
    assert bench.join(member(4)) is None
    document, on_result = bench.outbox.proposals[0]
    assert document.change is not None
    assert document.change.coordinator == "n1"
    on_result(ProposalResult(ProposalOutcome.CHOSEN, document), NOW)
    reply = bench.outbox.sent[0][1]
    assert isinstance(reply, JoinReply)
    assert Topology.from_plain(reply.document) == document


def test_a_lost_or_undecided_proposal_is_to_be_asked_for_again() -> None:
    for outcome, expected in (
        (ProposalOutcome.LOST, Code.CHANGE_RUNNING),
        (ProposalOutcome.FAILED, Code.NO_QUORUM),
        (ProposalOutcome.UNKNOWN, Code.NO_QUORUM),
    ):
        bench = Bench(stable(3))
        bench.join(member(4))
        bench.outbox.proposals[0][1](ProposalResult(outcome, None, Code.NO_QUORUM, "why"), NOW)
        assert refusal(bench.outbox.sent[-1][1]) is expected
        assert expected.retryable


def test_an_id_with_a_live_holder_is_taken() -> None:
    bench = Bench(stable(3))
    stranger = replace(member(2), addresses=member(9).addresses)
    assert refusal(bench.join(stranger)) is Code.TAKEN
    assert refusal(bench.join(member(1))) is Code.TAKEN


def test_a_member_that_asks_again_from_its_address_is_given_the_document() -> None:
    topology = stable(3)
    reply = Bench(topology).join(member(2))
    assert isinstance(reply, JoinReply)
    assert Topology.from_plain(reply.document) == topology


def test_a_failed_holder_makes_room_if_the_rules_allow() -> None:
    bench = Bench(stable(5))
    bench.outbox.failed = ["n2"]
    stranger = replace(member(2), addresses=member(9).addresses)
    assert refusal(bench.join(stranger)) is Code.CHANGE_RUNNING
    change = bench.outbox.proposals[0][0].change
    assert change is not None
    assert (change.kind, change.node_id) == ("remove", "n2")
    bench = Bench(stable(3))
    bench.outbox.failed = ["n2"]
    reply = bench.join(stranger)
    assert refusal(reply) is Code.CHANGE_RUNNING
    assert not bench.outbox.proposals


def test_one_change_at_a_time() -> None:
    bench = Bench(propose_join(stable(3), member(4), NodeId("n2")))
    assert refusal(bench.join(member(5))) is Code.CHANGE_RUNNING
    outcome = bench.admission.request(Wish("leave", NodeId("n3")), bench.on_outcome, NOW)
    assert isinstance(outcome, Failed)
    assert outcome.code is Code.CHANGE_RUNNING


def test_bad_entries_and_early_questions_are_refused() -> None:
    bench = Bench(stable(3))
    bench.admission.on_join(NodeId("n4"), 9, {"node_id": 4}, NOW)
    assert refusal(bench.outbox.sent[-1][1]) is Code.BAD_REQUEST
    assert refusal(Bench(None).join(member(4))) is Code.NOT_READY
    outcome = Bench(None).admission.cancel(bench.on_outcome, NOW)
    assert isinstance(outcome, Failed)
    assert outcome.code is Code.NOT_READY


def test_leaving_and_removing_fit_the_state_of_the_member() -> None:
    bench = Bench(stable(4))
    bench.outbox.failed = ["n2"]
    failed = bench.admission.request(Wish("leave", NodeId("n2")), bench.on_outcome, NOW)
    alive = bench.admission.request(Wish("remove", NodeId("n3")), bench.on_outcome, NOW)
    unknown = bench.admission.request(Wish("leave", NodeId("n9")), bench.on_outcome, NOW)
    assert [o.code for o in (failed, alive, unknown) if isinstance(o, Failed)] == [
        Code.UNREACHABLE,
        Code.REFUSED,
        Code.UNKNOWN_NODE,
    ]
    assert bench.admission.request(Wish("leave", NodeId("n3")), bench.on_outcome, NOW) is None
    document, on_result = bench.outbox.proposals[0]
    on_result(ProposalResult(ProposalOutcome.CHOSEN, document), NOW)
    on_result(ProposalResult(ProposalOutcome.UNKNOWN, document, Code.NO_QUORUM, "?"), NOW)
    assert isinstance(bench.outcomes[0], Done)
    assert isinstance(bench.outcomes[1], Unknown)


def test_an_operator_can_take_a_change_back() -> None:
    bench = Bench(propose_join(stable(3), member(4), NodeId("n2")))
    assert bench.admission.cancel(bench.on_outcome, NOW) is None
    document = bench.outbox.proposals[0][0]
    assert not document.joint
    assert document.reason.endswith(OPERATOR_CANCEL)
    quiet = Bench(stable(3)).admission.cancel(bench.on_outcome, NOW)
    assert isinstance(quiet, Failed)


class Applicant:
    """A node that asks to be a member."""

    def __init__(self, seeds: Sequence[str]) -> None:
        self.outbox = Outbox("n4")
        self.timers = Timers()
        self.joining = Joining(
            self.outbox.ports(), self.timers, member(4), lambda: [NodeId(name) for name in seeds]
        )
        self.joining.begin(NOW)

    def asked(self) -> list[str]:
        assert all(isinstance(message, Join) for _peer, message in self.outbox.sent)
        return [peer for peer, _message in self.outbox.sent]

    def answer(self, message: Message) -> bool:
        return self.joining.on_message(NodeId("n1"), STREAM, message, NOW)


def test_seeds_are_asked_in_turn_until_one_has_said_yes() -> None:
    applicant = Applicant(["n1", "n2"])
    for second in (1, 2):
        applicant.timers.fire(moment(second * ASK_INTERVAL_S))
    assert applicant.asked() == ["n1", "n2", "n1"]
    assert applicant.answer(JoinReply({"a": "document"}))
    assert applicant.outbox.learned == [{"a": "document"}]
    applicant.joining.end()
    applicant.timers.fire(moment(10))
    assert len(applicant.asked()) == 3


def test_answers_that_can_change_are_waited_for_and_said_once() -> None:
    applicant = Applicant(["n1"])
    for _again in range(3):
        assert applicant.answer(ErrorReply(int(Code.CHANGE_RUNNING), "another change"))
    assert len(applicant.outbox.events) == 1
    assert not applicant.outbox.stops


def test_answers_that_can_not_change_end_the_process() -> None:
    applicant = Applicant(["n1"])
    assert applicant.answer(ErrorReply(int(Code.TAKEN), "n4 is a member"))
    assert applicant.outbox.stops == [("n1 refuses this node: n4 is a member", 1)]
    assert not applicant.joining.active


def test_messages_of_others_are_left_alone() -> None:
    applicant = Applicant(["n1"])
    stranger = ErrorReply(int(Code.TAKEN), "something else")
    assert not applicant.joining.on_message(NodeId("n1"), 5, stranger, NOW)
