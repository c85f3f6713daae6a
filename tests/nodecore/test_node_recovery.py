"""The verb ``change.recover``: what a node judges before it takes a new generation up."""

from __future__ import annotations

from nodecore.errors import Code
from nodecore.ids import NodeId
from nodecore.placement.recovery import RECOVERY_EPOCHS, propose_recovery
from nodecore.placement.topology import Topology
from nodecore.requests import Done, Failed, Outcome, Read, Write
from tests.nodecore.node_pump import Pump
from transport.messages import Admin, ErrorReply, Lane

N1 = NodeId("n1")


STRONG = tuple(b"strong:%d" % number for number in range(8))


def lonely_pump() -> Pump:
    """Three nodes of which one is left and knows it."""
    pump = Pump(3)
    pump.run(2.0)
    for key in (b"k", *STRONG):
        assert isinstance(pump.submit("n1", Write((key,), (b"1",))), Done)
    pump.kill("n2")
    pump.kill("n3")
    pump.run(8.0)
    return pump


def recovered(pump: Pump, *survivors: str) -> Topology:
    return propose_recovery(pump.nodes["n1"].topology, [NodeId(name) for name in survivors])


def recover(pump: Pump, document: object, *, accept_loss: object = True) -> Outcome:
    return pump.admin("n1", "change.recover", document=document, accept_loss=accept_loss)


def test_a_survivor_goes_on_and_keeps_what_it_held() -> None:
    pump = lonely_pump()
    document = recovered(pump, "n1")
    done = Done({"epoch": 1 + RECOVERY_EPOCHS, "generation": 1})
    assert recover(pump, document.to_plain()) == done
    assert recover(pump, document.to_plain()) == done
    pump.run(2.0)
    node = pump.nodes["n1"]
    # What its strong keys had promised to the lost is void: it votes on them in an epoch of its own.
    assert (node.topology.generation, node.topology.reason) == (1, "n1 is complete again")
    assert [member.node_id for member in node.topology.members] == ["n1"]
    assert node.topology.members[0].voter
    assert node.topology_changes.filling.left == 0
    found = pump.submit("n1", Read((b"k",)))
    assert isinstance(found, Done)
    assert b"1" in str(found.result).encode()
    assert [event.kind for _, event in pump.events].count("cluster.recovered") == 1
    for key in STRONG:
        kept = pump.submit("n1", Read((key,)))
        assert isinstance(kept, Done)
        assert b"1" in str(kept.result).encode(), (
            "what a survivor holds is not lost with the others"
        )
    for key in (b"k", STRONG[0]):
        written = pump.submit("n1", Write((key,), (b"2",)))
        assert isinstance(written, Done)


def test_all_may_live_when_most_have_lost_their_state() -> None:
    """Two of three come back without a memory: their strong keys stay closed until somebody accepts it."""
    pump = Pump(3)
    pump.run(2.0)
    for key in STRONG:
        assert isinstance(pump.submit("n1", Write((key,), (b"1",))), Done)
    for name in ("n2", "n3"):
        pump.kill(name)
        pump.boot(name)
    pump.run(8.0)
    assert not isinstance(pump.submit("n1", Read(STRONG[:1])), Done)
    assert pump.nodes["n2"].strong.learning.lost > 0
    document = recovered(pump, "n1", "n2", "n3").to_plain()
    arguments = {"document": document, "accept_loss": True}
    assert isinstance(pump.admin("n2", "change.recover", **arguments), Done)
    pump.run(8.0)
    for name in ("n1", "n3"):
        found = pump.submit(name, Read(STRONG))
        assert isinstance(found, Done)
        assert str(found.result).count("Value(value=b'1'") == len(STRONG), "n1 had kept them"


def test_it_is_refused_while_others_live_and_for_anything_wrong() -> None:
    whole = Pump(3)
    early = recover(whole, recovered(whole, "n1").to_plain())
    assert isinstance(early, Failed)
    assert early.code is Code.NOT_READY
    assert "a majority of the voters is reachable" in early.text
    pump = lonely_pump()
    before = pump.nodes["n1"].topology
    right = recovered(pump, "n1").to_plain()
    for document, accept_loss, code in (
        (right, False, Code.BAD_REQUEST),
        (right, 1, Code.BAD_REQUEST),
        (None, True, Code.BAD_REQUEST),
        ({"epoch": "x"}, True, Code.BAD_REQUEST),
        (recovered(pump, "n2").to_plain(), True, Code.REFUSED),
        ({**right, "generation": 0}, True, Code.REFUSED),
        ({**right, "cluster_id": "another"}, True, Code.REFUSED),
    ):
        outcome = recover(pump, document, accept_loss=accept_loss)
        assert isinstance(outcome, Failed)
        assert outcome.code is code, outcome
    assert pump.nodes["n1"].topology == before


def test_peers_can_not_pass_it_on() -> None:
    pump = lonely_pump()
    before = pump.nodes["n1"].topology
    arguments = {"document": recovered(pump, "n1").to_plain(), "accept_loss": True}
    node = pump.nodes["n1"]
    node.on_message(NodeId("n2"), 7, Lane.CONTROL, Admin("change.recover", arguments), pump.now)
    replies = [getattr(effect, "message", None) for effect in node.take_effects()]
    refusals = [reply for reply in replies if isinstance(reply, ErrorReply)]
    assert [reply.code for reply in refusals] == [Code.REFUSED]
    assert node.topology == before
