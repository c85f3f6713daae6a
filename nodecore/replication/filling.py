"""The receiving side of copies: which slots of this node are complete, and who is asked for the rest.

A slot is *complete* when this node holds every write that was acknowledged for it, as far as that
can be known: then, and only then, an owner may answer reads and misses of it. Slots are incomplete
on a node that is to own them (a change is under way), and on an owner that has lost its memory (a
restart). This class asks as many owners as :mod:`slot_needs` says to stream the slot, replaces a
source that fails, and marks the slot when enough have streamed. When no more sources are left,
because the others have failed for good or have nothing themselves, what came is all there is.

It stores nothing (pages are applied like any other write) and decides no change of the topology.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import compress
from typing import Final

from nodecore.effects import Emit, Severity
from nodecore.ids import SLOTS_COUNT, Epoch, NodeId, Now
from nodecore.replication.change_ports import (
    COOLDOWN_S,
    FETCH_NUMBERS,
    PROGRESS_TIMEOUT_S,
    ChangePorts,
)
from nodecore.replication.slot_needs import Need
from nodecore.request_numbers import RequestNumbers
from transport.messages import ChangeStep, Lane

_SLOTS: Final = tuple(range(SLOTS_COUNT))
_FLAGS: Final = bytes.maketrans(b"01", b"\x00\x01")


class _Task:
    """How far the copying of some slots has come. It never changes: slots with the same need and the
    same progress share one, so that thousands of them are judged at once.
    """

    __slots__ = ("_following", "asked", "good", "need")

    def __init__(self, need: Need, asked: Mapping[NodeId, bool] | None = None) -> None:
        self.need = need
        self.asked: Mapping[NodeId, bool] = asked or {}
        """Sources that have streamed all they have, and whether that was complete."""
        self.good = sum(self.asked.values())
        self._following: dict[tuple[NodeId, bool], _Task] = {}

    def heard(self, source: NodeId, complete: bool) -> _Task:
        """``source`` has streamed all it has."""
        found = self._following.get((source, complete))
        if found is None:
            found = _Task(self.need, {**self.asked, source: complete})
            self._following[source, complete] = found
        return found


class _Fetch:
    __slots__ = ("fetch_id", "outstanding", "progress_s")

    def __init__(self, fetch_id: int, slots: list[int], now_s: float) -> None:
        self.fetch_id = fetch_id
        self.outstanding = dict.fromkeys(slots)
        self.progress_s = now_s


class Filling:
    """Completeness of every slot of one node.

    Args:
        ports: the node.
        on_done: called whenever the last slot that was wanted is complete.
    """

    def __init__(self, ports: ChangePorts, on_done: Callable[[Now], None]) -> None:
        self._ports = ports
        self._on_done = on_done
        self.complete = bytearray(SLOTS_COUNT)
        """1 where this node's copy of the slot is complete."""
        self._tasks: dict[int, _Task] = {}
        self._fetches: dict[NodeId, _Fetch] = {}
        self._rest_until_s: dict[NodeId, float] = {}
        self._numbers = RequestNumbers(1, FETCH_NUMBERS, ports.rng)
        self._epoch = Epoch(0)
        self._joint = False
        self._sources: tuple[NodeId, ...] = ()
        """Everybody whom any slot may be asked of."""
        self._heard = 0
        self._told_short = False
        self._planned: object = None
        """What the last plan was made of: nothing new, no new plan."""
        self.paused = False
        """Nothing is asked for the sake of a change; what an owner has lost is still asked for."""
        self.total = 0
        """Slots wanted at this document."""
        self.entries = 0
        self.bytes = 0
        """Received for this document, repeated pages not counted twice."""

    @property
    def left(self) -> int:
        """Slots still wanted."""
        return len(self._tasks)

    @property
    def waits_for(self) -> str:
        """A source that is neither live nor given up and holds everything up; empty: none."""
        if self._fetches or not self._tasks or self.paused:
            return ""
        task = next(iter(self._tasks.values()))
        for source in task.need.sources:
            if source not in task.asked and not self._ports.is_failed(source):
                return source
        return ""

    def begin(
        self, needs: Mapping[int, Need], epoch: Epoch, joint: bool, keep: bool, now: Now
    ) -> None:
        """Want these slots from now on; ``keep``: what has been streamed so far still counts."""
        first = {need: _Task(need) for need in dict.fromkeys(needs.values())}
        tasks = dict(zip(needs, map(first.__getitem__, needs.values()), strict=True))
        for slot, task in self._tasks.items() if keep else ():
            if slot in tasks and task.need == tasks[slot].need:
                tasks[slot] = task
        if not keep:
            self.total = len(tasks)
            self.entries = self.bytes = 0
            self._told_short = False
        self._tasks = tasks
        sources = dict.fromkeys(source for need in first for source in need.sources)
        self._sources, self._planned = tuple(sources), None
        self._fetches.clear()
        self._epoch, self._joint = epoch, joint
        self._plan(now)

    def forget(self) -> int:
        """No copy is complete; returns how many were."""
        count = sum(self.complete)
        self.complete[:] = bytes(SLOTS_COUNT)
        return count

    def on_streamed(self, peer: NodeId, fields: Mapping[str, object], now: Now) -> None:
        """A source has streamed slots, or its stream has ended."""
        fetch = self._fetches.get(peer)
        if fetch is None or fields.get("id") != fetch.fetch_id:
            return
        fetch.progress_s = now.mono_s
        self.entries += _count(fields.get("entries"))
        self.bytes += _count(fields.get("bytes"))
        lacking = dict.fromkeys(slot_list(fields.get("incomplete")))
        settled = False
        judged: dict[_Task, bool] = {}
        for slot in slot_list(fields.get("slots")):
            if slot not in fetch.outstanding:
                continue
            del fetch.outstanding[slot]
            task = self._tasks.get(slot)
            if task is None or peer in task.asked:
                continue
            task = self._tasks[slot] = task.heard(peer, slot not in lacking)
            self._heard += 1
            if task not in judged:
                judged[task] = self._is_settled(task)
            if judged[task]:
                self._finish(slot)
                settled = True
        if fields.get("ended") is True:
            if fetch.outstanding:
                self._rest_until_s[peer] = now.mono_s + COOLDOWN_S
            del self._fetches[peer]
        if settled:
            self._after_settling(now)
        if peer not in self._fetches:
            self._plan(now)

    def tick(self, now: Now) -> None:
        """Give up sources that stand still, and ask others."""
        for peer, fetch in list(self._fetches.items()):
            if self._ports.is_failed(peer) or now.mono_s > fetch.progress_s + PROGRESS_TIMEOUT_S:
                del self._fetches[peer]
                self._rest_until_s[peer] = now.mono_s + COOLDOWN_S
        if self._tasks:
            self._plan(now)

    def on_unreachable(self, peer: NodeId, now: Now) -> None:
        """The request did not reach it, or the link broke."""
        if self._fetches.pop(peer, None) is not None:
            self._rest_until_s[peer] = now.mono_s + COOLDOWN_S

    def _is_settled(self, task: _Task) -> bool:
        if task.good >= task.need.streams:
            return True
        for source in task.need.sources:
            if source not in task.asked and not self._ports.is_failed(source):
                return False
        return True

    def _finish(self, slot: int) -> None:
        task = self._tasks.pop(slot)
        self.complete[slot] = 1
        if task.good < task.need.streams and not self._told_short:
            self._told_short = True
            away = [name for name in task.need.sources if name not in task.asked]
            text = "slots are taken for complete although too few owners could stream them"
            if away:
                text += f": what only {', '.join(away)} may hold is found when they return"
            self._ports.emit(Emit("slots.filled-short", text, Severity.WARNING))

    def _after_settling(self, now: Now) -> None:
        self._ports.on_filled(now)
        if not self._tasks:
            self._on_done(now)

    def _plan(self, now: Now) -> None:
        """Settle what can be settled and ask for what nobody is streaming."""
        failed = {source: self._ports.is_failed(source) for source in self._sources}
        live = {s: s in self._fetches or self._may_ask(s, now) for s in self._sources}
        planned = self._heard, self.paused, failed, live, dict.fromkeys(self._fetches)
        if planned == self._planned:
            return
        self._planned = planned
        chosen: dict[_Task, list[NodeId] | None] = {}
        for task in dict.fromkeys(self._tasks.values()):
            sources = None
            if not (self.paused and task.need.moves):
                sources = _whom_to_ask(task, live, failed)
                if sources is not None:
                    sources = [source for source in sources if source not in self._fetches]
                if sources != []:
                    chosen[task] = sources
        wanted: dict[NodeId, list[int]] = {}
        finished: list[int] = []
        for slot, task in self._tasks.items() if chosen else ():
            if task in chosen:
                sources = chosen[task]
                if sources is None:
                    finished.append(slot)
                for source in sources or ():
                    wanted.setdefault(source, []).append(slot)
        for source, slots in wanted.items():
            self._ask(source, slots, now)
        for slot in finished:
            self._finish(slot)
        if finished:
            self._after_settling(now)

    def _may_ask(self, source: NodeId, now: Now) -> bool:
        resting = self._rest_until_s.get(source, 0.0) > now.mono_s
        return not resting and self._ports.is_live(source)

    def _ask(self, source: NodeId, slots: list[int], now: Now) -> None:
        number = self._numbers.take(())
        self._fetches[source] = _Fetch(number, slots, now.mono_s)
        fields = {
            "id": number,
            "cause": "stream" if self._joint else "repair",
            "slots": to_bitmap(slots),
        }
        self._ports.send(source, Lane.CONTROL, 0, ChangeStep(self._epoch, "fetch", fields))


