from __future__ import annotations

from dataclasses import replace

from nodecore.change_history import ASK_INTERVAL_S, LINES_KEPT, ChangeHistory
from nodecore.ids import Epoch, NodeId, Now
from nodecore.placement.proposals import (
    bootstrap,
    propose_flush,
    propose_join,
    propose_recovery,
    propose_stable,
)
from nodecore.placement.topology import Topology
from tests.nodecore.placement.members import cluster, member
from transport.messages import ChangeStep, Lane, Message

OWN = NodeId("n1")


def moment(mono_s: float) -> Now:
    return Now(mono_s, 1_700_000_000_000 + int(mono_s * 1000))


class Bench:
    def __init__(self, records: dict[str, object] | None = None) -> None:
        self.sent: list[tuple[NodeId, ChangeStep]] = []
        self.records: dict[str, object] = {}
        self.history = ChangeHistory(self._send, self._persist, records or {})
        self.document: Topology | None = None

    def _send(self, peer: NodeId, _lane: Lane, _stream: int, message: Message) -> None:
        assert isinstance(message, ChangeStep)
        self.sent.append((peer, message))

    def _persist(self, name: str, plain: object) -> None:
        self.records[name] = plain

    def adopt(self, document: Topology, at_s: float = 0.0) -> None:
        self.history.note(document, self.document, OWN, moment(at_s))
        self.document = document

    def epochs(self) -> list[int]:
        return [line.epoch for line in self.history.lines()]


def chain() -> list[Topology]:
    first = bootstrap("c", cluster(3))
    joint = replace(propose_join(first, member("n9"), OWN), proposer=OWN, proposed_ms=77)
    return [first, joint, propose_stable(joint)]


def test_each_document_leaves_a_line() -> None:
    bench = Bench()
    for document in chain():
        bench.adopt(document)
    first, joint, stable = bench.history.lines()
    assert (first.state, first.added, first.members) == ("stable", ("n1", "n2", "n3"), 3)
    assert (joint.state, joint.kind, joint.node_id) == ("joint", "join", "n9")
    assert (joint.proposer, joint.proposed_ms, joint.coordinator) == ("n1", 77, "n1")
    assert (stable.added, stable.removed, stable.members) == (("n9",), (), 4)


def test_it_survives_a_restart_and_damage() -> None:
    bench = Bench()
    for document in chain():
        bench.adopt(document)
    again = Bench(bench.records)
    assert again.history.lines() == bench.history.lines()
    plain = bench.records["history"]
    assert isinstance(plain, list)
    damaged = Bench({"history": [*plain, 5, {"epoch": "x"}, {**plain[0], "reason": "r" * 999}]})
    assert damaged.epochs() == [1, 2, 3]
    assert Bench({"history": "nonsense"}).epochs() == []


def test_it_is_bounded() -> None:
    bench = Bench()
    document = bootstrap("c", cluster(3))
    for _ in range(LINES_KEPT + 20):
        bench.adopt(document)
        document = propose_flush(document, 1)
    assert len(bench.history.lines()) == LINES_KEPT
    assert bench.epochs()[0] == 21
    bench.history.tick(lambda _peer: True, moment(100.0))
    assert not bench.sent, "what it has forgotten is not asked for"


def test_a_newcomer_learns_the_past_from_one_member_after_the_other() -> None:
    knows, new = Bench(), Bench()
    for document in chain():
        knows.adopt(document)
    new.adopt(chain()[2])
    assert new.history.lines()[0].added == (), "what was before is not known"
    new.history.tick(lambda peer: peer != "n2", moment(10.0))
    (peer, question), *_others = new.sent
    assert (peer, question.step) == ("n3", "history")
    new.history.tick(lambda _peer: True, moment(10.1))
    assert len(new.sent) == 1
    assert knows.history.on_step(OWN, question.step, question.fields)
    (_peer, answer) = knows.sent[0]
    assert new.history.on_step(peer, answer.step, answer.fields)
    assert new.epochs() == [1, 2, 3]
    new.history.tick(lambda _peer: True, moment(10.0 + 2 * ASK_INTERVAL_S))
    assert len(new.sent) == 1, "nothing is lacking any more"


def test_peers_can_not_write_the_future_or_nonsense() -> None:
    bench = Bench()
    for document in chain():
        bench.adopt(document)
    lines = bench.records["history"]
    assert isinstance(lines, list)
    future = {**lines[0], "epoch": 99}
    assert bench.history.on_step(OWN, "past", {"lines": [future, 7, {}]})
    assert bench.history.on_step(OWN, "past", 5)
    assert bench.epochs() == [1, 2, 3]
    assert not bench.history.on_step(OWN, "filled", {})


def test_a_recovered_cluster_goes_on_with_its_history() -> None:
    bench = Bench()
    for document in chain():
        bench.adopt(document)
    assert bench.document is not None
    recovered = propose_recovery(bench.document, [OWN])
    bench.adopt(recovered)
    assert bench.epochs()[-1] == recovered.epoch > Epoch(1_000_000)
    assert bench.history.lines()[-1].generation == 1
