"""A limit on repeating oneself: gossip mentions epochs many times a second, documents are large."""

from __future__ import annotations

from typing import final

from nodecore.ids import NodeId, Now
from nodecore.limits import MEMBERS_MAX


@final
class ResendLimit:
    """Allows one thing per peer and interval."""

    __slots__ = ("_interval_s", "_last_s")

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._last_s: dict[tuple[NodeId, str], float] = {}

    def allows(self, peer: NodeId, what: str, now: Now) -> bool:
        """Whether ``what`` may be sent to ``peer`` now; counts it as sent."""
        last_s = self._last_s.get((peer, what))
        if last_s is not None and now.mono_s - last_s < self._interval_s:
            return False
        if len(self._last_s) >= 4 * MEMBERS_MAX:
            self._last_s.clear()
        self._last_s[peer, what] = now.mono_s
        return True
