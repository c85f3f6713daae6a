"""How a proposal to the chain ends: once, and in one of four ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.placement.topology import Topology


class ProposalOutcome(Enum):
    """How a proposal ended."""

    CHOSEN = "chosen"
    LOST = "lost"
    """Another document was chosen for this epoch: plan anew on it."""
    FAILED = "failed"
    """It was not and will not be chosen."""
    UNKNOWN = "unknown"
    """Voters may have accepted it: it may have been chosen, or may still be."""


@dataclass(frozen=True, slots=True)
class ProposalResult:
    """What ``propose`` reports, once."""

    outcome: ProposalOutcome
    document: Topology | None
    """The newest chosen document at that moment."""
    code: Code | None = None
    """Why, unless chosen."""
    text: str = ""


OnResult: TypeAlias = Callable[[ProposalResult, Now], None]


def result_of(mine: Topology, chosen: Topology, *, sent: bool) -> ProposalResult:
    """How the proposal of ``mine`` ended, now that ``chosen`` is in force.

    ``sent``: voters were asked to accept ``mine``.
    """
    if chosen == mine:
        return ProposalResult(ProposalOutcome.CHOSEN, chosen)
    if chosen.epoch > mine.epoch and sent:
        text = "the chain moved on by more than one epoch"
        return ProposalResult(ProposalOutcome.UNKNOWN, chosen, Code.STALE_EPOCH, text)
    text = f"epoch {mine.epoch} went to another proposal: {chosen.reason}"
    return ProposalResult(ProposalOutcome.LOST, chosen, Code.STALE_EPOCH, text)
