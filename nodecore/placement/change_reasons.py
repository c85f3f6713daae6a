"""Why a change of the owners can't begin, go on or end: words for programs beside those for people.

They stand in refusals (``Failed.reason``), in ``ringdeck cluster change status --json`` and on the
screen. Append-only: scripts compare them. Decides nothing; who finds a reason names it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from nodecore.errors import Code


class ChangeReason(StrEnum):
    """One word each."""

    ANOTHER_CHANGE = "another-change"
    """One change at a time: another one is under way, or waits for approval."""
    APPROVAL_NEEDED = "approval-needed"
    """It is planned, and waits for ``ringdeck cluster change approve``."""
    REJECTED = "rejected"
    """A person turned it down a short while ago."""
    PAUSED = "paused"
    NOT_PAUSED = "not-paused"
    MAJORITY_UNREACHABLE = "majority-unreachable"
    """Nothing can be decided without a majority of the voters."""
    NOT_ENOUGH_MEMBERS = "not-enough-members"
    """Fewer members than copies would remain."""
    TARGET_DEAD = "target-dead"
    """A node that must take over slots has failed."""
    SOURCE_UNREACHABLE = "source-unreachable"
    """A node that must give its copies is neither reachable nor given up yet."""
    REPORT_MISSING = "report-missing"
    """A node that must take over slots has not said how far it is."""
    COORDINATOR_SILENT = "coordinator-silent"
    """Who drives the change does not answer; the first live voter takes over."""
    NO_CHANGE = "no-change"
    """Nothing is under way that could be steered."""
    NO_PROPOSAL = "no-proposal"
    """Nothing waits for approval."""
    TOO_LATE = "too-late"
    """The change has ended."""
    NOTHING_TO_CHANGE = "nothing-to-change"
    NOT_A_MEMBER = "not-a-member"
    ALREADY_A_MEMBER = "already-a-member"
    MEMBER_ALIVE = "member-alive"
    """It must leave instead of being removed."""
    MEMBER_FAILED = "member-failed"
    """It must be removed instead of leaving."""
    LAST_MEMBER = "last-member"
    LAST_VOTER = "last-voter"
    CLUSTER_FULL = "cluster-full"
    OVERTAKEN = "overtaken"
    """Another decision came first, again and again."""
    NO_TOPOLOGY = "no-topology"
    """This node knows no document yet."""
    INVALID = "invalid"
    """What was asked for breaks a rule."""


class Obstacle(NamedTuple):
    """What stands in the way."""

    reason: ChangeReason
    text: str


_BY_CODE: Final = {
    Code.CHANGE_RUNNING: ChangeReason.ANOTHER_CHANGE,
    Code.UNKNOWN_NODE: ChangeReason.NOT_A_MEMBER,
    Code.TAKEN: ChangeReason.ALREADY_A_MEMBER,
    Code.NO_QUORUM: ChangeReason.MAJORITY_UNREACHABLE,
    Code.NOT_READY: ChangeReason.NO_TOPOLOGY,
}


def reason_of(code: Code) -> ChangeReason:
    """The reason that a code by itself gives."""
    return _BY_CODE.get(code, ChangeReason.INVALID)
