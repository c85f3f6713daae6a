"""The core of a broken cluster: a majority that is whole, and what must work there meanwhile.

Every operation at the core must be answered, and every default one must succeed wherever an owner is
at hand in the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Final, final

from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.history import History, Operation, Result
from nodecore.simulation.process import SimProcess
from nodecore.simulation.swarm_options import SwarmOptions

ANSWER_S: Final = 2.6
"""Within this every operation at the core is answered once it is its turn: the nodes' own time-out and
a little."""
_UNANSWERED: Final = ("", "no reply in time", "connection lost")
_WHOLE: Final = {"breaker": "breaker.closed", "member": "member.alive", "link": "link.up"}
"""Kinds of events about a peer, and the one after which it is asked again."""


def pick_core(cluster: SimCluster, rng: Random) -> list[SimProcess]:
    """A majority of the members and of the voters of every set that counts."""
    cluster.wait(cluster.is_known, 10.0, "anybody runs")
    document = cluster.topology()
    sets = [document.members]
    if document.change is not None:
        sets.append(document.change.members_next)
    chosen: dict[str, None] = {}
    for members in sets:
        names = [str(member.node_id) for member in members]
        voters = [str(member.node_id) for member in members if member.voter]
        for group in (voters, names):
            left = [name for name in rng.sample(group, len(group)) if name not in chosen]
            while 2 * sum(name in chosen for name in group) <= len(group):
                chosen[left.pop()] = None
    return [cluster.process(name) for name in sorted(chosen)]


@final
class Core:
    """See the module.

    Args:
        cluster: all of it.
        options: of the seed.
        processes: the core.
        reached: notes a state that the run has been in.
    """

    def __init__(
        self,
        cluster: SimCluster,
        options: SwarmOptions,
        processes: list[SimProcess],
        reached: Callable[[str], None],
    ) -> None:
        self._cluster = cluster
        self._options = options
        self.processes = processes
        self._reached = reached
        self._away: list[bytes] = []
        self._members_max = 0
        self.names = [str(process.node_id) for process in processes]

    def look(self, keys: Iterable[bytes]) -> None:
        """The part that is judged begins soon: nobody forgets anything from here on."""
        document = self._cluster.topology()
        self._members_max = len(document.members)
        if document.change is not None:
            self._members_max = max(self._members_max, len(document.change.members_next))
        self._away = [key for key in keys if self._memory_is_away(key)]

    def judge(
        self, history: History, strong: History, since_s: float, *, one_sided: bool
    ) -> list[str]:
        """What was wrong with the operations at the core that began at ``since_s`` or later.

        Args:
            history: of eventual keys, at the core alone.
            strong: of strong keys, at all nodes.
            since_s: see above.
            one_sided: somebody outside is heard but does not hear, or the reverse.
        """
        found: list[str] = []
        now_s = self._cluster.world.now_s
        asked = [op for op in strong if op.client.startswith("core")]
        overdue = [*_overdue(history, now_s), *_overdue(asked, now_s)]
        must_succeed = self._options.clocks_sound and not one_sided
        # Where many are killed at once, the memory of all owners of an eventual key may be away.
        must_succeed = must_succeed and not self._options.strong_alone
        for operation in (*history, *asked):
            if operation.begin_s < since_s:
                continue
            problem = ""
            if operation.result is Result.INFO and operation.text in _UNANSWERED:
                if operation in overdue:
                    problem = f"was not answered ({operation.text or 'still open'})"
            elif "clock" in operation.text and not self._options.clocks_sound:
                self._reached("clock-unsettled")
            elif operation in asked:
                if operation.result is Result.OK:
                    self._reached("strong-served-by-majority")
            elif must_succeed and not operation.strict and operation.result is not Result.OK:
                if self._could_succeed(operation):
                    problem = f"did not succeed: {operation.text}"
            else:
                self._reached("core-served-alone")
            if problem:
                found.append(f"at the healed core {_named(operation)} {problem}")
        return found[:5]

    def _could_succeed(self, operation: Operation) -> bool:
        # Whoever loses sight of an owner in the middle says that it does not know.
        if operation.conditions_begin != operation.conditions_end:
            return False
        if operation.kind == "read" and operation.key in self._away:
            return False
        # A node that is heard only slowly, or has not been heard again yet, is not asked either.
        members = max(self._members_max, len(self._cluster.members()))
        outside = members - len(self.processes) + self._doubted(operation)
        return min(self._options.replicas, members) > outside

    def _doubted(self, operation: Operation) -> int:
        """Nodes of the core that the operation's node had reason not to ask: the breaker to them was not
        closed, or they were suspect or not linked for the moment; who still is in the end counts as asked.
        """
        node = next((p for p in self.processes if str(p.node_id) == operation.node), None)
        then: dict[tuple[str, str], bool] = {}
        in_the_end: dict[tuple[str, str], bool] = {}
        for at_s, event in () if node is None else node.events:
            what = event.kind.partition(".")[0]
            if what not in _WHOLE:
                continue
            fields = dict(event.fields)
            about = what, str(fields.get("peer") or fields.get("node"))
            in_the_end[about] = event.kind == _WHOLE[what]
            if at_s <= operation.answered_s:
                then[about] = in_the_end[about]
        doubted = {
            peer: None
            for (what, peer), whole in then.items()
            if not whole and (what == "breaker" or in_the_end[what, peer])
        }
        return sum(name in doubted for name in self.names)

    def _memory_is_away(self, key: bytes) -> bool:
        """Whether so many of the core's owners of a key have lost their memory that the rest can't vouch
        for a miss, while others, who know what was acknowledged, can't be asked: no answer is right.
        """
        core = {str(process.node_id): process for process in self.processes if process.running}
        node = next(process.node for process in core.values())
        slot = node.table.slot_of(key)
        owners = [str(name) for name in node.owners(slot)]
        inside = [core[name].node for name in owners if name in core]
        filled = sum(owner.coordinator.reader.filled(slot) for owner in inside)
        routing = node.standing.routing
        assert routing is not None
        vouch = routing.route(key, slot).absences
        return len(inside) < len(owners) and filled < min(vouch, len(inside))


def _overdue(operations: Iterable[Operation], until_s: float) -> list[Operation]:
    """Operations that were not answered within ``ANSWER_S`` of their turn.

    Replies keep their order on a connection: who sends without waiting has its turn when everything
    before has been answered.
    """
    found: list[Operation] = []
    ready_s: dict[tuple[str, int], float] = {}
    for operation in operations:
        connection = operation.client, operation.connection
        turn_s = max(operation.begin_s, ready_s.get(connection, 0.0))
        ready_s[connection] = max(turn_s, operation.answered_s)
        if min(operation.answered_s, until_s) > turn_s + ANSWER_S:
            found.append(operation)
    return found


def _named(operation: Operation) -> str:
    return (
        f"{operation.kind} of {operation.key.decode()} by {operation.client} at {operation.node} "
        f"at {operation.begin_s:.4f}"
    )
