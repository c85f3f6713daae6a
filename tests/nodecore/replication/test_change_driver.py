from __future__ import annotations

from dataclasses import replace

from nodecore.consensus.outcome import ProposalOutcome, ProposalResult
from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId
from nodecore.placement.proposals import bootstrap, propose_join, propose_remove
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.steering import propose_change_policy, propose_pause
from nodecore.placement.topology import Keyspace, RingSettings, Topology
from nodecore.replication.change_driver import ChangeDriver, FillReport
from tests.nodecore.replication.change_fakes import Outbox, member, moment

GRACE_S = 15.0


def stable(count: int) -> Topology:
    members = [member(number) for number in range(1, count + 1)]
    return bootstrap("c", members, RingSettings(vnodes=8), (Keyspace(),))


def joining() -> Topology:
    return propose_join(stable(3), member(4), NodeId("n1"))


class Bench:
    def __init__(self, name: str, topology: Topology) -> None:
        self.outbox = Outbox(name)
        self.driver = ChangeDriver(self.outbox.ports(), GRACE_S)
        self.adopt(topology, 0.0)

    def adopt(self, topology: Topology, at_s: float) -> None:
        self.driver.on_topology(topology, SlotMap.compile(topology), moment(at_s))

    def report(self, node: str, total: int, left: int, waits_for: str = "") -> None:
        found = FillReport(total, left, 10, 100, waits_for)
        self.driver.on_report(NodeId(node), found, moment(1.0))

    def proposed(self) -> Topology:
        assert len(self.outbox.proposals) == 1
        return self.outbox.proposals[0][0]


def test_the_coordinator_ends_the_change_when_all_copies_are_made() -> None:
    bench = Bench("n1", joining())
    slots = bench.driver.copies_of(NodeId("n4"))
    assert slots
    bench.driver.tick(moment(0.5))
    bench.report("n4", slots, 5)
    assert not bench.outbox.proposals
    bench.report("n4", slots, 0)
    following = bench.proposed()
    assert following.change is None
    assert following.member(NodeId("n4")) is not None
    bench.driver.tick(moment(2.0))
    assert len(bench.outbox.proposals) == 1, "one proposal at a time"


def test_only_the_coordinator_acts() -> None:
    bench = Bench("n2", joining())
    bench.report("n4", 9, 0)
    bench.driver.tick(moment(1.0))
    assert not bench.outbox.proposals
    assert bench.driver.progress() is None


def test_a_proposal_that_failed_is_made_again() -> None:
    bench = Bench("n1", joining())
    bench.report("n4", 9, 0)
    _document, on_result = bench.outbox.proposals.pop()
    failed = ProposalResult(ProposalOutcome.FAILED, None, Code.NO_QUORUM, "nobody answered")
    on_result(failed, moment(3.0))
    assert "nobody answered" in bench.outbox.events[-1].text
    bench.driver.tick(moment(3.5))
    assert bench.proposed().change is None


def test_a_dead_target_cancels_the_change() -> None:
    bench = Bench("n1", joining())
    bench.outbox.failed = ["n4"]
    bench.driver.tick(moment(1.0))
    following = bench.proposed()
    assert following.change is None
    assert following.member(NodeId("n4")) is None
    assert "n4 has failed" in following.reason


def test_the_first_live_voter_takes_over_from_a_dead_coordinator() -> None:
    bench = Bench("n3", joining())
    bench.outbox.failed = ["n1"]
    bench.driver.tick(moment(1.0))
    assert not bench.outbox.proposals, "n2 is alive and comes first"
    bench.outbox.suspects = ["n2"]
    bench.driver.tick(moment(1.5))
    change = bench.proposed().change
    assert change is not None
    assert change.coordinator == "n3"


def test_reports_of_an_earlier_document_are_forgotten() -> None:
    joint = joining()
    bench = Bench("n1", joint)
    bench.report("n4", 9, 1)
    bench.adopt(replace(joint, epoch=Epoch(joint.epoch + 1), flushes=1), 1.0)
    bench.driver.tick(moment(1.5))
    assert not bench.outbox.proposals


def test_a_member_that_stays_failed_is_removed_after_the_grace() -> None:
    bench = Bench("n1", stable(4))
    bench.outbox.failed = ["n3"]
    bench.driver.tick(moment(1.0))
    bench.driver.tick(moment(1.0 + GRACE_S - 0.1))
    assert not bench.outbox.proposals
    bench.driver.tick(moment(1.0 + GRACE_S))
    change = bench.proposed().change
    assert change is not None
    assert (change.kind, change.node_id, change.coordinator) == ("remove", "n3", "n1")


