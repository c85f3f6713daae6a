"""Clients that take leases the Redis way: ``SET key token NX PX milliseconds`` on strong keys.

Whoever is answered OK holds the key from then on, until its time has run out by its own clock, counted
from when it asked and cut short by as much as two nodes' clocks may differ; it does not end its lease
earlier, because a delete that comes late would end the next one's. Whoever has no answer holds nothing,
nor does whoever has it after that time.
``leases`` judges what was held; clients' clocks are the world's.
"""

from __future__ import annotations

from typing import Final, final

from nodecore.simulation.clients import LostConnection, RespClient, RespError, RespValue
from nodecore.simulation.cluster import SimCluster
from nodecore.simulation.leases import Lease
from nodecore.simulation.strong_load import PREFIX

_CLIENTS: Final = 3
_KEYS: Final = (PREFIX + b"l0", PREFIX + b"l1")
_PAUSE_S: Final = 0.12
_HELD_S: Final = (0.2, 0.7)


@final
class LeaseLoad:
    """Runs until :meth:`pause`.

    Args:
        cluster: whose nodes.
        clocks_differ_s: by how much the clocks of two nodes may differ.
    """

    def __init__(self, cluster: SimCluster, clocks_differ_s: float) -> None:
        self._cluster = cluster
        self._clocks_differ_s = clocks_differ_s
        self._rng = cluster.world.rng("leases")
        self._running = False
        self.leases: list[Lease] = []
        """What was held, in the order of granting."""
        self.refused = 0
        """Asked for while somebody else held it."""
        self.taken_over = 0
        """Granted after the lease of somebody else had run out."""

    def start(self) -> None:
        """Let every client ask again and again."""
        self._running = True
        for number in range(_CLIENTS):
            self._pause(RespClient(self._cluster, f"l{number}", turn=number))

    def pause(self) -> None:
        """Nobody asks any more."""
        self._running = False

    def _pause(self, client: RespClient) -> None:
        self._cluster.world.after(self._rng.expovariate(1.0 / _PAUSE_S), lambda: self._ask(client))

    def _ask(self, client: RespClient) -> None:
        if not self._running:
            return
        key, begun_s = self._rng.choice(_KEYS), self._cluster.world.now_s
        held_s = self._rng.uniform(*_HELD_S)
        ttl_ms = round(1000.0 * (held_s + self._clocks_differ_s))

        def on_reply(reply: RespValue | LostConnection) -> None:
            self.note(client.name, key, begun_s + held_s, reply)
            self._pause(client)

        arguments = [b"SET", key, client.name.encode(), b"NX", b"PX", b"%d" % ttl_ms]
        client.command(arguments, on_reply)

    def note(
        self, holder: str, key: bytes, ends_s: float, reply: RespValue | LostConnection
    ) -> None:
        """``holder`` has been answered; what it was granted ends at ``ends_s``."""
        now_s = self._cluster.world.now_s
        before = [lease for lease in self.leases if lease.key == key]
        if reply == b"OK":
            if now_s >= ends_s:
                # Granted too late to be of use: others may have had it meanwhile.
                return
            self.taken_over += any(lease.holder != holder for lease in before[-1:])
            self.leases.append(Lease(key, holder, len(self.leases) + 1, now_s, ends_s))
        elif not isinstance(reply, LostConnection | RespError):
            self.refused += any(lease.holder != holder and now_s < lease.ends_s for lease in before)
