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
from random import Random
from typing import Final, NamedTuple, final

from nodecore.effects import Emit, Severity
from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.placement.alike import Slots, count, exchange, mark
from nodecore.placement.slot_map import SlotMap
from nodecore.placement.topology import Topology
from nodecore.replication.change_ports import COOLDOWN_S, FETCH_NUMBERS, PROGRESS_TIMEOUT_S
from nodecore.replication.filling import slot_list, to_bitmap
from nodecore.request_numbers import RequestNumbers
from nodecore.strong.lesson import Lesson, Request
from nodecore.strong.standing import Duty, copies_of, duties
from transport.messages import ChangeStep, Lane, Message

LACKING: Final = 0
COMPLETE: Final = 1
LEARNED: Final = 2
"""Complete, but this epoch's rounds may rest on promises that were forgotten."""
FETCH: Final = "strong-fetch"
STREAMED: Final = "strong-streamed"
GAP_MAX: Final = 2
"""To stop being an owner and become one again takes at least three epochs."""


class LearningPorts(NamedTuple):
    """The node, as seen from here."""

    node: NodeId
    send: Callable[[NodeId, Lane, int, Message], None]
    is_live: Callable[[NodeId], bool]
    emit: Callable[[Emit], None]
    drop_slots: Callable[[bytes, Now], object]
    """Forget the registers of slots: 1 for each that goes, of 16,384."""
    on_change: Callable[[Now], None]
    """What may be voted on has changed: to be kept."""
    ask_for_epoch: Callable[[Now], None]
    """Everything is learned: propose a document, so that an epoch begins."""
    rng: Random
    """Numbers what is asked of others."""


