"""Suspicions and how long they last: the fewer nodes share one, the longer.

A node that is alone with its suspicion may itself be the slow one. Each independent confirmation
brings the end nearer, from the least duration's multiple down to the least, logarithmically.

Source: Dadgar, Phillips and Currey, "Lifeguard" (arXiv 1707.00788), 4.B.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import final

from nodecore.ids import NodeId, Now
from nodecore.membership.settings import MembershipSettings
from nodecore.timers import Timer, Timers


def suspicion_s(least_s: float, longest_s: float, confirmations: int, expected: int) -> float:
    """Total duration with so many confirmations (the first suspector is none) of those expected."""
    if expected < 1:
        return least_s
    fraction = math.log(min(confirmations, expected) + 1) / math.log(expected + 1)
    return max(least_s, longest_s - fraction * (longest_s - least_s))


@final
class Suspicion:
    """One member under suspicion, as this node keeps the time."""

    __slots__ = ("began_s", "last_chance", "timer")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.timer: Timer | None = None
        self.last_chance = False
        """It has run out; one more probe of our own decides: hearsay alone condemns nobody."""


@final
class Suspicions:
    """All running suspicions.

    Args:
        on_over: called with (member, due time, now) when a suspicion has run out.
    """

    def __init__(
        self,
        timers: Timers,
        settings: MembershipSettings,
        on_over: Callable[[NodeId, float, Now], None],
    ) -> None:
        self._timers = timers
        self._settings = settings
        self._on_over = on_over
        self._running: dict[NodeId, Suspicion] = {}

    def __contains__(self, node: NodeId) -> bool:
        return node in self._running

    def get(self, node: NodeId) -> Suspicion | None:
        """The running suspicion of a member."""
        return self._running.get(node)

    def nodes(self) -> list[NodeId]:
        """Members under suspicion, longest first."""
        return list(self._running)

    def begin(self, node: NodeId, suspectors: int, members: int, now: Now) -> None:
        """Begin a suspicion, or begin it anew."""
        self.end(node)
        self._running[node] = Suspicion(now.mono_s)
        self.set_time(node, suspectors, members, now)

    def set_time(self, node: NodeId, suspectors: int, members: int, now: Now) -> None:
        """Reckon its end for so many suspectors among so many members, this node included."""
        suspicion = self._running[node]
        if suspicion.last_chance:
            return
        least_s = self._settings.suspicion_s_min(members)
        # Neither the suspect nor the first suspector can confirm.
        expected = min(self._settings.confirmations, members - 2)
        total_s = suspicion_s(
            least_s, least_s * self._settings.suspicion_max_factor, suspectors - 1, expected
        )
        due_s = max(now.mono_s, suspicion.began_s + total_s)
        self._timers.cancel(suspicion.timer)
        suspicion.timer = self._timers.schedule(due_s, lambda now: self._on_over(node, due_s, now))

    def end(self, node: NodeId) -> None:
        """Forget a suspicion, if there is one."""
        suspicion = self._running.pop(node, None)
        if suspicion is not None:
            self._timers.cancel(suspicion.timer)
