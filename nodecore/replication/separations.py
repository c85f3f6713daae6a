"""Separations: when this node could not count on which peer.

A span begins when a peer that was live no longer is (suspected, failed, or without a data link) and
ends when it is live again. Spans are kept in wall-clock milliseconds, because versions are compared
with them, and begin ``NOTICE_MS`` before the moment at which the loss was noticed: until then writes
went astray without anybody knowing. A peer that was never live is starting, not apart.

It notes and answers; what a separation means for two versions is ``conflicts``', what the return of
a peer means is ``merges``'. Bounded in peers and in spans of each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from nodecore.ids import NodeId, Now
from nodecore.placement.hashing import node_tag

NOTICE_MS: Final = 3_000
"""How long a loss goes unnoticed at most: a probe, its indirect probes, and a tick."""
SPANS_KEPT: Final = 8
PEERS_KEPT: Final = 256


class Span(NamedTuple):
    """One separation from one peer."""

    peer: NodeId
    since_ms: int
    """Wall clock; ``NOTICE_MS`` before it was noticed."""
    until_ms: int
    """Wall clock; 0 while it lasts."""

    def covers(self, wall_ms: int) -> bool:
        """Whether a moment lies within it."""
        return self.since_ms <= wall_ms and (not self.until_ms or wall_ms <= self.until_ms)


class Separations:
    """Separations of one node from its peers.

    Args:
        is_live: whether requests are routed to a peer now.
    """

    def __init__(self, is_live: Callable[[NodeId], bool]) -> None:
        self._is_live = is_live
        self._live_ms: dict[NodeId, int] = {}
        """Live peers, and when they were last seen to be."""
        self._spans: dict[int, deque[Span]] = {}
        """By tag of the peer, oldest peer first."""

    def tick(self, peers: Iterable[NodeId], now: Now) -> tuple[list[Span], list[Span]]:
        """Look at the peers; returns (separations that have begun, those that have ended)."""
        begun: list[Span] = []
        ended: list[Span] = []
        for peer in peers:
            if self._is_live(peer):
                if peer not in self._live_ms:
                    span = self._end(peer, now)
                    if span is not None:
                        ended.append(span)
                self._live_ms[peer] = now.wall_ms
            elif peer in self._live_ms:
                begun.append(self._begin(peer, self._live_ms.pop(peer)))
        return begun, ended

    def span_at(self, tag: int, wall_ms: int) -> Span | None:
        """The separation from the node with this tag that covers a moment; None: it was at hand."""
        for span in self._spans.get(tag, ()):
            if span.covers(wall_ms):
                return span
        return None

    @property
    def open_spans(self) -> list[Span]:
        """Separations that last."""
        return [spans[-1] for spans in self._spans.values() if not spans[-1].until_ms]

    def _begin(self, peer: NodeId, last_live_ms: int) -> Span:
        tag = node_tag(peer)
        spans = self._spans.pop(tag, None) or deque(maxlen=SPANS_KEPT)
        span = Span(peer, last_live_ms - NOTICE_MS, 0)
        spans.append(span)
        self._spans[tag] = spans
        while len(self._spans) > PEERS_KEPT:
            del self._spans[next(iter(self._spans))]
        return span

    def _end(self, peer: NodeId, now: Now) -> Span | None:
        spans = self._spans.get(node_tag(peer))
        if not spans or spans[-1].until_ms:
            return None
        spans[-1] = spans[-1]._replace(until_ms=now.wall_ms)
        return spans[-1]
