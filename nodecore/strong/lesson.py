"""What a learner still lacks of a slot, who has streamed it, and who is to be asked next.

Bookkeeping for ``learning``. A lesson never changes: slots with the same owners and the same progress
share one, and hearing of a stream moves a slot on to another lesson. So 16,384 slots cost little more
than the few ways in which they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from nodecore.ids import NodeId
from nodecore.replication.filling import from_bitmap
from nodecore.strong.standing import Duty, Needs


@final
class Lesson:
    """How far the learning of some slots has come.

    Args:
        duty: what this node has to do with them.
        lacking: else this node's own copy counts as one of those that are needed.
        needs: sources, and how many of each group must have streamed.
        good: sources that have streamed all they have, and whether that was complete.
    """

    __slots__ = ("_following", "duty", "enough", "good", "lacking", "needs")

    def __init__(
        self, duty: Duty, lacking: bool, needs: Needs, good: Mapping[NodeId, bool] | None = None
    ) -> None:
        self.duty = duty
        self.lacking = lacking
        self.needs = needs
        self.good: Mapping[NodeId, bool] = good or {}
        self.enough = all(
            sum(self.good.get(source, False) for source in sources) >= count
            for sources, count in needs
        )
        """Whether enough complete sources have streamed."""
        self._following: dict[object, Lesson] = {}

    @classmethod
    def first(cls, duty: Duty, lacking: bool) -> Lesson:
        """Nobody has streamed yet; nobody can be asked for what a sole owner has lost."""
        needs = tuple((names, count - (not lacking)) for names, count in duty.needs if names)
        return cls(duty, lacking, needs)

    def heard(self, source: NodeId, complete: bool) -> Lesson:
        """``source`` has streamed all it has."""
        found = self._following.get((source, complete))
        if found is None:
            good = {**self.good, source: complete}
            found = Lesson(self.duty, self.lacking, self.needs, good)
            self._following[source, complete] = found
        return found

    def content(self) -> Lesson:
        """What is there must do."""
        found = self._following.get(None)
        if found is None:
            found = self._following[None] = Lesson(self.duty, self.lacking, (), self.good)
        return found

    @property
    def all_heard(self) -> bool:
        """Whether every source has streamed, complete or not."""
        return all(source in self.good for sources, _count in self.needs for source in sources)

    @property
    def lost(self) -> bool:
        """Whether nobody can be asked for what is missing."""
        return self.all_heard and not self.enough

    def whom_to_ask(self, may_ask: Mapping[NodeId, bool]) -> list[NodeId]:
        """Enough sources for what is lacking, each once, of those that may be asked."""
        asked: dict[NodeId, None] = {}
        for sources, count in self.needs:
            lacking = count - sum(self.good.get(source, False) for source in sources)
            # Who has nothing complete may have it later; first ask those who have not answered.
            for source in sorted(sources, key=self.good.__contains__):
                if lacking <= 0:
                    break
                if may_ask[source] and not self.good.get(source):
                    lacking -= 1
                    asked[source] = None
        return list(asked)


@final
class Request:
    """Slots that one source has been asked to stream."""

    __slots__ = ("number", "outstanding", "progress_s")

    def __init__(self, number: int, slots: list[int], now_s: float) -> None:
        self.number = number
        self.outstanding = dict.fromkeys(slots)
        self.progress_s = now_s


def slots_of_fetch(fields: Mapping[str, object]) -> tuple[int, list[int]] | None:
    """(id, slots) of a ``strong-fetch``; None: it makes no sense."""
    slots, number = from_bitmap(fields.get("slots")), fields.get("id")
    return None if slots is None or not isinstance(number, int) else (number, slots)
