"""How far the peers' wall clocks are from ours, from the stamps of their acks.

A sample is the stamp against the middle of the round trip, so it errs by half of that at most; slow
round trips are left out. The median over peers of each one's median resists a few mad clocks. Of an
even number of peers no one is in the middle: then this node's own clock is counted too, or one mad
clock among three would make the two sound ones doubt themselves.
"""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final, final

from nodecore.ids import NodeId, Now

SAMPLES_PER_PEER: Final = 5
ROUND_TRIP_S_MAX: Final = 0.5


@final
class ClockOffsets:
    """Samples per peer."""

    def __init__(self) -> None:
        self._samples: dict[NodeId, deque[float]] = {}

    def sample(self, peer: NodeId, sent: Now, received: Now, peer_wall_ms: int) -> None:
        """A stamp that the peer gave between ``sent`` and ``received``."""
        if received.mono_s - sent.mono_s > ROUND_TRIP_S_MAX:
            return
        offset_ms = peer_wall_ms - (sent.wall_ms + received.wall_ms) / 2
        self._samples.setdefault(peer, deque(maxlen=SAMPLES_PER_PEER)).append(offset_ms)

    def forget(self, peer: NodeId) -> None:
        """The peer is no member any more."""
        self._samples.pop(peer, None)

    def of(self, peer: NodeId) -> float | None:
        """One peer's offset in milliseconds, positive when it is ahead; None when unknown."""
        samples = self._samples.get(peer)
        return median(samples) if samples else None

    def median_ms(self) -> float:
        """Median over the peers (and ourselves, if they are even in number); 0 when none is known."""
        offsets = [median(samples) for samples in self._samples.values()]
        if len(offsets) % 2 == 0:
            offsets.append(0.0)
        return median(offsets)
