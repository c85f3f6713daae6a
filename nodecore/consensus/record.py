"""The acceptor's durable record as plain data. Damage is refused: a guess could break a promise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from nodecore.consensus.acceptor import AcceptorState
from nodecore.consensus.ballot import Ballot
from nodecore.errors import InvalidTopology


@dataclass(frozen=True, slots=True)
class AcceptorRecord:
    """What a voter must remember about the instance that follows its newest document."""

    epoch: int
    """The instance."""
    state: AcceptorState = field(default_factory=AcceptorState)
    counter_used: int = 0
    """Highest counter that this node itself proposed with in this instance."""
    abstains_until_born: int = 0
    """This node lost its memory: it votes only once its member entry was born at or after this
    epoch; 0 = it votes."""

    def to_plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "epoch": self.epoch,
            "promised": list(self.state.promised),
            "accepted_ballot": list(self.state.accepted_ballot),
            "accepted": self.state.accepted,
            "counter_used": self.counter_used,
            "abstains_until_born": self.abstains_until_born,
        }

    @classmethod
    def from_plain(cls, plain: object) -> AcceptorRecord:
        """Parse what ``to_plain`` gave.

        Raises:
            InvalidTopology: the shape is wrong.
        """
        try:
            shape = msgspec.convert(plain, _Shape)
        except msgspec.ValidationError as error:
            raise InvalidTopology(f"acceptor record: {error}") from None
        return cls(
            shape.epoch,
            AcceptorState(Ballot(*shape.promised), Ballot(*shape.accepted_ballot), shape.accepted),
            shape.counter_used,
            shape.abstains_until_born,
        )


@dataclass(frozen=True, slots=True)
class _Shape:
    epoch: int
    promised: tuple[int, str]
    accepted_ballot: tuple[int, str]
    accepted: Any
    counter_used: int
    abstains_until_born: int
