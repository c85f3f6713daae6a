"""What the owners have said about one key, and whether that is enough.

Pure bookkeeping for :mod:`nodecore.replication.reads`: the newest entry seen, who knew nothing, who
lags behind. It asks nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId, Now, Version
from nodecore.limits import READ_BYTES_MAX
from nodecore.replication.hints import Hint
from nodecore.requests import Done, Failed, Flag, Level, Outcome, Value
from nodecore.routing import Route
from nodecore.table.interface import Entry, Kind


class Found(NamedTuple):
    """An entry as an owner holds it."""

    kind: int
    value: bytes
    hlc: int
    node: int
    expires_ms: int

    def dead(self, wall_ms: int) -> bool:
        """A tombstone, or past its expiry."""
        return self.kind == Kind.TOMBSTONE or 0 < self.expires_ms <= wall_ms

    def newer_than(self, other: Found | None) -> bool:
        """By version, then by value: any total order will do here, the store has the last word."""
        if other is None:
            return True
        return (self.hlc, self.node, self.value) > (other.hlc, other.node, other.value)

    def value_seen(self) -> Value:
        """As a client sees it."""
        return Value(self.value, Version(self.hlc, self.node), self.expires_ms, self.kind)


TOO_MUCH: Final = Failed(
    Code.ANSWER_TOO_LARGE,
    f"the values together exceed {READ_BYTES_MAX} bytes: ask for fewer keys at once",
)


class ReadOperation:
    """One request and its open keys."""

    __slots__ = (
        "counts", "flags", "level", "on_outcome", "open", "restarts", "results", "room_bytes", "settled",
        "started",
    )  # fmt: skip

    def __init__(
        self,
        level: Level,
        count: int,
        on_outcome: Callable[[Outcome, Now], None],
        counts: bool = True,
    ) -> None:
        self.level = level
        self.counts = counts
        """Whether each key is used by a client: exactly once, however many owners are asked."""
        self.results: list[Value | Failed | None] = [None] * count
        self.on_outcome = on_outcome
        self.room_bytes = READ_BYTES_MAX
        """What the values still to come may take."""
        self.open = 0
        self.flags = Flag.NONE
        self.settled = False
        self.started = False
        """The request has returned: from here on the outcome goes to the callback."""
        self.restarts = 0

    def outcome(self) -> Outcome:
        """The answer; a request whose keys all failed has failed."""
        first = self.results[0] if self.results else None
        if isinstance(first, Failed) and all(isinstance(item, Failed) for item in self.results):
            return first
        return Done(self.results, self.flags)


class KeyRead:
    """One key of a read that could not be answered at once."""

    __slots__ = (
        "absent", "answers", "asked", "best", "counted_by", "done", "epoch", "heard", "holders", "index",
        "key", "needed", "operation", "outstanding", "route",
    )  # fmt: skip

    def __init__(
        self,
        operation: ReadOperation,
        index: int,
        key: bytes,
        route: Route,
        needed: int,
        epoch: Epoch,
    ) -> None:
        self.operation = operation
        self.index = index
        self.key = key
        self.route = route
        self.epoch = epoch
        """Of the route: what is asked and answered at another one does not count."""
        self.needed = needed
        """Answers that a hit needs."""
        self.outstanding = 0
        self.done = False
        self.asked: dict[NodeId, bool] = {}
        self.counted_by: NodeId | None = None
        """The owner that counts this use; None: nobody yet that holds the key."""
        self.answers = 0
        self.absent = 0
        self.best: Found | None = None
        self.holders: dict[NodeId, Found | None] = {}
        self.heard: dict[NodeId, None] = {}
        """Who has answered at this epoch, knowing the key or not."""

    def begin_again(self, route: Route, epoch: Epoch) -> None:
        """Forget all answers: they belong to an earlier epoch."""
        self.route = route
        self.epoch = epoch
        self.asked = {}
        self.answers = self.absent = 0
        self.best = None
        self.holders = {}
        self.heard = {}

    def count_at(self, owner: NodeId) -> bool:
        """Whether ``owner``, about to be asked, is to count the use: the first one is."""
        if not self.operation.counts or self.counted_by is not None:
            return False
        self.counted_by = owner
        return True

    def not_counted(self, owner: NodeId) -> None:
        """``owner`` had nothing that could be used, or did not look."""
        if self.counted_by == owner:
            self.counted_by = None

    def hear(self, node: NodeId, found: Found | None, *, known: bool) -> None:
        """``node`` has answered; ``known``: its copy of the slot is complete."""
        self.asked[node] = True
        self.heard[node] = None
        if known and node in self.route.owners:
            self.note(node, found)
        elif found is not None:
            self.offer(found)

    def note(self, node: NodeId, found: Found | None) -> None:
        """The owner ``node`` holds ``found``, or knows nothing of the key. Counted once for each node."""
        if node in self.holders:
            return
        self.holders[node] = found
        self.answers += 1
        if found is None:
            self.absent += 1
        elif found.newer_than(self.best):
            self.best = found

    def offer(self, found: Found) -> None:
        """Something that an owner should hold and does not yet: known, and nobody's answer."""
        if found.newer_than(self.best):
            self.best = found

    @property
    def missing(self) -> int:
        """Answers still needed, as things look now."""
        missing = self.needed - self.answers
        if self.best is None and self.absent:
            missing = max(self.route.absences - self.absent, missing)
        return missing if self.route.owners_next is None else max(missing, self.unfenced)

    @property
    def unfenced(self) -> int:
        """Owners to be that must still answer, see ``Route.fences_needed``.

        A miss is looked for when an owner has reported one: whoever is asked answers for the key, and
        with R=1 that is the first owner, as in any epoch.
        """
        following = self.route.owners_next
        if following is None:
            return 0
        found = self.best is not None or not self.absent
        needed = self.route.fences_needed(self.operation.level, found=found)
        return needed - sum(node in self.heard for node in following)

    @property
    def decided(self) -> bool:
        """Whether the answer is known."""
        return self.answers > 0 and self.missing <= 0

    def lagging(self) -> list[NodeId]:
        """Owners that hold less than the best answer."""
        best = self.best
        return [node for node, found in self.holders.items() if found != best]


def parse_answer(plain: object) -> tuple[bool, Found | None]:
    """(whether the owner could say, what it holds) from an element of ``PeerValues.entries``."""
    if plain is None:
        return True, None
    if not isinstance(plain, list) or len(plain) != 5:
        return False, None
    kind, value, hlc, node, expires_ms = plain
    if (
        isinstance(kind, int)
        and isinstance(value, bytes)
        and isinstance(hlc, int)
        and isinstance(node, int)
        and isinstance(expires_ms, int)
    ):
        return True, Found(kind, value, hlc, node, expires_ms)
    return False, None


def found_of(entry: Entry) -> Found:
    """An entry of this node's own."""
    return Found(entry.kind, entry.value, entry.hlc, entry.node, entry.expires_ms)


def hinted(hint: Hint) -> Found:
    """What an owner has missed."""
    return Found(hint.kind, hint.value, hint.version.hlc, hint.version.node, hint.expires_ms)


def done_reads(outcome: Outcome) -> list[Value | Failed | None]:
    """Results of a read outcome; a failed one as a list of one failure."""
    if isinstance(outcome, Done):
        assert isinstance(outcome.result, list)
        return outcome.result
    return [Failed(outcome.code, outcome.text)]
