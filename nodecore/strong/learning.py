"""For which slots this node may vote on strong keys, and how it comes to.

A slot is *complete* when this node has kept every promise that it ever gave for it. It is not on a node
that has lost state (memory only, a wiped or damaged disk, a machine that went down uncleanly), nor
on one that has been away for so long that it may have ceased to be an owner meanwhile, nor on an owner
to be. Such a node is a *learner*: it takes, from as many other owners as meet every majority, the
highest accepted values of the slot, as Accepts. It votes only from the next epoch on, because rounds
of the present one may still count on promises that it has forgotten; a learner that has all asks
for that epoch itself. An owner to be votes at once in the set of owners to be: majorities of the
old owners decide with it.

Nobody can be asked for what all have lost: the node goes on without when its keyspaces promise no
more than memory, or when an operator has begun a new generation of the cluster (``cluster recover``).

It stores nothing and decides no change of the topology.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, final

from nodecore.effects import Emit, Severity
from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.replication.filling import from_bitmap, to_bitmap
from nodecore.strong.standing import Duty, Needs, copies_of, duties
from transport.messages import ChangeStep, Lane, Message

LACKING: Final = 0
COMPLETE: Final = 1
LEARNED: Final = 2
"""Complete, but this epoch's rounds may rest on promises that were forgotten."""
FETCH: Final = "strong-fetch"
STREAMED: Final = "strong-streamed"
PROGRESS_TIMEOUT_S: Final = 5.0
COOLDOWN_S: Final = 0.5
GAP_MAX: Final = 2
"""To stop being an owner and become one again takes at least three epochs."""
_ID_MAX: Final = 2**31


class LearningPorts(NamedTuple):
    """The node, as seen from here."""

    node: NodeId
    send: Callable[[NodeId, Lane, int, Message], None]
    is_live: Callable[[NodeId], bool]
    emit: Callable[[Emit], None]
    drop_slot: Callable[[int, Now], int]
    """Forget the registers of a slot."""
    on_change: Callable[[Now], None]
    """What may be voted on has changed: to be kept."""
    ask_for_epoch: Callable[[Now], None]
    """Everything is learned: propose a document, so that an epoch begins."""


class _Task:
    __slots__ = ("duty", "good", "lacking", "needs", "spoiled", "stuck")

    def __init__(self, duty: Duty, lacking: bool) -> None:
        self.duty = duty
        self.lacking = lacking
        """Else this node's own copy counts as one of those that are needed."""
        self.needs: Needs = tuple(
            (names, count - (not lacking)) for names, count in duty.needs if names
        )
        """Nobody can be asked for what a sole owner has lost."""
        self.good: dict[NodeId, bool] = {}
        """Sources that have streamed all they have, and whether that was complete."""
        self.stuck: dict[bytes, None] = {}
        """Keys whose copy was refused because more had been promised here."""
        self.spoiled = False
        """A copy could not be stored: the present stream does not count."""

    @property
    def settled(self) -> bool:
        """Whether enough complete sources have streamed."""
        return not self.stuck and all(
            sum(self.good.get(source, False) for source in sources) >= count
            for sources, count in self.needs
        )


class _Fetch:
    __slots__ = ("number", "outstanding", "progress_s")

    def __init__(self, number: int, slots: list[int], now_s: float) -> None:
        self.number = number
        self.outstanding = dict.fromkeys(slots)
        self.progress_s = now_s


