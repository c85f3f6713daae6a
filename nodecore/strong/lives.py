"""What a node knows in its next life: for which slots its registers keep every promise.

A small record names the slots, the document that they were judged at, and the life that began the
registers; the registers name that life too. The record is believed only if both agree (the same
disk), and nothing written can have been lost: the machine has been up ever since, or the last life ended
in order, or every register was flushed before it counted. A process may die after it has kept a newer
document and before it has judged the slots by it: then they are judged now, as they would have been.
Whoever does not believe its record learns from others, see ``learning``.

A slot is voted on for all of its keys or for none. So all registers are flushed as soon as one strong
keyspace promises to survive a loss of power (see :func:`durability_of`). When that comes to be promised,
the registers that there are, and the life they name, are written once more; only then does the record
say so, because what was written before is gone with the power.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, final

from nodecore.effects import Emit, Severity
from nodecore.errors import InvalidTopology
from nodecore.ids import SLOTS_COUNT, NodeId, Now
from nodecore.placement.topology import Topology
from nodecore.storage.disk import Area, DiskError, Durability
from nodecore.strong.registers import MARKER, Registers
from transport.codec import pack_plain

if TYPE_CHECKING:
    from nodecore.node import Node

RECORD: Final = "strong"
BOOT_RECORD: Final = "boot"
"""Which life of the operating system this is, as the process found it; never written by the node."""
LOST_RECORD: Final = "lost"
"""Durabilities (lists of ``process``, ``power``) whose records did not outlive the last life, as the
process found it; never written by the node."""
REWRITTEN_PER_TICK_MAX: Final = 1_000
_FIRST_EPOCH: Final = 1


class _Kept(NamedTuple):
    document: Topology
    """At which the slots were judged."""
    states: bytes
    life: int
    boot: str
    closed: bool
    flushed: bool
    unheard: list[NodeId] | None
    """Of a founder that had not begun to vote: see ``founding``."""


@final
class Lives:
    """See the module.

    Args:
        node: whose records.
        registers: read back if they belong to the record.
        persisted: the records of an earlier life.
        unheard: of the founding.
    """

    def __init__(
        self,
        node: Node,
        registers: Registers,
        persisted: Mapping[str, object],
        unheard: Callable[[], list[NodeId] | None],
    ) -> None:
        self._node = node
        self._unheard = unheard
        self._registers = registers
        self._boot = persisted.get(BOOT_RECORD, "")
        lost = persisted.get(LOST_RECORD)
        self._lost: list[object] = lost if isinstance(lost, list) else []
        self._kept = _parse(persisted.get(RECORD))
        self._last: object = None
        self._states = b""
        self._flushing: list[bytes] | None = None
        """Keys whose registers are still to be written once more; None: nothing is being flushed."""
        self._life = self._begin(node.now)
        self._flushed = self._kept is not None and self._kept.flushed
        """Every register, and the marker, outlives a loss of power."""

    def _begin(self, now: Now) -> int:
        """Read what was kept; the number of the life that began the registers."""
        node, kept, registers = self._node, self._kept, self._registers
        try:
            marker = node.disk.store.get(Area.STRONG, MARKER)
            if kept is not None and marker == pack_plain(kept.life) and self._survived(kept):
                registers.restore(now)
                return kept.life
            registers.discard(now)
        except DiskError as error:
            registers.clear_memory()
            node.emit(Emit("strong.unreadable", str(error), Severity.ERROR))
        self._kept = None
        life = int(node.incarnation)
        self._mark(life, Durability.PROCESS, now)
        return life

    def _survived(self, kept: _Kept) -> bool:
        """Whether the records that the registers were in are those of the last life."""
        return "power" not in self._lost and (kept.flushed or "process" not in self._lost)

    def _mark(self, life: int, durability: Durability, now: Now) -> None:
        self._node.disk.put(Area.STRONG, MARKER, pack_plain(life), durability, None, now)

    def believed(self, topology: Topology) -> tuple[Topology, bytes] | None:
        """The states of the slots at a document, if what was kept is all that was ever promised."""
        kept = self._kept
        if kept is None or kept.document.age > topology.age:
            return None
        if kept.unheard is not None and topology.owners_epoch != _FIRST_EPOCH:
            # A founder that had not begun to vote can't go on founding.
            return None
        if any(k.durability == "memory" for k in topology.keyspaces if k.mode == "strong"):
            return None
        same = kept.closed or kept.boot == self._boot
        return (kept.document, kept.states) if same or kept.flushed else None

    def unheard(self, topology: Topology) -> list[NodeId] | None:
        """How far the founding had come that goes on; None: there is none, or owners have changed."""
        if self._kept is None or self.believed(topology) is None:
            return None
        return self._kept.unheard

    def on_topology(self, topology: Topology) -> None:
        """A newer document is in force, and what follows is written as it says."""
        if durability_of(topology) is not Durability.POWER:
            self._flushed, self._flushing = False, None
        elif not self._flushed and self._flushing is None:
            self._flushing = list(dict(self._registers.keys()))

    def tick(self, now: Now) -> None:
        """Flush some of what was written before that was promised."""
        keys = self._flushing
        if keys is None or self._flushed:
            return
        self._registers.rewrite(keys[-REWRITTEN_PER_TICK_MAX:], now)
        del keys[-REWRITTEN_PER_TICK_MAX:]
        if not keys:
            self._mark(self._life, Durability.POWER, now)
            # What was written in earlier ticks is flushed before.
            self._node.disk.when_synced(lambda _now: self._on_flushed(keys), now)

    def _on_flushed(self, keys: list[bytes]) -> None:
        if self._flushing is keys:
            self._flushed, self._flushing = True, None
            self.keep(self._states, closed=False)

    def keep(self, states: bytes, *, closed: bool) -> None:
        """Write down what holds now; ``closed``: the process ends in order."""
        self._states = states
        topology = self._node.chain.document
        if topology is None:
            return
        plain = [states, self._life, self._boot, closed, self._flushed, self._unheard()]
        if (topology, plain) != self._last:
            self._last = topology, plain
            self._node.persist(RECORD, [topology.to_plain(), *plain])


def durability_of(topology: Topology) -> Durability:
    """How every register is written: as the most careful of the strong keyspaces asks for."""
    asked = [Durability[k.durability.upper()] for k in topology.keyspaces if k.mode == "strong"]
    return max(asked, default=Durability.PROCESS)


def _parse(plain: object) -> _Kept | None:
    match plain:
        case [document, bytes(states), int(life), str(boot), bool(closed), bool(flushed), *others]:
            if len(states) == SLOTS_COUNT and not states.strip(b"\x00\x01\x02"):
                with contextlib.suppress(InvalidTopology):
                    known = Topology.from_plain(document)
                    unheard = _names(others)
                    return _Kept(known, states, life, boot, closed, flushed, unheard)
    return None


def _names(others: list[object]) -> list[NodeId] | None:
    match others:
        case [list(names)] if all(isinstance(name, str) for name in names):
            return [NodeId(name) for name in names]
    return None
