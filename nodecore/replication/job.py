"""One version on its way to the owners of its keys: the state of a replication.

A job holds keys that share version, kind and expiry, split into *parts* by route. Each part has a
tally of its owners and, in a joint epoch, a second one of the owners to be: it needs both. A part is
settled when it has reached its quorum, or can't, or nobody is left to wait for.

Several requests may share a job; each has a *claim* on its rows, which is settled as soon as the
parts that hold these rows are, so that a slow owner delays only those who need it.

It decides the outcome. Sending is :mod:`nodecore.replication.replicator`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, final

from nodecore.errors import Code
from nodecore.ids import Epoch, Incarnation, NodeId, Now, Version
from nodecore.replication.quorum import Tally, Verdict
from nodecore.requests import Done, Failed, Flag, Level, Outcome, Unknown
from nodecore.routing import Route
from nodecore.table.interface import Entry
from transport.messages import PeerWrite

OnSettled: TypeAlias = Callable[[Outcome, Now], None]


class Part:
    """The keys of a job under one route, and who has acknowledged them."""

    __slots__ = ("claims", "indexes", "new", "old", "reached", "route", "settled")

    def __init__(self, route: Route, indexes: list[int], level: Level, epoch: Epoch) -> None:
        self.route = route
        self.indexes = indexes
        self.old = Tally(route.owners, route.writes_needed(level, route.n), epoch)
        following = route.owners_next
        self.new: Tally | None = None
        if following is not None:
            self.new = Tally(following, route.writes_needed(level, len(following)), epoch)
        self.reached = False
        self.settled = False
        self.claims: list[Claim] = []
        """Those with keys in this part."""

    def ack(self, node: NodeId, epoch: Epoch, incarnation: Incarnation) -> None:
        """``node`` has applied all keys of this part."""
        self.old.ack(node, epoch, incarnation)
        if self.new is not None:
            self.new.ack(node, epoch, incarnation)

    def fail(self, node: NodeId) -> None:
        """``node`` will not acknowledge."""
        self.old.fail(node)
        if self.new is not None:
            self.new.fail(node)

    @property
    def verdict(self) -> Verdict:
        """Of both sets together."""
        old = self.old.verdict
        if self.new is None or old is Verdict.IMPOSSIBLE:
            return old
        new = self.new.verdict
        if new is Verdict.REACHED:
            return old
        return new

    def has(self, node: NodeId) -> bool:
        """Whether ``node`` has acknowledged, as an owner of either set."""
        return self.old.has(node) or (self.new is not None and self.new.has(node))

    def refused_in(self, refusals: dict[int, dict[NodeId, Code]]) -> bool:
        """Whether any key of this part was refused by somebody."""
        return any(index in refusals for index in self.indexes)

    def refused_first(self, refused: dict[NodeId, Code]) -> Code | None:
        """Why the first live owner of either set refused a key; None when it did not.

        Reads ask that owner before all others: what it has refused, they would not find.
        """
        for tally in (self.old, self.new):
            first = None if tally is None else tally.first_live
            if first is not None and first in refused:
                return refused[first]
        return None

    @property
    def touched(self) -> bool:
        """Whether anybody of either set holds it."""
        return self.old.copies > 0 or (self.new is not None and self.new.copies > 0)

    @property
    def copies(self) -> int:
        """Distinct processes of the weaker set."""
        if self.new is None:
            return self.old.copies
        return min(self.old.copies, self.new.copies)


@final
class Claim:
    """What one request has in a job.

    Args:
        rows: positions of its keys in the job, in the order of the request.
        on_settled: called at most once, and not when the replicator returned the outcome.
    """

    __slots__ = ("on_settled", "open", "outcome", "rows")

    def __init__(self, rows: Sequence[int], on_settled: OnSettled) -> None:
        self.rows = rows
        self.on_settled = on_settled
        self.outcome: Outcome | None = None
        self.open = 0
        """Parts that are not settled."""


class Job:
    """One replication.

    Args:
        keys: at least one, each once.
        values: one for each key; empty ones for tombstones.
        kind: of all entries.
        version: of all entries.
        expires_ms: of all entries; 0 never.
        level: consistency that the request asked for.
        claims: of the requests that share the job; at least one.
    """

    __slots__ = (
        "claims", "expires_ms", "frame", "keys", "kind", "level", "missed",
        "outcome", "parts", "possible", "refusals", "replaced", "restarts", "round", "taken_back", "values",
        "version", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        keys: Sequence[bytes],
        values: Sequence[bytes],
        kind: int,
        version: Version,
        expires_ms: int,
        level: Level,
        claims: list[Claim],
    ) -> None:
        self.keys = keys
        self.values = values
        self.kind = kind
        self.version = version
        self.expires_ms = expires_ms
        self.level = level
        self.claims = claims
        self.parts: list[Part] = []
        self.waiting = 0
        """Frames that have not been answered."""
        self.possible = False
        """Some frame may have been applied although nobody acknowledged it."""
        self.refusals: dict[int, dict[NodeId, Code]] = {}
        """Position of a key -> who refused it, and why."""
        self.taken_back: set[int] = set()
        """Positions of keys whose only copy, the coordinator's own, was undone: a read may have seen
        it, and brought it elsewhere, before."""
        self.replaced: dict[bytes, Entry] = {}
        """What the coordinator held of a key before: peers may refuse the new version's time."""
        self.missed: list[tuple[NodeId, list[Part]]] = []
        """Who needs a hint, once the outcome is known not to be a failure."""
        self.outcome: Outcome | None = None
        self.round = 0
        self.restarts = 0
        self.frame: tuple[list[Part], PeerWrite] | None = None
        """The last columnar frame: peers that own the same parts get the same object."""

    @property
    def settled(self) -> bool:
        """Whether the outcome is known."""
        return self.outcome is not None

    @property
    def strict(self) -> bool:
        """Whether the request named its level."""
        return self.level is not Level.DEFAULT

    def begin_round(self, parts: list[Part]) -> None:
        """Start counting anew, at the epoch of ``parts``."""
        self.possible = self.possible or any(part.touched for part in self.parts)
        self.parts = parts
        self.frame = None
        self.round += 1
        self.waiting = 0
        self.missed = []
        self.refusals = {}
        if len(self.claims) == 1 or len(parts) == 1:
            for claim in self.claims:
                if claim.outcome is None:
                    claim.open = len(parts)
                    for part in parts:
                        part.claims.append(claim)
            return
        part_of: list[Part] = [parts[0]] * len(self.keys)
        for part in parts:
            for index in part.indexes:
                part_of[index] = part
        for claim in self.claims:
            if claim.outcome is None:
                # In order of the rows, each part once.
                touched = dict.fromkeys(map(part_of.__getitem__, claim.rows))
                claim.open = len(touched)
                for part in touched:
                    part.claims.append(claim)

    def judge(self) -> list[Claim]:
        """Settle what can be settled now; returns the claims that have just been settled."""
        if self.outcome is not None:
            return []
        settled: list[Claim] = []
        left = 0
        for part in self.parts:
            if part.settled:
                continue
            if self.refusals and self.waiting and part.refused_in(self.refusals):
                # Acknowledged frames are no copies of what was refused: hear everybody first.
                left += 1
                continue
            if not part.reached:
                verdict = part.verdict
                if verdict is Verdict.REACHED:
                    part.reached = True
                elif self.waiting and not (self.strict and verdict is Verdict.IMPOSSIBLE):
                    left += 1
                    continue
            part.settled = True
            # Settled early for want of owners: what is still under way may be applied.
            self.possible = self.possible or (self.waiting > 0 and not part.reached)
            for claim in part.claims:
                claim.open -= 1
                if not claim.open:
                    settled.append(claim)
        copies = self._plain_copies()
        for claim in settled:
            claim.outcome = self._outcome_of(claim.rows, copies)
        if not left:
            only = self.claims[0].outcome if len(self.claims) == 1 else None
            self.outcome = only or self._outcome_of(range(len(self.keys)), copies)
        return settled

    def _plain_copies(self) -> int | None:
        """The least number of copies in the settled parts; None when anything went wrong in one."""
        if self.refusals:
            return None
        least: int | None = None
        for part in self.parts:
            if part.settled:
                if not part.reached:
                    return None
                least = part.copies if least is None else min(least, part.copies)
        return least

    def _outcome_of(self, rows: Sequence[int], copies: int | None) -> Outcome:
        """Of settled rows; ``copies`` when all of them are plainly done."""
        if copies is not None:
            return Done([self.version] * len(rows), Flag.NONE, copies)
        part_of = {index: part for part in self.parts for index in part.indexes}
        results: list[Version | Failed] = [self.version] * len(rows)
        flags = Flag.NONE
        copies_least: int | None = None
        failures: list[Failed] = []
        uncertain = False
        for position, index in enumerate(rows):
            part = part_of[index]
            failed, held = self._judge_key(part, index)
            if failed is not None:
                doubtful = held > 0 or self.possible or index in self.taken_back
                uncertain = uncertain or doubtful
                failures.append(failed)
                # Beside keys that succeeded there is no outcome of its own: the words must say it.
                results[position] = _in_doubt(failed) if doubtful else failed
                continue
            if held < part.old.needed or (part.new is not None and not part.reached):
                flags |= Flag.SLOPPY
            copies_least = held if copies_least is None else min(copies_least, held)
        if len(failures) < len(rows):
            return Done(results, flags, copies_least or 0)
        first = failures[0]
        if uncertain:
            return Unknown(first.code, _in_doubt(first).text)
        return first

    def surely_failed(self, part: Part, index: int) -> bool:
        """Whether a key was reported as failed, and without doubt: it must not come about later."""
        if index not in self.refusals:
            return not part.touched and not self.possible
        failed, held = self._judge_key(part, index)
        return failed is not None and held == 0 and not self.possible

    def _judge_key(self, part: Part, index: int) -> tuple[Failed | None, int]:
        """(why this key failed or None, its copies)."""
        refused = self.refusals.get(index)
        copies = part.copies
        if refused:
            holders = [node for node in part.route.targets if part.has(node)]
            holders = [node for node in holders if node not in refused]
            copies = min(copies, sum(1 for node in holders if part.old.has(node)))
            code = part.refused_first(refused)
            if code is None and copies < part.old.needed:
                code = next(iter(refused.values()))
            if code is not None:
                # Whoever holds it, of either set, keeps it.
                return Failed(code, _REFUSAL_TEXTS.get(code, code.name)), len(holders)
        if part.reached:
            return None, copies
        if self.strict or copies == 0 or part.route.keyspace.on_partition != "available":
            needed = part.old.needed
            code = Code.NOT_ENOUGH_COPIES
            failed = Failed(code, f"{copies} of {needed} copies acknowledged")
            return failed, max(copies, int(part.touched))
        return None, copies


def _in_doubt(failed: Failed) -> Failed:
    """The failure of a write of which some copy may exist."""
    return Failed(failed.code, f"{failed.text}; some copies may have been written")


_REFUSAL_TEXTS: Final = {
    Code.OUT_OF_MEMORY: "command not allowed when used memory > 'maxmemory'",
    Code.CLOCK_SKEW: "this node's clock is too far ahead of its peers",
    Code.CANCELLED: "a flush came between",
}
