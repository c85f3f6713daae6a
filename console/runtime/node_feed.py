"""What one node says, kept current: a link, its statistics, its events, its newest topology.

Dials again when the link ends. A node that is down or paused keeps its last figures, with their age.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, final

import trio

from console.errors import ConsoleError
from console.runtime.admin_client import AdminLink, open_admin
from console.snapshots import Observation
from nodecore.errors import InvalidTopology
from nodecore.limits import EVENTS_KEPT
from nodecore.placement.topology import Topology
from nodecore.statistics import EventRecord, NodeStatistics

REDIAL_S: Final = 0.5
SILENT_S: Final = 5.0
"""A link without a report for this long is given up: the node may be paused."""
TOPOLOGY_TIMEOUT_S: Final = 2.0


@final
class NodeFeed:
    """One node as it is heard."""

    def __init__(
        self, node_id: str, address: str, interval: Callable[[], float], answered: trio.Event
    ) -> None:
        self.node_id = node_id
        self.address = address
        self._interval = interval
        self._answered = answered
        self.statistics: NodeStatistics | None = None
        self.topology: Topology | None = None
        self.problem = ""
        """Why nothing is heard; empty before the first attempt has failed."""
        self._heard_at = 0.0
        self._events: deque[EventRecord] = deque(maxlen=EVENTS_KEPT)
        self._last_event = -1
        self._life = 0
        self.link: AdminLink | None = None
        """Open while the node answers."""

    def observation(self) -> Observation | None:
        """The last figures and their age; None before the first."""
        if self.statistics is None:
            return None
        return Observation(self.statistics, trio.current_time() - self._heard_at)

    def take_events(self) -> list[EventRecord]:
        """Events since the last call, oldest first."""
        taken = list(self._events)
        self._events.clear()
        return taken

    async def run(self) -> None:
        """Stay connected until cancelled."""
        while True:
            with contextlib.suppress(ConsoleError):
                await self._follow()
            self.link = None
            await trio.sleep(REDIAL_S)

    async def _follow(self) -> None:
        try:
            async with open_admin(self.address) as link:
                await self._learn_topology(link)
                self.link = link
                self.problem = ""
                self._answered.set()
                with trio.fail_after(SILENT_S) as silence:
                    async for report in link.subscribe(self._interval(), self._last_event):
                        silence.deadline = trio.current_time() + SILENT_S
                        if isinstance(report, NodeStatistics):
                            await self._take_statistics(link, report)
                        else:
                            self._take_events(report)
        except trio.TooSlowError:
            self.problem = f"{self.node_id} is silent"
        except ConsoleError as error:
            self.problem = error.text
            raise

    async def _take_statistics(self, link: AdminLink, report: NodeStatistics) -> None:
        if self.statistics is None or self.statistics.pid != report.pid:
            # Another life of the node: its events are numbered anew.
            self._last_event = -1
        self.statistics = report
        self._heard_at = trio.current_time()
        known = self.topology.epoch if self.topology is not None else -1
        if report.epoch != known:
            await self._learn_topology(link)

    async def _learn_topology(self, link: AdminLink) -> None:
        plain = await link.call("topology", timeout_s=TOPOLOGY_TIMEOUT_S)
        try:
            self.topology = Topology.from_plain(plain)
        except InvalidTopology as error:
            raise ConsoleError(f"{self.node_id}: {error}") from None

    def _take_events(self, records: list[EventRecord]) -> None:
        for record in records:
            self._last_event = record.sequence
            self._events.append(record)
