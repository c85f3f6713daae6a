"""What a node knows in its next life: for which slots its registers keep every promise.

A small record names the slots, the document that they were judged at, and the life that began the
registers; the registers name that life too. The record is believed only if both agree (the same
disk), the document is the one in force, and nothing written can have been lost: the machine has been up
ever since, or the last life ended in order, or every record was flushed before it counted. Whoever
does not believe its record learns from others, see ``learning``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, final

from nodecore.effects import Emit, Severity
from nodecore.ids import SLOTS_COUNT, Now
from nodecore.placement.topology import Topology
from nodecore.storage.disk import Area, DiskError, Durability
from nodecore.strong.registers import MARKER, Registers
from transport.codec import pack_plain

if TYPE_CHECKING:
    from nodecore.node import Node

RECORD: Final = "strong"
BOOT_RECORD: Final = "boot"
"""Which life of the operating system this is, as the process found it; never written by the node."""


class _Kept(NamedTuple):
    epoch: int
    states: bytes
    life: int
    boot: str
    closed: bool


@final
class Lives:
    """See the module.

    Args:
        node: whose records.
        registers: read back if they belong to the record.
        persisted: the records of an earlier life.
    """

    def __init__(self, node: Node, registers: Registers, persisted: Mapping[str, object]) -> None:
        self._node = node
        self._boot = persisted.get(BOOT_RECORD, "")
        self._kept = _parse(persisted.get(RECORD))
        self._last: object = None
        self._life = self._begin(registers, node.now)

    def _begin(self, registers: Registers, now: Now) -> int:
        """Read what was kept; the number of the life that began the registers."""
        node, kept = self._node, self._kept
        try:
            marker = node.disk.store.get(Area.STRONG, MARKER)
            if kept is not None and marker == pack_plain(kept.life):
                registers.restore(now)
                return kept.life
            registers.discard(now)
        except DiskError as error:
            registers.clear_memory()
            node.emit(Emit("strong.unreadable", str(error), Severity.ERROR))
        self._kept = None
        life = int(node.incarnation)
        node.disk.put(Area.STRONG, MARKER, pack_plain(life), Durability.PROCESS, None, now)
        return life

    def believed(self, topology: Topology) -> bytes | None:
        """The states of the slots, if what was kept is all that this node ever promised."""
        kept = self._kept
        if kept is None or kept.epoch != topology.epoch:
            return None
        strong = [k.durability for k in topology.keyspaces if k.mode == "strong"]
        if "memory" in strong:
            return None
        same = kept.closed or kept.boot == self._boot
        flushed = all(durability == "power" for durability in strong)
        return kept.states if same or flushed else None

    def keep(self, states: bytes, *, closed: bool) -> None:
        """Write down what holds now; ``closed``: the process ends in order."""
        topology = self._node.chain.document
        if topology is None:
            return
        plain = [int(topology.epoch), states, self._life, self._boot, closed]
        if plain != self._last:
            self._last = plain
            self._node.persist(RECORD, plain)


def _parse(plain: object) -> _Kept | None:
    match plain:
        case [int(epoch), bytes(states), int(life), str(boot), bool(closed)]:
            if len(states) == SLOTS_COUNT and not states.strip(b"\x00\x01\x02"):
                return _Kept(epoch, states, life, boot, closed)
    return None
