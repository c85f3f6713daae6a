"""The chain's past at one node: what each document changed, who had it decided, and when.

Every adopted document leaves one line, in a bounded record that survives a restart. A node that
joined late, or skipped documents, asks the other members for the lines it lacks, one after the
other, until nobody has them. Decides nothing; the newest document itself is ``consensus.chain``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

import msgspec

from nodecore.ids import NodeId, Now
from nodecore.placement.topology import Topology
from transport.messages import ChangeStep, Lane, Message

HISTORY_RECORD: Final = "history"
LINES_KEPT: Final = 128
LINES_PER_ANSWER_MAX: Final = 128
REASON_CHARACTERS_MAX: Final = 200
NAMES_PER_LINE_MAX: Final = 16
ASK_INTERVAL_S: Final = 2.0
_TEXT_CHARACTERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class PastDocument:
    """One line of the history."""

    generation: int
    epoch: int
    state: str
    """``stable``, ``joint`` or ``proposal``."""
    reason: str
    proposer: str
    """Who had it decided; empty for the first document."""
    proposed_ms: int
    """Its wall clock; 0: unknown."""
    seen_ms: int
    """Wall clock of the node that wrote this line, when it adopted the document."""
    kind: str = ""
    """Of the change that begins, goes on or waits here."""
    node_id: str = ""
    coordinator: str = ""
    members: int = 0
    added: tuple[str, ...] = ()
    """Members that the document before did not count, as far as it was known."""
    removed: tuple[str, ...] = ()

    @property
    def age(self) -> tuple[int, int]:
        """Order of the lines."""
        return (self.generation, self.epoch)


def line_of(document: Topology, previous: Topology | None, now: Now) -> PastDocument:
    """What is remembered of ``document``."""
    change, wish = document.change, document.proposal
    known = previous is not None and previous.epoch + 1 == document.epoch
    old = [str(m.node_id) for m in previous.members] if previous is not None and known else None
    new = [str(m.node_id) for m in document.members]
    if document.epoch == 1:
        old = []
    state = "joint" if change is not None else "stable" if wish is None else "proposal"
    subject = change or wish
    return PastDocument(
        document.generation,
        document.epoch,
        state,
        document.reason[:REASON_CHARACTERS_MAX],
        str(document.proposer),
        document.proposed_ms,
        now.wall_ms,
        kind="" if subject is None else subject.kind,
        node_id="" if subject is None else str(subject.node_id),
        coordinator="" if change is None else str(change.coordinator),
        members=len(new),
        added=() if old is None else tuple(n for n in new if n not in old)[:NAMES_PER_LINE_MAX],
        removed=() if old is None else tuple(n for n in old if n not in new)[:NAMES_PER_LINE_MAX],
    )


@final
class ChangeHistory:
    """The history of one node.

    Args:
        send: of the node.
        persist: by name, as plain data.
        records: those of an earlier life.
    """

    def __init__(
        self,
        send: Callable[[NodeId, Lane, int, Message], None],
        persist: Callable[[str, object], None],
        records: Mapping[str, object],
    ) -> None:
        self._send = send
        self._persist = persist
        self._lines: dict[tuple[int, int], PastDocument] = {}
        for line in _parse(records.get(HISTORY_RECORD)):
            self._lines[line.age] = line
        self._document: Topology | None = None
        self._own: NodeId | None = None
        self._to_ask: list[NodeId] = []
        self._asked_s = -ASK_INTERVAL_S

    def note(self, document: Topology, previous: Topology | None, own: NodeId, now: Now) -> None:
        """A document is in force here."""
        self._document, self._own = document, own
        line = line_of(document, previous, now)
        if line.age not in self._lines or previous is not None:
            self._lines[line.age] = line
            self._trim()
            self._save()
        if self._gaps():
            self._to_ask = [m.node_id for m in document.all_members if m.node_id != own]

    def lines(self, count: int = LINES_KEPT) -> list[PastDocument]:
        """The newest ``count``, oldest first."""
        ordered = [self._lines[age] for age in sorted(self._lines)]
        return ordered[max(0, len(ordered) - count) :]

    def tick(self, is_live: Callable[[NodeId], bool], now: Now) -> None:
        """Ask one more member for what is lacking."""
        if not self._to_ask or now.mono_s < self._asked_s + ASK_INTERVAL_S:
            return
        document = self._document
        if document is None or not self._gaps():
            self._to_ask.clear()
            return
        live = [peer for peer in self._to_ask if is_live(peer)]
        if not live:
            return
        self._asked_s = now.mono_s
        self._to_ask.remove(live[0])
        self._send(live[0], Lane.CONTROL, 0, ChangeStep(document.epoch, "history", {}))

    def on_step(self, peer: NodeId, step: str, fields: object) -> bool:
        """A ``history`` question or a ``past`` answer; False: the step is another room's."""
        if step == "history":
            plain = [msgspec.to_builtins(line) for line in self.lines(LINES_PER_ANSWER_MAX)]
            epoch = 0 if self._document is None else self._document.epoch
            self._send(peer, Lane.CONTROL, 0, ChangeStep(epoch, "past", {"lines": plain}))
            return True
        if step != "past":
            return False
        found = _parse(fields.get("lines") if isinstance(fields, dict) else None)
        document = self._document
        new = [
            line
            for line in found
            if line.age not in self._lines and document is not None and line.age < document.age
        ]
        if new:
            self._lines.update((line.age, line) for line in new)
            self._trim()
            self._save()
        return True

    def _gaps(self) -> bool:
        """Whether lines that could be known are missing."""
        ages = sorted(self._lines)
        if not ages or len(ages) >= LINES_KEPT:
            return False
        newest = [epoch for generation, epoch in ages if generation == ages[-1][0]]
        begun = newest[0] == 1 or ages[0][0] < ages[-1][0]
        return not begun or newest[-1] - newest[0] + 1 != len(newest)

    def _trim(self) -> None:
        for age in sorted(self._lines)[: max(0, len(self._lines) - LINES_KEPT)]:
            del self._lines[age]

    def _save(self) -> None:
        self._persist(HISTORY_RECORD, [msgspec.to_builtins(line) for line in self.lines()])


def _parse(plain: object) -> list[PastDocument]:
    """Lines that a peer or the disk holds; whatever is no line is left out."""
    found = []
    for entry in plain[:LINES_KEPT] if isinstance(plain, list) else []:
        try:
            line = msgspec.convert(entry, PastDocument)
        except msgspec.ValidationError:
            continue
        own = (line.proposer, line.kind, line.node_id, line.coordinator, line.state)
        names = (*own, *line.added, *line.removed)
        short = all(len(name) <= _TEXT_CHARACTERS_MAX for name in names)
        few = max(len(line.added), len(line.removed)) <= NAMES_PER_LINE_MAX
        if short and few and len(line.reason) <= REASON_CHARACTERS_MAX:
            found.append(line)
    return found
