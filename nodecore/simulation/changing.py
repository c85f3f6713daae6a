"""Scenarios of changes that an operator steers, and of what goes wrong in the middle of them.

As ``scenarios``: each harms a cluster under load, waits for what must follow, and returns its run for
judgement. Changes are slowed down by their limit, so that the harm falls into the joint epoch; the
verbs are asked of any member, never of the coordinator in particular.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from nodecore.ids import NodeId
from nodecore.placement.change_reasons import ChangeReason
from nodecore.placement.topology import Change
from nodecore.requests import Done, Failed, Outcome
from nodecore.simulation.checkers import LAG_AFTER_CRASH_S
from nodecore.simulation.run import Expectations, Run
from nodecore.simulation.workload import WorkloadOptions

Trace: TypeAlias = "Callable[[str], None] | None"

_SLOW_BYTES_PER_S: Final = 1024
"""Of each node: the entries of a simulated cluster then take several seconds."""
_LOAD: Final = WorkloadOptions(keys=400, interval_s=0.03)
_JOIN_S: Final = 60.0
_REMOVAL_S: Final = 60.0
_AFTER_CRASH: Final = Expectations(success=0.9, lag_s=LAG_AFTER_CRASH_S)


def _ask(
    run: Run, verb: str, arguments: Mapping[str, object] | None = None, via: str = ""
) -> Outcome:
    """Run a verb at some member and wait for its answer."""
    names = [str(process.node_id) for process in run.cluster.running_members]
    asked = via or run.rng.choice(names)
    outcomes = run.cluster.admin(asked, verb, arguments or {})
    run.cluster.wait(lambda: bool(outcomes), 12.0, f"{asked} answers {verb}")
    return outcomes[0]


def _done(
    run: Run, verb: str, arguments: Mapping[str, object] | None = None, via: str = ""
) -> dict[str, Any]:
    outcome = _ask(run, verb, arguments, via)
    assert isinstance(outcome, Done), (verb, outcome)
    assert isinstance(outcome.result, dict)
    return outcome.result


def _refused(run: Run, verb: str, reason: ChangeReason, via: str = "") -> None:
    outcome = _ask(run, verb, {}, via)
    assert isinstance(outcome, Failed), (verb, outcome)
    assert outcome.reason == reason, (verb, outcome)


def _change(run: Run) -> Change | None:
    return run.cluster.topology().change


def _entries(run: Run) -> int:
    """Received for the change so far, by everybody."""
    return sum(p.node.topology_changes.filling.entries for p in run.cluster.running)


def _begin_slowly(run: Run, begin: Callable[[], object]) -> Change:
    """Begin a change under a low limit; returns it once the first entries have moved."""
    _done(run, "change.policy", {"bytes_per_s": _SLOW_BYTES_PER_S})
    begin()
    run.cluster.wait(lambda: _change(run) is not None, 12.0, "the change has begun")
    run.cluster.wait(lambda: _entries(run) > 0, 12.0, "entries have moved")
    change = _change(run)
    assert change is not None, "the change has ended before it could be disturbed"
    run.reached("joint")
    return change


def _finish(run: Run, members: list[str]) -> None:
    """Lift the limit and wait for the end."""
    _done(run, "change.policy", {"bytes_per_s": 0})
    _wait_members(run, members)


def _wait_members(run: Run, members: list[str]) -> None:
    run.cluster.wait(
        lambda: sorted(run.cluster.members()) == sorted(members) and run.cluster.is_stable(),
        _JOIN_S,
        f"the members are {', '.join(members)}, and hold their copies",
    )


def _no_strangers(run: Run) -> None:
    """Nobody keeps entries of slots that are not its own: staged copies are wiped."""

    def wiped() -> bool:
        for process in run.cluster.running_members:
            changes = process.node.topology_changes
            table = process.node.table
            if any(table.slot_count(slot) and not changes.holds(slot) for slot in range(16384)):
                return False
        return True

    run.cluster.wait(wiped, 10.0, "staged copies are wiped")
    run.reached("wiped")


def cancelled_by_operator(seed: int, trace: Trace = None) -> Run:
    """A rebalance and a join are cancelled half-way: the old owners stay, staged copies go."""
    run = Run(seed, 4, load=_LOAD, trace=trace)
    run.begin()
    _refused(run, "change.cancel", ChangeReason.NO_CHANGE)
    _begin_slowly(run, lambda: _done(run, "change.rebalance", {"weights": {"n2": 3.0}}))
    _done(run, "change.cancel")
    _wait_members(run, ["n1", "n2", "n3", "n4"])
    assert all(m.weight == 1.0 for m in run.cluster.topology().members)
    _no_strangers(run)
    _begin_slowly_again(run)
    _done(run, "change.cancel")
    run.reached("cancelled")
    run.cluster.wait(lambda: not run.cluster.process("n5").running, 10.0, "n5 has ended itself")
    _wait_members(run, ["n1", "n2", "n3", "n4"])
    _no_strangers(run)
    return run


def _begin_slowly_again(run: Run) -> None:
    """A join under the limit that stands."""
    run.cluster.add()
    run.cluster.wait(lambda: _change(run) is not None, 12.0, "the join has begun")
    run.cluster.run(run.rng.uniform(0.0, 2.0))


def paused_and_resumed(seed: int, trace: Trace = None) -> Run:
    """A join stands still while it is paused, then goes on from where it was."""
    run = Run(seed, 3, load=_LOAD, trace=trace)
    run.begin()
    _begin_slowly(run, run.cluster.add)
    _refused(run, "change.resume", ChangeReason.NOT_PAUSED)
    _done(run, "change.pause")
    _refused(run, "change.pause", ChangeReason.PAUSED)
    run.cluster.run(1.0)
    before = _entries(run)
    run.cluster.run(run.rng.uniform(6.0, 12.0))
    assert _entries(run) == before, "a paused change has moved entries"
    status = _done(run, "change.status")
    assert (status["state"], status["reason_code"]) == ("paused", "paused"), status
    run.reached("paused")
    _done(run, "change.resume")
    _finish(run, ["n1", "n2", "n3", "n4"])
    return run


def paused_over_a_takeover(seed: int, trace: Trace = None) -> Run:
    """The coordinator of a paused change dies: another takes over, and the change stays paused."""
    run = Run(seed, 5, load=_LOAD, trace=trace)
    run.begin()
    change = _begin_slowly(run, run.cluster.add)
    _done(run, "change.pause")
    run.cluster.crash(str(change.coordinator))

    def taken_over() -> bool:
        now = _change(run)
        return now is not None and now.coordinator != change.coordinator

    run.cluster.wait(taken_over, 20.0, "another coordinator")
    now = _change(run)
    assert now is not None
    assert now.paused, "the take-over has resumed the change"
    run.reached("takeover")
    run.cluster.run(run.rng.uniform(0.0, 3.0))
    _done(run, "change.resume")
    run.cluster.restart(str(change.coordinator))
    _finish(run, ["n1", "n2", "n3", "n4", "n5", "n6"])
    run.expect = _AFTER_CRASH
    return run


def paused_target_dies(seed: int, trace: Trace = None) -> Run:
    """The newcomer dies while the change is paused: it is cancelled all the same."""
    run = Run(seed, 3, load=_LOAD, trace=trace)
    run.begin()
    _begin_slowly(run, run.cluster.add)
    _done(run, "change.pause")
    run.cluster.crash("n4")
    _wait_members(run, ["n1", "n2", "n3"])
    run.reached("cancelled")
    assert "n4 has failed" in run.cluster.topology().reason
    return run


def limited(seed: int, trace: Trace = None) -> Run:
    """A limit holds to what it says, and is lifted while the change goes on."""
    run = Run(seed, 3, load=_LOAD, trace=trace)
    run.begin()
    _begin_slowly(run, run.cluster.add)
    # What pages were begun with, and a second for reports, are beyond the rate.
    slack = 3 * 4096
    begun, sent = run.world.now_s, _bytes_sent(run)
    run.cluster.run(4.0)
    rate = (_bytes_sent(run) - sent - slack) / (run.world.now_s - begun)
    assert rate <= 3 * _SLOW_BYTES_PER_S, f"{rate:.0f} bytes/s by three nodes"
    assert _change(run) is not None, "it was over before it could be measured"
    run.reached("limited")
    _finish(run, ["n1", "n2", "n3", "n4"])
    return run


def _bytes_sent(run: Run) -> int:
    return sum(p.node.topology_changes.streams.bytes_sent for p in run.cluster.running)


def partition_in_joint_epoch(seed: int, trace: Trace = None) -> Run:
    """A minority is cut off in a joint epoch: it can steer nothing, the majority cancels or ends it."""
    run = Run(seed, 5, load=_LOAD, trace=trace)
    run.begin()
    _begin_slowly(run, run.cluster.add)
    minority = run.rng.sample(["n1", "n2", "n3", "n4", "n5"], 2)
    others = [name for name in run.cluster.names() if name not in minority]
    # Abruptly: a delete that waits in a link until it heals would rightly outrank later writes.
    run.cluster.cut(minority, others, abrupt=True)
    run.cluster.run(8.0)
    _refused(run, "change.cancel", ChangeReason.MAJORITY_UNREACHABLE, minority[0])
    _refused(run, "change.pause", ChangeReason.MAJORITY_UNREACHABLE, minority[1])
    run.reached("refused")
    verb = run.rng.choice(["change.cancel", "change.pause", "change.policy"])
    arguments = {"bytes_per_s": 0} if verb == "change.policy" else {}
    majority = [n for n in others if n in run.cluster.members()]
    outcome = _ask(run, verb, arguments, run.rng.choice(majority))
    if isinstance(outcome, Failed):
        # With few sources left the copies may have been made already.
        assert outcome.reason == ChangeReason.NO_CHANGE, (verb, outcome)
        run.reached("ended-before")
        verb = ""
    run.cluster.run(run.rng.uniform(0.0, 4.0))
    run.cluster.heal()
    run.cluster.run(3.0)
    if verb == "change.pause":
        _done(run, "change.resume")
        _done(run, "change.policy", {"bytes_per_s": 0})
    old = ["n1", "n2", "n3", "n4", "n5"]
    _wait_members(run, old if verb == "change.cancel" else [*old, "n6"])
    run.expect = Expectations(success=0.5, reads_since_s=run.world.now_s)
    return run


def approval(seed: int, trace: Trace = None) -> Run:
    """Where changes need approval a join waits, outlives its proposer, and begins when approved."""
    run = Run(seed, 5, load=_LOAD, trace=trace)
    run.begin()
    _done(run, "change.policy", {"approval": "manual"})
    run.cluster.add()
    run.cluster.wait(lambda: run.cluster.topology().proposal is not None, 12.0, "a proposal")
    proposer = str(run.cluster.topology().proposer)
    run.cluster.crash(proposer)
    run.cluster.run(run.rng.uniform(3.0, 8.0))
    assert run.cluster.topology().proposal is not None
    status = _done(run, "change.status")
    assert status["reason_code"] == "approval-needed", status
    preview = _done(run, "change.preview", {"kind": "proposal"})
    assert preview["copies_moved"] > 0, preview
    run.reached("waits")
    _done(run, "change.approve")
    run.cluster.restart(proposer)
    _wait_members(run, ["n1", "n2", "n3", "n4", "n5", "n6"])
    _refused(run, "change.approve", ChangeReason.NO_PROPOSAL)
    run.expect = _AFTER_CRASH
    return run


def rejected_join(seed: int, trace: Trace = None) -> Run:
    """A join that is turned down ends the process that asked, and is not proposed again."""
    run = Run(seed, 3, load=_LOAD, trace=trace)
    run.begin()
    _done(run, "change.policy", {"approval": "manual"})
    run.cluster.add()
    run.cluster.wait(lambda: run.cluster.topology().proposal is not None, 12.0, "a proposal")
    _done(run, "change.reject")
    run.cluster.wait(lambda: not run.cluster.process("n4").running, 10.0, "n4 has ended itself")
    run.cluster.run(3.0)
    topology = run.cluster.topology()
    assert topology.proposal is None
    assert topology.change is None
    run.reached("rejected")
    return run


def removal_needs_approval(seed: int, trace: Trace = None) -> Run:
    """A failed member is proposed for removal; it returns, or its removal is approved."""
    run = Run(seed, 4, load=_LOAD, trace=trace)
    run.begin()
    _done(run, "change.policy", {"approval": "manual"})
    run.cluster.crash("n2")
    run.cluster.wait(
        lambda: run.cluster.topology().proposal is not None, _REMOVAL_S, "the removal is proposed"
    )
    run.cluster.run(run.rng.uniform(0.0, 5.0))
    assert "n2" in run.cluster.members()
    if run.rng.random() < 0.5:
        run.cluster.restart("n2")
        run.cluster.wait(lambda: run.cluster.topology().proposal is None, 20.0, "withdrawn")
        run.reached("withdrawn")
        _wait_members(run, ["n1", "n2", "n3", "n4"])
    else:
        _done(run, "change.approve")
        _wait_members(run, ["n1", "n3", "n4"])
        run.reached("approved")
    run.reached("proposed")
    run.expect = _AFTER_CRASH
    return run


def replaced(seed: int, trace: Trace = None) -> Run:
    """A new node takes the place of another, which lives, has died, or dies while it is replaced."""
    run = Run(seed, 4, load=_LOAD, trace=trace)
    run.begin()
    fate = run.rng.choice(["lives", "dead", "dies"])
    if fate == "dead":
        run.cluster.crash("n2")
        run.cluster.run(run.rng.uniform(0.5, 8.0))
    if fate == "lives":
        run.cluster.add(replaces="n2")
    else:
        _begin_slowly(run, lambda: run.cluster.add(replaces="n2"))
    if fate == "dies":
        run.cluster.crash("n2")
    run.reached(fate)
    if fate != "lives":
        _done(run, "change.policy", {"bytes_per_s": 0})
    _wait_members(run, ["n1", "n3", "n4", "n5"])
    run.reached("replaced")
    if fate == "lives":
        run.cluster.wait(lambda: not run.cluster.process("n2").running, 10.0, "n2 has gone")
    else:
        run.cluster.restart("n2")
        run.cluster.wait(lambda: not run.cluster.process("n2").running, 60.0, "n2 goes for good")
    assert run.cluster.topology().member(NodeId("n2")) is None
    run.expect = _AFTER_CRASH
    return run


def rebalanced(seed: int, trace: Trace = None) -> Run:
    """Weights, zones and the placement change, while a source dies or a member loses its disk."""
    run = Run(seed, 5, load=_LOAD, trace=trace)
    run.begin()
    wishes: list[dict[str, object]] = [
        {"weights": {"n3": 2.0}, "zones": {"n1": "a", "n2": "b"}},
        {"placement": "even"},
        {"vnodes": 48, "weights": {"n1": 0.5}},
    ]
    wish = run.rng.choice(wishes)
    _begin_slowly(run, lambda: _done(run, "change.rebalance", wish))
    victim = run.rng.choice(["n2", "n4"])
    wiped = run.rng.random() < 0.5
    run.cluster.crash(victim)
    run.cluster.run(run.rng.uniform(0.0, 2.0))
    run.cluster.restart(victim, wiped=wiped)
    run.reached("wiped-member" if wiped else "restarted-member")
    _done_in_time(run, "change.policy", {"bytes_per_s": 0})
    _wait_members(run, ["n1", "n2", "n3", "n4", "n5"])
    run.reached("rebalanced")
    run.expect = _AFTER_CRASH
    return run


def _done_in_time(run: Run, verb: str, arguments: Mapping[str, object]) -> None:
    """A verb that may meet a node that is not ready yet: asked again as an operator would."""
    until_s = run.world.now_s + 30.0
    while True:
        outcome = _ask(run, verb, arguments)
        if isinstance(outcome, Done):
            return
        assert run.world.now_s < until_s, outcome
        run.cluster.run(0.5)


CHANGING: Final = (
    cancelled_by_operator,
    paused_and_resumed,
    paused_over_a_takeover,
    paused_target_dies,
    limited,
    partition_in_joint_epoch,
    approval,
    rejected_join,
    removal_needs_approval,
    replaced,
    rebalanced,
)