@final
class Learning:
    """See the module."""

    def __init__(self, ports: LearningPorts) -> None:
        self._ports = ports
        self.states = bytearray(SLOTS_COUNT)
        """LACKING, COMPLETE or LEARNED."""
        self._duties: list[Duty] = []
        self._joining = bytes(SLOTS_COUNT)
        """1 where this node is only an owner to be."""
        self._tasks: dict[int, _Task] = {}
        self._moves = 0
        self._sources: tuple[NodeId, ...] = ()
        """Everybody whom any slot may be asked of."""
        self._fetches: dict[NodeId, _Fetch] = {}
        self._rest_until_s: dict[NodeId, float] = {}
        self._number = 0
        self._topology: Topology | None = None
        self._slot_map: SlotMap | None = None
        self._generation = 0
        self.founding = False
        """Whether there is anything to be learned is being found out: nobody is asked yet."""
        self._asked_s = float("-inf")
        self._announced = False
        self.learned = 0
        """Slots learned from others since the start."""
        self.losses = 0
        """Slots taken up although majorities had lost them."""

    # -- what may be done --------------------------------------------------------------------

    def votes(self, slot: int) -> bool:
        """Whether this node may answer for a slot."""
        return self.states[slot] == COMPLETE or self._joining[slot] == 1

    def is_learning(self, slot: int) -> bool:
        """Whether copies of a slot are wanted."""
        return slot in self._tasks

    @property
    def left(self) -> int:
        """Slots that must be learned before the change under way may end."""
        return self._moves

    @property
    def lacking(self) -> int:
        """Slots that are wanted, or learned and not voted on yet."""
        return len(self._tasks) + self.states.count(LEARNED)

    # -- documents ---------------------------------------------------------------------------

    def restore(self, states: bytes) -> None:
        """Take up what an earlier life was complete in, at the document that is in force."""
        self.states[:] = states

    def on_topology(
        self, topology: Topology, slot_map: SlotMap, now: Now, *, trusted: bool
    ) -> None:
        """A newer document is in force.

        ``trusted``: nothing can be missing at it (a cluster is founded), or what was restored
        belongs to it.
        """
        before, before_map = self._topology, self._slot_map
        if before is None:
            self._generation = topology.generation
        self._topology, self._slot_map = topology, slot_map
        gap = 0 if before is None else topology.epoch - before.epoch
        same_change = before is not None and before.joint and topology.joint and gap == 1
        copies = copies_of(before, topology)
        self._duties = list(duties(self._ports.node, copies, before_map, slot_map))
        for slot, duty in enumerate(self._duties):
            self._take_up(slot, duty, gap, trusted=trusted, same_change=same_change, now=now)
        self._joining = bytes(duty.joins for duty in self._duties)
        # What has been streamed for this change still counts; a change's copies are made once.
        self._make_tasks(same_change, now)

    def _make_tasks(self, keep: bool, now: Now) -> None:
        tasks: dict[int, _Task] = {}
        for slot, duty in enumerate(self._duties):
            if duty.is_stranger or self.founding:
                continue
            lacking = self.states[slot] == LACKING
            task = self._tasks.get(slot) if keep else None
            if lacking or (duty.shrinks and (not keep or task is not None)):
                same = task is not None and task.duty == duty and task.lacking == lacking
                tasks[slot] = task if task is not None and same else _Task(duty, lacking)
        self._tasks = tasks
        self._moves = sum(task.duty.moves for task in tasks.values())
        sources: dict[NodeId, None] = {}
        for needs in dict.fromkeys(task.needs for task in tasks.values()):
            sources.update((name, None) for names, _count in needs for name in names)
        self._sources = tuple(sources)
        self._fetches.clear()
        alone = sum(task.duty.owns and not task.needs for task in tasks.values())
        if alone:
            self._tell_losses(alone)
        self._announce()
        self._plan(now)
        self._finish_settled(list(tasks), now)
        self._ports.on_change(now)

    def _take_up(
        self, slot: int, duty: Duty, gap: int, *, trusted: bool, same_change: bool, now: Now
    ) -> None:
        """What a document means for a slot."""
        states = self.states
        if duty.is_stranger:
            states[slot] = LACKING
            self._ports.drop_slot(slot, now)
        elif trusted:
            return
        elif duty.survives(same_change) and gap <= GAP_MAX:
            if (states[slot] == LEARNED and gap > 0 and not duty.joins) or duty.is_first:
                states[slot] = COMPLETE
        else:
            states[slot] = LACKING
            if gap > GAP_MAX or duty.was_stranger:
                self._ports.drop_slot(slot, now)

    def found(self, now: Now) -> None:
        """This node founds the cluster together with the others: there is nothing to be learned."""
        self.founding = False
        for slot, duty in enumerate(self._duties):
            if duty.owns:
                self.states[slot] = COMPLETE
        self._make_tasks(False, now)

    def begin(self, now: Now) -> None:
        """The cluster is not new: what this node has forgotten is to be learned."""
        self.founding = False
        self._make_tasks(False, now)

    def lose(self, slots: list[int], now: Now) -> None:
        """What was kept of these slots turned out to be damaged."""
        for slot in slots:
            self.states[slot] = LACKING
        self._make_tasks(False, now)

    def _announce(self) -> None:
        if self._tasks and not self._announced:
            self._announced = True
            text = f"{len(self._tasks)} slots of strong keys are learned before they are voted on"
            self._ports.emit(Emit("strong.learning", text, Severity.NOTICE))

    # -- sources -----------------------------------------------------------------------------

    def on_streamed(self, peer: NodeId, fields: Mapping[str, object], now: Now) -> None:
        """A source has streamed slots, or its stream has ended."""
        fetch = self._fetches.get(peer)
        if fetch is None or fields.get("id") != fetch.number:
            return
        fetch.progress_s = now.mono_s
        incomplete = dict.fromkeys(_slots(fields.get("incomplete")))
        touched: list[int] = []
        for slot in _slots(fields.get("slots")):
            if slot not in fetch.outstanding:
                continue
            del fetch.outstanding[slot]
            task = self._tasks.get(slot)
            if task is None:
                continue
            if not task.spoiled:
                task.good[peer] = slot not in incomplete
                touched.append(slot)
            task.spoiled = False
        if fields.get("ended") is True:
            del self._fetches[peer]
            self._rest_until_s[peer] = now.mono_s + COOLDOWN_S
        self._finish_settled(touched, now)
        if peer not in self._fetches:
            self._plan(now)

    def on_copy(self, slot: int, key: bytes, *, outranked: bool, stored: bool) -> bool:
        """A copy of a key has come; True when the key must be settled by a round."""
        task = self._tasks.get(slot)
        if task is None:
            return False
        task.spoiled = task.spoiled or not (stored or outranked)
        if outranked:
            task.stuck[key] = None
        return outranked

    def on_settled(self, slot: int, key: bytes, now: Now) -> None:
        """A round has settled a key whose copy was refused."""
        task = self._tasks.get(slot)
        if task is not None and task.stuck.pop(key, 0) is None:
            self._finish_settled([slot], now)

    def stuck(self) -> list[tuple[int, bytes]]:
        """Keys that wait for a round."""
        return [(slot, key) for slot, task in self._tasks.items() for key in task.stuck]

    def tick(self, now: Now) -> None:
        """Give up sources that stand still, ask others, and ask for an epoch when all is learned."""
        for peer, fetch in list(self._fetches.items()):
            if now.mono_s > fetch.progress_s + PROGRESS_TIMEOUT_S or not self._ports.is_live(peer):
                del self._fetches[peer]
                self._rest_until_s[peer] = now.mono_s + COOLDOWN_S
        self._accept_losses(now)
        if self._tasks:
            self._plan(now)
        elif LEARNED in self.states:
            self._ask_for_epoch(now)

    def on_unreachable(self, peer: NodeId, now: Now) -> None:
        """The request did not reach it, or the link broke."""
        if self._fetches.pop(peer, None) is not None:
            self._rest_until_s[peer] = now.mono_s + COOLDOWN_S

    def _plan(self, now: Now) -> None:
        """Ask for what nobody is streaming."""
        may_ask = {source: self._may_ask(source, now) for source in self._sources}
        if not any(may_ask[source] and source not in self._fetches for source in self._sources):
            return
        wanted: dict[NodeId, list[int]] = {}
        for slot, task in self._tasks.items():
            for sources, count in task.needs:
                lacking = count - sum(task.good.get(source, False) for source in sources)
                # Who has nothing complete may have it later; first ask those who have not answered.
                for source in sorted(sources, key=task.good.__contains__):
                    if lacking <= 0:
                        break
                    if task.good.get(source):
                        continue
                    if may_ask[source]:
                        lacking -= 1
                        if source not in self._fetches:
                            wanted.setdefault(source, []).append(slot)
        for source, slots in wanted.items():
            self._ask(source, list(dict.fromkeys(slots)), now)

    def _may_ask(self, source: NodeId, now: Now) -> bool:
        if source in self._fetches:
            return True
        return self._rest_until_s.get(source, 0.0) <= now.mono_s and self._ports.is_live(source)

    def _ask(self, source: NodeId, slots: list[int], now: Now) -> None:
        topology = self._topology
        assert topology is not None
        self._number = self._number % _ID_MAX + 1
        self._fetches[source] = _Fetch(self._number, slots, now.mono_s)
        fields = {"id": self._number, "slots": to_bitmap(slots)}
        self._ports.send(source, Lane.CONTROL, 0, ChangeStep(topology.epoch, FETCH, fields))

    def _finish_settled(self, slots: Iterable[int], now: Now) -> None:
        """Look at these slots again."""
        tasks = self._tasks
        finished = [slot for slot in slots if slot in tasks and tasks[slot].settled]
        if not finished:
            return
        for slot in finished:
            self._moves -= self._tasks.pop(slot).duty.moves
            if self.states[slot] == LACKING:
                self.states[slot] = LEARNED
                self.learned += 1
        if not self._tasks:
            self._announced = False
            text = "the slots of strong keys are learned; voting begins with the next epoch"
            self._ports.emit(Emit("strong.learned", text, Severity.NOTICE))
        self._ports.on_change(now)

    def _ask_for_epoch(self, now: Now) -> None:
        topology = self._topology
        if topology is None or topology.joint or now.mono_s < self._asked_s + 2 * COOLDOWN_S:
            return
        self._asked_s = now.mono_s
        self._ports.ask_for_epoch(now)

    def _accept_losses(self, now: Now) -> None:
        """Take what is left where nobody has more and nobody was promised more."""
        topology = self._topology
        if topology is None or not self._tasks:
            return
        promised = any(k.mode == "strong" and k.durability != "memory" for k in topology.keyspaces)
        if promised and topology.generation == self._generation:
            return
        count = 0
        for task in self._tasks.values():
            sources = [source for sources, _count in task.needs for source in sources]
            if all(source in task.good for source in sources):
                task.needs = ()
                count += 1
        if count:
            self._tell_losses(count)
            self._finish_settled(list(self._tasks), now)

    def _tell_losses(self, count: int) -> None:
        self.losses += count
        text = f"{count} slots of strong keys were lost by too many owners; what is left counts"
        self._ports.emit(Emit("strong.lost", text, Severity.ERROR))


def _slots(plain: object) -> list[int]:
    if not isinstance(plain, list):
        return []
    return [slot for slot in plain if isinstance(slot, int) and 0 <= slot < SLOTS_COUNT]


def slots_of_fetch(fields: Mapping[str, object]) -> tuple[int, list[int]] | None:
    """(id, slots) of a ``strong-fetch``; None: it makes no sense."""
    slots, number = from_bitmap(fields.get("slots")), fields.get("id")
    return None if slots is None or not isinstance(number, int) else (number, slots)