def _whom_to_ask(
    task: _Task, live: Mapping[NodeId, bool], failed: Mapping[NodeId, bool]
) -> list[NodeId] | None:
    """Sources that may be asked now, as many as are lacking; None: no source is left to wait for."""
    lacking = task.need.streams - task.good
    waits = False
    found: list[NodeId] = []
    for source in task.need.sources:
        if lacking <= 0:
            break
        if source in task.asked or failed[source]:
            continue
        waits = True
        if live[source]:
            lacking -= 1
            found.append(source)
    return found if waits else None


def to_bitmap(slots: list[int]) -> bytes:
    """2048 bytes, one bit for each slot."""
    wanted = bytearray(SLOTS_COUNT)
    for slot in slots:
        wanted[slot] = 1
    # Bit k of byte n stands for slot 8n + k.
    number = 0
    for bit in range(8):
        number |= int.from_bytes(wanted[bit::8], "big") << bit
    return number.to_bytes(SLOTS_COUNT // 8, "big")


def from_bitmap(bits: object) -> list[int] | None:
    """The slots of a bitmap in ascending order; None: it is none."""
    if not isinstance(bits, bytes) or len(bits) != SLOTS_COUNT // 8:
        return None
    # The digits of one long binary number, least first: digit 8n + k is bit k of byte n.
    digits = f"{int.from_bytes(bits, 'little'):b}"[::-1].encode().translate(_FLAGS)
    return list(compress(_SLOTS, digits))


def slot_list(plain: object) -> list[int]:
    """The slots that a peer names; what is none is passed over."""
    if not isinstance(plain, list):
        return []
    if set(map(type, plain)) == {int} and min(plain) >= 0 and max(plain) < SLOTS_COUNT:
        return plain
    return [slot for slot in plain if isinstance(slot, int) and 0 <= slot < SLOTS_COUNT]


def _count(plain: object) -> int:
    return plain if isinstance(plain, int) and not isinstance(plain, bool) and plain > 0 else 0
