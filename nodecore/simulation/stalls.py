"""Messages about strong keys that get stuck: one that is late at the wrong moment shows more than a slow
link.

What is behind a stuck message on its link waits as well, as it does in TCP. Beside that, somebody may
wait here for the moment in which a message is sent. It decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from nodecore.ids import NodeId
from nodecore.strong.learning import STREAMED
from nodecore.strong.room import COPY_CAUSE
from transport.messages import ChangeStep, Message, PeerApply, StrongAsk

COPY: Final = 255
"""A page of registers on its way to a learner, beside the kinds of rows."""
END_OF_COPIES: Final = 254
"""What a learner waits for after the pages."""


@final
class Stalls:
    """What gets stuck now, of one key.

    Args:
        key: which messages are about.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._rules: dict[tuple[NodeId, NodeId, int], float] = {}
        self._expected: dict[tuple[NodeId, NodeId, int], Callable[[], None]] = {}

    def stall(self, sender: NodeId, receiver: NodeId, kind: int, for_s: float) -> None:
        """Messages of a kind are stuck for so long."""
        self._rules[sender, receiver, kind] = for_s

    def expect(
        self, sender: NodeId, receiver: NodeId, kind: int, action: Callable[[], None]
    ) -> None:
        """Call back, once, when a message of this kind is sent."""
        self._expected[sender, receiver, kind] = action

    def stalled_s(self, sender: NodeId, receiver: NodeId, message: Message) -> float:
        """See ``Network.stalled_s``."""
        return max(
            (self._take(sender, receiver, kind) for kind in self._kinds(message)), default=0.0
        )

    def _kinds(self, message: Message) -> list[int]:
        if isinstance(message, PeerApply):
            entries = message.entries if isinstance(message.entries, list) else []
            keys = [entry[0] for entry in entries if isinstance(entry, list)]
            return [COPY] if message.cause == COPY_CAUSE and self._key in keys else []
        if isinstance(message, ChangeStep):
            return [END_OF_COPIES] if message.step == STREAMED else []
        if not isinstance(message, StrongAsk):
            return []
        assert isinstance(message.keys, list)
        rows = zip(message.kinds, message.keys, strict=True)
        return [kind for kind, key in rows if key == self._key]

    def _take(self, sender: NodeId, receiver: NodeId, kind: int) -> float:
        action = self._expected.pop((sender, receiver, kind), None)
        if action is not None:
            action()
        return self._rules.get((sender, receiver, kind), 0.0)