@final
class Learning:
    """See the module."""

    def __init__(self, ports: LearningPorts) -> None:
        self._ports = ports
        self.states = bytearray(SLOTS_COUNT)
        """LACKING, COMPLETE or LEARNED."""
        self._duties: list[tuple[Slots, Duty]] = []
        self._joining = bytearray(SLOTS_COUNT)
        """1 where this node is only an owner to be."""
        self._tasks: dict[int, Lesson] = {}
        self._stuck: dict[int, dict[bytes, None]] = {}
        """Keys whose copy was refused because more had been promised here."""
        self._spoiled: dict[int, None] = {}
        """Slots of which a copy could not be stored: the present stream does not count."""
        self._moves = 0
        self._sources: tuple[NodeId, ...] = ()
        """Everybody whom any slot may be asked of."""
        self._fetches: dict[NodeId, Request] = {}
        self._rest_until_s: dict[NodeId, float] = {}
        self._numbers = RequestNumbers(1, FETCH_NUMBERS, ports.rng)
        self._topology: Topology | None = None
        self._slot_map: SlotMap | None = None
        self._generation = 0
        self.founding = False
        """Whether this node has voted in an earlier life is being found out: until then it does not. It
        has kept all its promises, or will have to learn everything."""
        self._asked_s = float("-inf")
        self._announced = False
        self.learned = 0
        """Slots learned from others since the start."""
        self.losses = 0
        """Slots taken up although majorities had lost them."""

    # -- what may be done --------------------------------------------------------------------

    def votes(self, slot: int) -> bool:
        """Whether this node may answer for a slot."""
        may = self.states[slot] == COMPLETE or self._joining[slot] == 1
        return may and not self.founding

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

    @property
    def lost(self) -> int:
        """Slots that stay closed: all others have streamed, too few of them had kept everything."""
        return sum(lesson.lost for lesson in self._tasks.values())

    # -- documents ---------------------------------------------------------------------------

    def restore(self, topology: Topology, states: bytes) -> None:
        """Take up what an earlier life was complete in, at a document up to the one in force."""
        self.states[:] = states
        self._topology, self._slot_map = topology, SlotMap.compile(topology)
        self._generation = topology.generation

    def on_topology(
        self, topology: Topology, slot_map: SlotMap, now: Now, *, trusted: bool
    ) -> None:
        """A newer document is in force.

        ``trusted``: nothing is missing at it: a cluster is founded, or the restored belongs to it.
        """
        before, before_map = self._topology, self._slot_map
        if before is None:
            self._generation = topology.generation
        self._topology, self._slot_map = topology, slot_map
        gap = 0 if before is None else topology.epoch - before.epoch
        same_change = before is not None and before.joint and topology.joint and gap == 1
        if before is not None and 0 < topology.owners_epoch <= before.epoch:
            gap = min(gap, 1)  # However many were missed meanwhile, no slot has had other owners.
        reborn = before is not None and topology.generation > before.generation
        once = before is not None and not reborn and 0 < topology.owners_past <= before.epoch
        copies = copies_of(before, topology)
        self._duties = list(duties(self._ports.node, copies, before_map, slot_map))
        if before is None and trusted:
            for slots, duty in self._duties:
                mark(self.states, slots, COMPLETE if duty.owns else LACKING)
        self._take_up(gap, now, trusted=trusted, same_change=same_change, once=once, reborn=reborn)
        self._joining = bytearray(SLOTS_COUNT)
        for slots, duty in self._duties:
            mark(self._joining, slots, int(duty.joins))
        # What has been streamed for this change still counts; a change's copies are made once.
        self._make_tasks(same_change, now)

    def _make_tasks(self, keep: bool, now: Now) -> None:
        kept = self._tasks if keep else {}
        tasks: dict[int, Lesson] = {}
        self._moves = alone = 0
        for slots, duty in self._duties:
            if duty.is_stranger:
                continue
            lessons = self._lessons(slots, duty, kept if keep else None)
            tasks |= lessons
            self._moves += len(lessons) if duty.moves else 0
            if duty.owns:
                alone += sum(not lesson.needs for lesson in lessons.values())
        self._tasks = tasks = dict(sorted(tasks.items()))
        for memory in (self._stuck, self._spoiled):
            for slot in [slot for slot in memory if kept.get(slot) is not tasks.get(slot, self)]:
                del memory[slot]
        sources: dict[NodeId, None] = {}
        for lesson in dict.fromkeys(tasks.values()):
            sources.update((name, None) for names, _count in lesson.needs for name in names)
        self._sources = tuple(sources)
        self._fetches.clear()
        if alone:
            self._tell_losses(alone)
        self._announce()
        self._plan(now)
        self._finish_settled(list(tasks), now)
        self._ports.on_change(now)

    def _lessons(
        self, slots: Slots, duty: Duty, kept: Mapping[int, Lesson] | None
    ) -> dict[int, Lesson]:
        """What is to be learned in a group of slots; ``kept``: what was, if that still counts."""
        lacking = count(self.states, slots, LACKING)
        if not lacking and not duty.shrinks:
            return {}
        first = {lacks: Lesson.first(duty, lacks) for lacks in (True, False)}
        if kept is None and (duty.shrinks or lacking == len(slots)) and lacking in (0, len(slots)):
            return dict.fromkeys(slots, first[lacking > 0])
        found: dict[int, Lesson] = {}
        for slot in slots:
            lacks = self.states[slot] == LACKING
            lesson = None if kept is None else kept.get(slot)
            if lacks or (duty.shrinks and (kept is None or lesson is not None)):
                same = lesson is not None and lesson.duty == duty and lesson.lacking == lacks
                found[slot] = lesson if lesson is not None and same else first[lacks]
        return found

    def _take_up(
        self, gap: int, now: Now, *, trusted: bool, same_change: bool, once: bool, reborn: bool
    ) -> None:
        """What a document means for every slot; ``once``: one change of owners came between, at most;
        ``reborn``: what survivors hold is all there is.
        """
        states, drops = self.states, bytearray(SLOTS_COUNT)
        for slots, duty in self._duties:
            dropped = duty.is_stranger
            if duty.is_stranger:
                mark(states, slots, LACKING)
            elif trusted:
                continue
            elif duty.survives(same_change) and (gap <= GAP_MAX or (once and duty.owned)):
                if duty.is_first:
                    mark(states, slots, COMPLETE)
                elif gap > 0 and not duty.joins:
                    exchange(states, slots, LEARNED, COMPLETE)
            else:
                mark(states, slots, LACKING)
                dropped = duty.was_stranger or (gap > GAP_MAX and not reborn)
            if dropped:
                mark(drops, slots, 1)
        self._ports.drop_slots(bytes(drops), now)

    def found(self, now: Now) -> None:
        """This node is new: it votes, except where owners have changed since and it is still learning."""
        self.founding = False
        self._ports.on_change(now)

    def begin(self, now: Now) -> None:
        """The cluster is not new: what this node has forgotten is to be learned."""
        self.founding = False
        self.states[:] = bytes(SLOTS_COUNT)
        self._make_tasks(False, now)

    def lose(self, slots: list[int], now: Now) -> None:
        """What was kept of these slots turned out to be damaged."""
        mark(self.states, slots, LACKING)
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
        incomplete = dict.fromkeys(slot_list(fields.get("incomplete")))
        touched: list[int] = []
        for slot in slot_list(fields.get("slots")):
            if fetch.outstanding.pop(slot, 0) == 0:
                continue
            task = self._tasks.get(slot)
            if task is not None and self._spoiled.pop(slot, 0) == 0:
                self._tasks[slot] = task.heard(peer, slot not in incomplete)
                touched.append(slot)
        if fields.get("ended") is True:
            self.on_unreachable(peer, now)
        self._finish_settled(touched, now)
        if peer not in self._fetches:
            self._plan(now)

    def on_copy(self, slot: int, key: bytes, *, outranked: bool, stored: bool) -> bool:
        """A copy of a key has come; True when the key must be settled by a round."""
        if slot not in self._tasks:
            return False
        if outranked:
            self._stuck.setdefault(slot, {})[key] = None
        elif not stored:
            self._spoiled[slot] = None
        return outranked

    def on_settled(self, slot: int, key: bytes, now: Now) -> None:
        """A round has settled a key whose copy was refused."""
        stuck = self._stuck.get(slot)
        if stuck is not None and stuck.pop(key, 0) is None:
            self._finish_settled([slot], now)

    def stuck(self) -> list[tuple[int, bytes]]:
        """Keys that wait for a round."""
        stuck = sorted(self._stuck.items(), key=lambda item: item[0])
        return [(slot, key) for slot, keys in stuck for key in keys]

    def tick(self, now: Now) -> None:
        """Give up sources that stand still, ask others, and ask for an epoch when all is learned."""
        for peer, fetch in list(self._fetches.items()):
            if now.mono_s > fetch.progress_s + PROGRESS_TIMEOUT_S or not self._ports.is_live(peer):
                self.on_unreachable(peer, now)
        self._accept_losses(now)
        if self._tasks:
            self._plan(now)
        elif LEARNED in self.states:
            self._ask_for_epoch(now)

    def on_unreachable(self, peer: NodeId, now: Now) -> None:
        """The request did not reach it, the link broke, or for another reason nothing more comes."""
        if self._fetches.pop(peer, None) is not None:
            self._rest_until_s[peer] = now.mono_s + COOLDOWN_S

    def _plan(self, now: Now) -> None:
        """Ask for what nobody is streaming."""
        may_ask = {source: self._may_ask(source, now) for source in self._sources}
        if not any(may_ask[source] and source not in self._fetches for source in self._sources):
            return
        wanted: dict[NodeId, list[int]] = {}
        chosen: dict[Lesson, list[NodeId]] = {}
        for task in dict.fromkeys(self._tasks.values()):
            asked = task.whom_to_ask(may_ask)
            sources = [name for name in asked if name not in self._fetches]
            if sources:
                chosen[task] = sources
        for slot, task in self._tasks.items() if chosen else ():
            for source in chosen.get(task, ()):
                wanted.setdefault(source, []).append(slot)
        for source, slots in wanted.items():
            self._ask(source, slots, now)

    def _may_ask(self, source: NodeId, now: Now) -> bool:
        if source in self._fetches:
            return True
        return self._rest_until_s.get(source, 0.0) <= now.mono_s and self._ports.is_live(source)

    def _ask(self, source: NodeId, slots: list[int], now: Now) -> None:
        topology = self._topology
        assert topology is not None
        number = self._numbers.take(())
        self._fetches[source] = Request(number, slots, now.mono_s)
        fields = {"id": number, "slots": to_bitmap(slots)}
        self._ports.send(source, Lane.CONTROL, 0, ChangeStep(topology.epoch, FETCH, fields))

    def _finish_settled(self, slots: Iterable[int], now: Now) -> None:
        """Look at these slots again."""
        tasks = self._tasks
        finished = [
            slot
            for slot in slots
            if slot in tasks and tasks[slot].enough and not self._stuck.get(slot)
        ]
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
        taken = 0
        all_heard = {task: task.all_heard for task in dict.fromkeys(self._tasks.values())}
        for slot, task in self._tasks.items() if any(all_heard.values()) else ():
            if all_heard[task]:
                self._tasks[slot] = task.content()
                taken += 1
        if taken:
            self._tell_losses(taken)
            self._finish_settled(list(self._tasks), now)

    def _tell_losses(self, count: int) -> None:
        self.losses += count
        text = f"{count} slots of strong keys were lost by too many owners; what is left counts"
        self._ports.emit(Emit("strong.lost", text, Severity.ERROR))
