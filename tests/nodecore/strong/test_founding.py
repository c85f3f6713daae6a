"""Founders vote once all of them are known to be new; one that was here before is found out."""

from __future__ import annotations

from random import Random

from nodecore.config import Addresses
from nodecore.ids import NodeId
from nodecore.placement.proposals import bootstrap
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


class Founders:
    """Some nodes; messages to those that are not there are lost."""

    def __init__(self) -> None:
        self.nodes: dict[str, Founding] = {}
        self.decided: dict[str, bool] = {}

    def start(self, name: str) -> None:
        self.decided.pop(name, None)

        def send(peer: NodeId, lane: Lane, _stream: int, message: Message) -> None:
            assert lane is Lane.CONTROL
            assert isinstance(message, ChangeStep)
            assert isinstance(message.fields, dict)
            if peer in self.nodes:
                self.nodes[peer].on_step(NodeId(name), message.fields, NOW)

        def decide(is_new: bool, _now: object) -> None:
            self.decided[name] = is_new

        founder = self.nodes[name] = Founding(NodeId(name), send, decide)
        founder.begin(DOCUMENT, NOW)

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
    alone = Founding(NodeId("n1"), lambda *_: None, lambda is_new, _now: decided.append(is_new))
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

        return Founding(NodeId(name), send, decide)

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