def test_a_member_that_came_back_has_its_grace_anew() -> None:
    bench = Bench("n1", stable(4))
    bench.outbox.failed = ["n3"]
    bench.driver.tick(moment(1.0))
    bench.outbox.failed = []
    bench.driver.tick(moment(10.0))
    bench.outbox.failed = ["n3"]
    bench.driver.tick(moment(11.0))
    bench.driver.tick(moment(11.0 + GRACE_S - 0.1))
    assert not bench.outbox.proposals


def test_a_member_stays_when_too_few_would_remain_and_the_reason_is_said_once() -> None:
    bench = Bench("n1", stable(3))
    bench.outbox.failed = ["n3"]
    for tenth in range(300):
        bench.driver.tick(moment(tenth / 10))
    assert not bench.outbox.proposals
    said = [event for event in bench.outbox.events if event.kind == "change.removal-waits"]
    assert len(said) == 1
    assert "2 members would remain" in said[0].text


def test_only_the_first_live_voter_removes() -> None:
    bench = Bench("n2", stable(4))
    bench.outbox.failed = ["n3"]
    bench.driver.tick(moment(1.0))
    bench.driver.tick(moment(60.0))
    assert not bench.outbox.proposals


def test_progress_says_what_it_waits_for() -> None:
    bench = Bench("n1", joining())
    progress = bench.driver.progress()
    assert progress is not None
    assert (progress.kind, progress.node_id, progress.state) == ("join", "n4", "joint")
    assert progress.reason == "n4 has not reported yet"
    bench.report("n4", 100, 40, "n2")
    progress = bench.driver.progress()
    assert progress is not None
    assert (progress.state, progress.keys_moved, progress.bytes_moved) == ("streaming", 10, 100)
    assert progress.slots_done == progress.slots_total - 40
    assert progress.reason == "n4 waits for n2"


def test_a_removal_asks_several_members_to_copy() -> None:
    joint = propose_remove(stable(4), NodeId("n4"), NodeId("n1"))
    bench = Bench("n1", joint)
    for name in ("n1", "n2", "n3"):
        assert bench.driver.copies_of(NodeId(name))
        assert not bench.outbox.proposals
        bench.report(name, 9, 0)
    assert bench.proposed().member(NodeId("n4")) is None


def test_a_paused_change_neither_ends_nor_hides_a_dead_target() -> None:
    bench = Bench("n1", propose_pause(joining(), paused=True))
    bench.report("n4", 9, 0)
    bench.driver.tick(moment(1.0))
    assert not bench.outbox.proposals
    progress = bench.driver.progress()
    assert progress is not None
    assert (progress.state, progress.reason_code, progress.paused) == ("paused", "paused", True)
    bench.outbox.failed = ["n4"]
    progress = bench.driver.progress()
    assert progress is not None
    assert progress.reason_code == "target-dead"
    bench.driver.tick(moment(2.0))
    assert bench.proposed().change is None


def test_what_holds_a_change_up_has_a_word() -> None:
    bench = Bench("n1", joining())

    def code() -> str:
        progress = bench.driver.progress()
        assert progress is not None
        return progress.reason_code

    assert code() == "report-missing"
    bench.report("n4", 9, 5, waits_for="n2")
    assert code() == "source-unreachable"
    bench.report("n4", 9, 5)
    assert code() == ""
    bench.outbox.suspects = ["n2", "n3"]
    assert code() == "majority-unreachable"


def test_where_approval_is_needed_a_removal_is_proposed_and_withdrawn() -> None:
    document = propose_change_policy(stable(4), approval="manual")
    bench = Bench("n1", document)
    bench.outbox.failed = ["n3"]
    bench.driver.tick(moment(1.0))
    bench.driver.tick(moment(1.0 + GRACE_S))
    waiting = bench.proposed()
    assert not waiting.joint
    assert waiting.proposal is not None
    assert (waiting.proposal.kind, waiting.proposal.node_id) == ("remove", "n3")
    assert bench.driver.removals == 0
    _document, on_result = bench.outbox.proposals.pop()
    on_result(ProposalResult(ProposalOutcome.CHOSEN, waiting), moment(17.0))
    bench.adopt(waiting, 17.0)
    bench.driver.tick(moment(18.0))
    assert not bench.outbox.proposals, "it is proposed once"
    progress = bench.driver.progress()
    assert progress is not None
    assert (progress.state, progress.reason_code) == ("waiting", "approval-needed")
    bench.outbox.failed = []
    bench.driver.tick(moment(19.0))
    assert bench.proposed().proposal is None
    assert "n3 is alive" in bench.proposed().reason
