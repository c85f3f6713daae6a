"""Founders vote once all of them are known to be new; one that was here before is found out."""

from __future__ import annotations

from random import Random

from nodecore.config import Addresses
from nodecore.ids import NodeId
from nodecore.placement.proposals import bootstrap, propose_leave, propose_remove
from nodecore.placement.topology import Member
from nodecore.strong.founding import Founding
from tests.nodecore.strong.fakes import NOW
from transport.messages import ChangeStep, Lane, Message

NAMES = ("n1", "n2", "n3")
DOCUMENT = bootstrap(
    "c",
    [
        Member(NodeId(name), Addresses(f"127.0.0.1:{7000 + number}", "", ""))
        for number, name in enumerate(NAMES)
    ],
)


def _ignore() -> None:
    """Nobody comes back."""


class Founders:
    """Some nodes; messages to those that are not there are lost."""

    def __init__(self) -> None:
        self.nodes: dict[str, Founding] = {}
        self.decided: dict[str, bool] = {}
        self.kept: dict[str, list[NodeId] | None] = {}
        """What each would find on its disk."""

    def start(self, name: str, unheard: list[NodeId] | None = None) -> None:
        self.decided.pop(name, None)

        def send(peer: NodeId, lane: Lane, _stream: int, message: Message) -> None:
            assert lane is Lane.CONTROL
            assert isinstance(message, ChangeStep)
            assert isinstance(message.fields, dict)
            if peer in self.nodes:
                self.nodes[peer].on_step(NodeId(name), message.fields, NOW)

        def decide(is_new: bool, _now: object) -> None:
            self.decided[name] = is_new

        def keep() -> None:
            self.kept[name] = founder.unheard

        founder = self.nodes[name] = Founding(NodeId(name), send, decide, keep)
        founder.begin(DOCUMENT, NOW, unheard)

    def ask(self) -> None:
        for founder in self.nodes.values():
            founder.ask()


def test_founders_wait_for_each_other() -> None:
    founders = Founders()
    founders.start("n1")
    founders.start("n2")
    founders.ask()
    assert founders.decided == {}
    founders.start("n3")
    founders.ask()
    assert founders.decided == dict.fromkeys(NAMES, True)


def test_a_founder_that_forgot_is_told_so() -> None:
    founders = Founders()
    for name in NAMES:
        founders.start(name)
    founders.ask()
    founders.start("n2")
    founders.ask()
    assert founders.decided == {"n1": True, "n2": False, "n3": True}


def test_founders_that_die_undecided_go_on_where_they_were() -> None:
    """n1 and n2 do not hear of each other while n3 is decided, which both have heard to be new."""
    founders = Founders()
    founders.start("n1")
    founders.start("n3")
    del founders.nodes["n1"]
    founders.start("n2")
    founders.ask()
    del founders.nodes["n2"]
    founders.start("n1", founders.kept["n1"])
    founders.ask()
    assert founders.decided == {"n3": True}
    del founders.nodes["n1"]
    founders.start("n1", founders.kept["n1"])
    founders.start("n2", founders.kept["n2"])
    founders.ask()
    assert founders.decided == dict.fromkeys(NAMES, True)


def test_what_was_heard_is_kept_before_it_is_answered() -> None:
    kept: list[list[NodeId] | None] = []
    order: list[str] = []

    def keep() -> None:
        kept.append(founder.unheard)
        order.append("keep")

    founder = Founding(
        NodeId("n1"),
        lambda peer, *_: order.append(f"tell {peer}"),
        lambda *_: None,
        keep,
    )
    founder.begin(DOCUMENT, NOW)
    del order[:]
    founder.on_step(NodeId("n2"), {"fresh": True, "asks": True}, NOW)
    assert order == ["keep", "tell n2"]
    assert kept[-1] == ["n3"]


def test_one_that_never_heard_from_all_does_not_vouch_for_a_quorum() -> None:
    """n1 was not part of what n2 and n3 decided: with n3 gone it can't tell n2 that all is new."""
    founders = Founders()
    for name in NAMES:
        founders.start(name)
    founders.ask()
    del founders.nodes["n3"]
    founders.start("n2")
    founders.ask()
    assert founders.decided["n2"] is False


def test_a_founder_alone_has_nobody_to_ask() -> None:
    alone = Founding(
        NodeId("n1"), lambda *_: None, lambda is_new, _now: decided.append(is_new), _ignore
    )
    decided: list[bool] = []
    alone.begin(bootstrap("c", [DOCUMENT.members[0]]), NOW)
    assert decided == [True]
    assert not alone.undecided


class BadNetwork:
    """All founders; messages are lost and overtake each other."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.flying: list[tuple[str, str, dict[str, object]]] = []
        self.decided: dict[str, bool] = {}
        self.nodes = {name: self.founder(name) for name in NAMES}
        for founder in self.nodes.values():
            founder.begin(DOCUMENT, NOW)

    def founder(self, name: str) -> Founding:
        def send(peer: NodeId, _lane: Lane, _stream: int, message: Message) -> None:
            assert isinstance(message, ChangeStep)
            assert isinstance(message.fields, dict)
            self.flying.append((name, str(peer), message.fields))

        def decide(is_new: bool, _now: object) -> None:
            self.decided[name] = is_new

        return Founding(NodeId(name), send, decide, _ignore)

    def step(self) -> None:
        if not self.flying or self.rng.random() < 0.05:
            for founder in self.nodes.values():
                founder.ask()
        if self.flying:
            sender, target, fields = self.flying.pop(self.rng.randrange(len(self.flying)))
            if self.rng.random() > 0.2:
                self.nodes[target].on_step(NodeId(sender), fields, NOW)


def test_nobody_is_taken_for_forgetful_on_a_bad_network() -> None:
    """Who is late to hear is not who has forgotten."""
    for seed in range(200):
        network = BadNetwork(seed)
        for _step in range(400):
            network.step()
        assert network.decided == dict.fromkeys(NAMES, True), seed


def test_who_has_failed_and_is_being_removed_is_not_waited_for() -> None:
    """Else the removal would wait for founders, and founders for the removal."""
    founders = Founders()
    founders.start("n1")
    founders.start("n2")
    founders.ask()
    assert founders.decided == {}
    removal = propose_remove(DOCUMENT, NodeId("n3"), NodeId("n1"))
    leave = propose_leave(DOCUMENT, NodeId("n3"), NodeId("n1"))
    founders.nodes["n1"].on_topology(leave, NOW)
    assert founders.decided == {}, "n3 lives, and may know better"
    founders.nodes["n1"].on_topology(removal, NOW)
    founders.nodes["n2"].on_topology(removal, NOW)
    assert founders.decided == {"n1": True, "n2": True}
