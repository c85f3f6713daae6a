"""Hinted handoff: replaying hints to owners that have come back.

Once per tick and owner at most one frame is in flight, of bounded size, so that a returning node is
not flooded. Hints go out while the peer is alive and linked, also through a half-open breaker:
they are background traffic, which is what closes it. Sources: the Dynamo paper (2007), section 4.6.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from nodecore.errors import Code
from nodecore.ids import Epoch, NodeId, Now
from nodecore.replication.calls import CallEnd, Calls
from nodecore.replication.hints import Hint, Hints
from nodecore.resilience.breaker import State
from transport.messages import PeerApply, PeerWritten

REPLAY_COUNT_MAX: Final = 1024
REPLAY_BYTES_MAX: Final = 512 * 1024
_NEVER: Final = frozenset(
    {
        int(Code.BAD_REQUEST),
        int(Code.VALUE_TOO_LARGE),
        int(Code.CLOCK_SKEW),
        int(Code.NOT_OWNER),
        int(Code.CANCELLED),
    }
)


class Handoff:
    """Replays hints.

    Args:
        hints: what waits.
        calls: how to ask peers.
        live: alive and linked.
        breaker_state: of the link.
    """

    def __init__(
        self,
        hints: Hints,
        calls: Calls,
        live: Callable[[NodeId], bool],
        breaker_state: Callable[[NodeId], State | None],
    ) -> None:
        self.hints = hints
        self._calls = calls
        self._live = live
        self._breaker_state = breaker_state
        self._in_flight: dict[NodeId, bool] = {}

    def tick(self, epoch: Epoch, now: Now) -> None:
        """Drop what is too old and send the next frame to each owner that can take one."""
        self.hints.expire(now)
        for node in self.hints.targets:
            self._replay(node, epoch, now)

    def bring_up(self, node: NodeId, key: bytes, epoch: Epoch, now: Now) -> None:
        """Send the hint for one key at once: what follows on the same link builds on it."""
        hint = self.hints.of(node, key)
        if hint is not None:
            message = PeerApply(epoch=epoch, cause="hint", entries=[_entry(hint)])
            self._calls.request(node, message, _ignore, now)

    def _replay(self, node: NodeId, epoch: Epoch, now: Now) -> None:
        if node in self._in_flight or not self._live(node):
            return
        if self._breaker_state(node) in (State.OPEN, State.FORCED_OPEN):
            return
        batch = self.hints.peek(node, REPLAY_COUNT_MAX, REPLAY_BYTES_MAX)
        if not batch:
            return
        self._in_flight[node] = True
        entries = [_entry(hint) for hint in batch]
        message = PeerApply(epoch=epoch, cause="hint", entries=entries)
        self._calls.request(node, message, partial(self._on_end, node, batch, epoch), now)

    def _on_end(
        self, node: NodeId, batch: list[Hint], epoch: Epoch, end: CallEnd, now: Now
    ) -> None:
        self._in_flight.pop(node, None)
        if not isinstance(end, PeerWritten) or not isinstance(end.refused, list):
            return
        kept: dict[int, bool] = {}
        for item in end.refused:
            if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], int):
                return
            index, code = item
            if not 0 <= index < len(batch):
                return
            kept[index] = True
            if code in _NEVER:
                self.hints.refused(node, batch[index])
        self.hints.delivered(node, [h for index, h in enumerate(batch) if index not in kept])
        if len(kept) < len(batch):
            # Progress was made and the owner has answered: the next frame need not wait for the tick.
            self._replay(node, epoch, now)


def _entry(hint: Hint) -> list[object]:
    return [
        hint.key, hint.kind, hint.value, hint.version.hlc, hint.version.node, hint.expires_ms,
    ]  # fmt: skip


def _ignore(_end: CallEnd, _now: Now) -> None:
    """The hint stays until the regular replay has been acknowledged."""
