"""FLUSHALL: a new flush generation of the topology, which makes everything older void at once.

It proposes; that the stores follow is part of adopting a document.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from nodecore.consensus.outcome import ProposalOutcome, ProposalResult
from nodecore.doors.session import OnOutcome
from nodecore.errors import Code
from nodecore.ids import Now
from nodecore.placement.policies import propose_flush
from nodecore.requests import Done, Failed, Outcome, Unknown

if TYPE_CHECKING:
    from nodecore.node import Node


def flush(node: Node, on_outcome: OnOutcome, now: Now) -> Outcome | None:
    """Propose a document of the next flush generation; answered once it is decided."""
    document = node.chain.document
    if document is None:
        return Failed(Code.NOT_READY, "this node knows no topology yet", 0.5)
    proposal = propose_flush(document, node.clock.next(now).hlc)
    node.chain.propose(proposal, partial(_answer_flush, on_outcome), now)
    return None


def _answer_flush(on_outcome: OnOutcome, result: ProposalResult, now: Now) -> None:
    code, text = result.code or Code.INTERNAL, result.text
    outcome: Outcome
    match result.outcome:
        case ProposalOutcome.CHOSEN:
            outcome = Done(None)
        case ProposalOutcome.UNKNOWN:
            outcome = Unknown(code, text)
        case _:
            outcome = Failed(code, text)
    on_outcome(outcome, now)
