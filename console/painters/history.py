"""The sheet of the topology: the document in force, the change in flight, and how it came to be so.

The newest document stands first. Fits a sheet on 60 columns; wider ones leave the reason more room.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from console.formatting import MISSING, clip, clock, escape_text, number, percent, size
from console.painters.figures import fact_lines
from console.source import ClusterSnapshot, PastDocument
from console.topology_history import change_words
from console.view_models.scene import Scene

_ROW: Final = "{:>5} {:<8} {:<8} {:>2} {:<12} {:<6} {}"
_REASON_CELLS_MAX: Final = 200
_ONE_LINE_WIDTH: Final = 76
"""From here on there is room for a reason beside the rest."""


def history_lines(
    scene: Scene, history: Sequence[PastDocument] | None, problem: str, width: int
) -> list[str]:
    """The sheet's lines, none wider than ``width``; ``history`` None: it has not arrived yet."""
    lines = [*_now_lines(scene, width), ""]
    head = _ROW.format("EPOCH", "TIME", "STATE", "N", "CHANGE", "BY", "WHY")
    lines.append(clip(head if width >= _ONE_LINE_WIDTH else head.removesuffix(" WHY"), width))
    if problem:
        lines.append(clip(f"the history can't be read: {escape_text(problem)}", width))
    if history is None and not problem:
        lines.append("asking the nodes ...")
    elif not history:
        lines.append("no document is remembered")
    offset_s = scene.look.offset_s
    for document in reversed(history or ()):
        lines += [clip(line, width) for line in _lines_of(document, offset_s, width)]
    return [*lines, "", clip("joint: old and new members, while slots are copied", width)]


def _now_lines(scene: Scene, width: int) -> list[str]:
    snapshot, ring = scene.model.snapshot, scene.model.ring
    if snapshot.epoch is None:
        return ["no node has told its topology yet"]
    balance = ring.balance()
    facts = [
        f"epoch {snapshot.epoch}",
        snapshot.state,
        f"{len(snapshot.members)} nodes",
        f"{snapshot.replicas or MISSING} copies",
        f"{snapshot.vnodes or MISSING} vnodes",
    ]
    if balance is not None:
        facts.append(f"max/min {balance:.2f}x")
    return fact_lines("in force", facts, width) + _change_lines(snapshot, width)


def _change_lines(snapshot: ClusterSnapshot, width: int) -> list[str]:
    change = snapshot.change
    if change is None:
        return fact_lines("in flight", ("nothing",), width)
    facts = [f"{change.kind} {change.node_id}", change.state]
    if change.slots_total:
        done = percent(change.slots_done / change.slots_total)
        facts.append(f"{change.slots_done} of {change.slots_total} slots ({done})")
    facts += [f"{number(change.keys_moved)} keys", f"{size(change.bytes_moved)}B copied"]
    if change.reason:
        facts.append(escape_text(change.reason, 80))
    return fact_lines("in flight", facts, width)


def _lines_of(document: PastDocument, offset_s: int, width: int) -> list[str]:
    """One line, or on a narrow sheet a second one for the reason."""
    at_ms = document.proposed_ms or document.seen_ms
    reason = escape_text(document.reason, _REASON_CELLS_MAX)
    beside = width >= _ONE_LINE_WIDTH
    line = _ROW.format(
        document.epoch,
        clock(at_ms, offset_s) if at_ms else MISSING,
        document.state,
        document.members,
        clip(escape_text(change_words(document), 60), 12),
        clip(escape_text(document.proposer or MISSING, 20), 6),
        reason if beside else "",
    ).rstrip()
    return [line] if beside or not reason else [line, f"      {reason}"]
