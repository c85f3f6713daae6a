"""The verbs that steer changes, on whole nodes."""

from __future__ import annotations

from typing import Any

from nodecore.errors import Code
from nodecore.requests import Done, Failed, Outcome, Write
from tests.nodecore.node_pump import Pump


def ask(pump: Pump, node: str, verb: str, **arguments: object) -> Outcome:
    """As ``pump.admin``, but no longer than until the answer."""
    outcomes: list[Outcome] = []
    outcome = pump.nodes[node].admin(
        verb, arguments, lambda found, _now: outcomes.append(found), pump.now
    )
    pump.drain(node)
    if outcome is not None:
        return outcome
    for _ in range(240):
        if outcomes:
            return outcomes[0]
        pump.run(0.05)
    raise AssertionError(f"{verb} was not answered")


def done(pump: Pump, node: str, verb: str, **arguments: object) -> dict[str, Any]:
    outcome = ask(pump, node, verb, **arguments)
    assert isinstance(outcome, Done), outcome
    assert isinstance(outcome.result, dict)
    return outcome.result


def refused(pump: Pump, node: str, verb: str, **arguments: object) -> str:
    outcome = ask(pump, node, verb, **arguments)
    assert isinstance(outcome, Failed), outcome
    return outcome.reason


def test_a_preview_counts_what_every_owner_holds() -> None:
    pump = Pump(4)
    pump.submit("n1", Write(tuple(b"p%d" % i for i in range(600)), (b"v" * 50,) * 600))
    for node in ("n1", "n3"):
        joins = done(pump, node, "change.preview", kind="join", count=2)
        assert joins["silent"] == []
        assert 0 < joins["keys_moved"] < 3 * 600
        takes = [share for share in joins["nodes"] if share["node_id"] in ("n5", "n6")]
        assert sum(share["keys_in"] for share in takes) == joins["keys_moved"]
        assert joins["bytes_moved"] > 50 * joins["keys_moved"]
        assert joins["seconds"] > 1.0
    leaves = done(pump, "n2", "change.preview", kind="leave", node_id="n2")
    assert [s["first_share_after"] for s in leaves["nodes"] if s["node_id"] == "n2"] == [0.0]
    pump.kill("n4")
    pump.run(8.0)
    silent = done(pump, "n1", "change.preview", kind="remove", node_id="n4")
    assert silent["silent"] == ["n4"]
    assert silent["keys_moved"] > 0


def test_bad_arguments_are_named() -> None:
    pump = Pump(1)
    cases: list[tuple[str, dict[str, object]]] = [
        ("change.preview", {"kind": "sideways"}),
        ("change.preview", {"kind": "leave"}),
        ("change.rebalance", {"weights": {"n1": "much"}}),
        ("change.rebalance", {"weights": {"n1": 0}}),
        ("change.rebalance", {"zones": 5}),
        ("change.rebalance", {"placement": "odd"}),
        ("change.policy", {}),
        ("change.policy", {"approval": "maybe"}),
        ("change.policy", {"bytes_per_s": -1}),
        ("change.policy", {"bytes_per_s": 5}),
        ("cluster.history", {"count": 0}),
    ]
    for verb, arguments in cases:
        outcome = pump.admin("n1", verb, **arguments)
        assert isinstance(outcome, Failed), (verb, arguments)
        assert outcome.code is Code.BAD_REQUEST
        assert outcome.text


def test_refusals_have_reasons() -> None:
    pump = Pump(3)
    assert refused(pump, "n1", "change.cancel") == "no-change"
    assert refused(pump, "n2", "change.pause") == "no-change"
    assert refused(pump, "n3", "change.approve") == "no-proposal"
    assert refused(pump, "n1", "change.preview", kind="proposal") == "no-proposal"
    assert refused(pump, "n1", "change.leave", node_id="n9") == "not-a-member"
    assert refused(pump, "n1", "change.remove", node_id="n2") == "member-alive"
    assert refused(pump, "n1", "change.rebalance") == "nothing-to-change"
    pump.kill("n2")
    pump.kill("n3")
    pump.run(8.0)
    assert refused(pump, "n1", "change.rebalance", vnodes=7) == "majority-unreachable"


def test_status_and_history_tell_of_a_rebalance_from_any_node() -> None:
    pump = Pump(3)
    pump.submit("n1", Write(tuple(b"p%d" % i for i in range(50)), (b"v",) * 50))
    done(pump, "n2", "change.policy", approval="manual")
    waiting = done(pump, "n2", "change.rebalance", weights={"n3": 2.0}, zones={"n1": "a"})
    assert waiting["waits_for_approval"]
    status = done(pump, "n3", "change.status")
    assert (status["state"], status["reason_code"]) == ("proposal", "approval-needed")
    assert status["approval"] == "manual"
    assert refused(pump, "n1", "change.leave", node_id="n1") == "another-change"
    done(pump, "n1", "change.approve")
    pump.run(5.0)
    assert done(pump, "n3", "change.status")["state"] == "stable"
    member = pump.nodes["n1"].topology.members[2]
    assert (member.node_id, member.weight) == ("n3", 2.0)
    lines = done(pump, "n2", "cluster.history")["history"]
    assert [line["state"] for line in lines] == ["stable", "stable", "proposal", "joint", "stable"]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    assert lines[3]["coordinator"] == "n1"
    assert len(done(pump, "n2", "cluster.history", count=2)["history"]) == 2
