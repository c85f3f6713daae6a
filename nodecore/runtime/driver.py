"""Drives one node: wake-ups in, effects out. The only caller of ``Node`` in production.

A wake-up: the poller hands bytes to sessions and links, they call the node; then, once, timers that
are due, the node's end of turn, its effects, and every buffer that filled goes out in one send each.
No decision about the cache is taken here: what this file knows is order.
"""

from __future__ import annotations

import gc
import logging
import math
import random
import time
from collections.abc import Callable
from typing import Final, final

import trio

from nodecore import __version__
from nodecore.config import NodeConfig
from nodecore.disk_faults import DiskFaults
from nodecore.doors.http import HttpSession
from nodecore.doors.http_replies import error_reply, head
from nodecore.doors.resp import RespDoor
from nodecore.effects import DiskWrite, Effect, Emit, Persist, Send, SetPeers, Severity, Stop
from nodecore.ids import NodeId, Now
from nodecore.limits import CONNECTIONS_MAX, CONNECTIONS_RESERVED, TICK_S
from nodecore.node import Node
from nodecore.runtime.clock import read_now
from nodecore.runtime.credentials import NodeIdentity
from nodecore.runtime.data_plane import Clients, Connect
from nodecore.runtime.disk_driver import DiskDriver
from nodecore.runtime.faulted import PipeClock
from nodecore.runtime.native_door import NATIVE_FULL, NativeDoor
from nodecore.runtime.node_disk import NodeDisk
from nodecore.runtime.peer_links import PeerLinks
from nodecore.runtime.persistence import RecordStore
from nodecore.runtime.process import allow_connections, read_process
from transport.runtime.poller import Poller

_YIELD_S: Final = 0.005
"""Trio gets a turn at least this often under load: its tasks here are only signals and shutdown."""
_PATIENCE_S: Final = 0.002
"""A node that was just busy sleeps so long in its own poll, which is cheaper than trio's, before it
hands the waiting to trio."""
_LINKS_REVIEW_S: Final = 0.02
"""While busy, the deadlines of links (seconds away) are looked up at most this often."""
_DRAIN_S: Final = 2.0
_RESP_FULL: Final = b"-ERR max number of clients reached\r\n"
_HTTP_FULL: Final = head(
    error_reply(503, "overloaded", "too many connections", b"Retry-After: 1\r\n"), False
)
_LEVELS: Final = {
    Severity.INFO: logging.INFO,
    Severity.NOTICE: logging.INFO,
    Severity.WARNING: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}
_PROCESS_FIGURES_S: Final = 1.0
_ROUNDS_MAX: Final = 8
"""How often, within one turn, sessions go on after their answers and write to disk again."""


@final
class Driver:
    """One node on real sockets, clocks and files."""

    def __init__(
        self,
        node: Node,
        identity: NodeIdentity,
        records: RecordStore,
        rng: random.Random,
        log: logging.Logger,
        disk: NodeDisk | None = None,
    ) -> None:
        self.node = node
        self.node_id: NodeId = identity.node_id
        self.now = read_now()
        self.poller = Poller()
        self.clock = PipeClock(node.fault_board, rng.getrandbits(64))
        self.identity = identity
        self._records = records
        faults = DiskFaults(node.fault_board, random.Random(rng.random()))
        records.on_write = faults.on_write
        self._disk = DiskDriver(node, disk, faults, self.poller.wake)
        self._log = log
        self.clients = Clients(identity.node_id, node.table, self.clock, self.now)
        self.clients.disk = node.disk
        self.links = PeerLinks(
            self.poller, self.clock, node.fault_board, identity, node, rng, self.now
        )
        self.native = NativeDoor(self)
        self._board_changes = -1
        self._tick_at_s = 0.0
        self._turn_ended_s = self.now.mono_s
        self._waited_s = 0.0
        """How long the loop has waited between turns, and for the first socket of each."""
        self._figures_at_s = 0.0
        self._due_s = math.inf
        self._links_due_s = math.inf
        self._links_review_s = 0.0
        self._gate_reads = 0
        self._connections_max = allow_connections()
        self.stop: Stop | None = None
        self.on_ready: Callable[[], None] | None = None
        """Called once, when the node has become a full member."""

    # Doors.

    def listen(self, native: str, resp: str, http: str) -> None:
        """Open the doors.

        Raises:
            OSError: an address is in use or can't be bound; the text names it.
        """
        bound = self._connections_max
        if bound < CONNECTIONS_MAX:
            self._log.warning("open files are limited: at most %d connections a door", bound)
        self._listen_native(native)
        if resp:
            door = RespDoor(
                self.node,
                resp_cluster=self.node.config.resp_cluster,
                password=self.identity.secret or b"",
                version=__version__,
            )
            self._listen_clients(resp, door.connect, lambda: _RESP_FULL, bound)
        if http:
            names = _host_names(self.node.config)
            self._listen_clients(
                http,
                lambda wake, _peer: HttpSession(self.node, wake, self._metrics, names),
                lambda: _HTTP_FULL,
                bound + CONNECTIONS_RESERVED,
            )

    def _listen_native(self, address: str) -> None:
        host, port = _split(address)
        self._bind(
            address,
            lambda: self.poller.listen(
                host,
                port,
                self.native.accept,
                connections_max=self._connections_max,
                on_refuse=lambda: NATIVE_FULL,
            ),
        )

    def _listen_clients(
        self,
        address: str,
        connect: Connect,
        refusal: Callable[[], bytes],
        connections_max: int,
    ) -> None:
        host, port = _split(address)
        accept = self.clients.acceptor(connect, connections_max)
        self._bind(
            address,
            lambda: self.poller.listen(
                host, port, accept, connections_max=connections_max, on_refuse=refusal
            ),
        )

    def _bind(self, address: str, listen: Callable[[], object]) -> None:
        try:
            listen()
        except OSError as error:
            raise OSError(f"can't listen on {address}: {error.strerror or error}") from error

    def _metrics(self) -> bytes:
        # Loaded when first asked for: it brings a web server and more along, a tenth of the start.
        from nodecore.runtime.metrics import render

        return render(self.node.statistics(self.now))

    # The loop.

    async def run(self) -> None:
        """Serve until a Stop effect or :meth:`request_stop`."""
        gc.collect()
        gc.freeze()
        # Entries are outside of the collector; what it scans is the interpreter's own few objects.
        gc.set_threshold(50_000, 20, 100)
        self._begin_turn()
        self.node.start(self.now)
        self._end_turn()
        yielded_s = self._turn_ended_s = time.monotonic()
        patience_s = 0.0
        poller = self.poller
        while self.stop is None:
            handled = poller.turn(patience_s, self._awake)
            self._end_turn()
            now_s = self._turn_ended_s = time.monotonic()
            if not handled:
                self._links_due_s = self._next_link_due_s()
                await poller.wait(min(self._due_s, self._links_due_s))
                yielded_s = time.monotonic()
                patience_s = 0.0
                continue
            if now_s - yielded_s > _YIELD_S:
                await trio.lowlevel.checkpoint()
                yielded_s = now_s
            patience_s = max(0.0, min(_PATIENCE_S, self._due_s - now_s))
        await self._shut_down()

    def request_stop(self, reason: str) -> None:
        """End :meth:`run` after this wake-up."""
        if self.stop is None:
            self.stop = Stop(reason)
            self.poller.wake()

    def _awake(self) -> None:
        self._begin_turn()
        self._waited_s += self.now.mono_s - self._turn_ended_s

    def _begin_turn(self) -> None:
        now = read_now(self.node.clock_skew_ms)
        self.now = now
        self.clients.now = now
        self.links.now = now
        self.clock.begin_turn(now.mono_s)

    def _end_turn(self) -> None:
        node = self.node
        started_s = self.now.mono_s
        if not self.clock.quiet:
            self.clock.pump(started_s)
        reads = node.table.gate_reads
        if reads != self._gate_reads:
            elapsed_us = int((time.monotonic() - started_s) * 1e6)
            node.record_latency("read", elapsed_us, reads - self._gate_reads)
            self._gate_reads = reads
        if started_s >= self._links_review_s:
            self._links_review_s = started_s + _LINKS_REVIEW_S
            self._links_due_s = self._next_link_due_s()
        if started_s >= self._due_s or started_s >= self._links_due_s:
            self._on_deadlines()
        self._disk.turn(self.now)
        for _round in range(_ROUNDS_MAX):
            if not self._run_effects():
                return
            self.links.flush()
            self.native.flush()
            self.clients.flush()
            if not node.disk.owes:
                break
        # What still waits for the disk goes on in the next turn, at once.
        self._due_s = started_s if node.disk.owes else self._next_due_s()

    def _run_effects(self) -> bool:
        """Execute all there are; False when the disk has failed a promise."""
        node = self.node
        node.end_of_turn(self.now)
        while effects := node.take_effects():
            for effect in effects:
                self._execute(effect)
                if self._disk.stop is not None:
                    # What was to be acknowledged is not on disk: nothing leaves any more.
                    self.stop = self._disk.stop
                    return False
            node.end_of_turn(self.now)
        return True

    def _on_deadlines(self) -> None:
        now = self.now
        node_due_s = self.node.next_timer_at()
        if node_due_s is not None and node_due_s <= now.mono_s:
            self.node.note_loop_lag((now.mono_s - node_due_s) * 1e3)
            self.node.note_process(waited_s=self._waited_s)
            self.node.on_timer(now)
        self.links.on_time(now.mono_s)
        self.native.on_time(now.mono_s)
        self._links_due_s = self._next_link_due_s()
        self.clock.pump(now.mono_s)
        if now.mono_s >= self._tick_at_s:
            self._tick_at_s = now.mono_s + TICK_S
            self._tick(now)

    def _next_due_s(self) -> float:
        due_s = self._tick_at_s
        for at in (self.node.next_timer_at(), self.clock.next_at_s()):
            if at is not None and at < due_s:
                due_s = at
        return due_s

    def _next_link_due_s(self) -> float:
        due_s = math.inf
        for at in (self.links.next_at_s(), self.native.next_at_s()):
            if at is not None and at < due_s:
                due_s = at
        return due_s

    def _tick(self, now: Now) -> None:
        board = self.node.fault_board
        if board.changes != self._board_changes:
            self._board_changes = board.changes
            self.links.apply_faults()
        if now.mono_s >= self._figures_at_s:
            self._figures_at_s = now.mono_s + _PROCESS_FIGURES_S
            totals = self.poller.statistics()
            figures = read_process()
            self.node.note_process(
                pid=figures.pid,
                records_saved=self._records.saves,
                records_save_s=self._records.save_s,
                rss_bytes=figures.rss_bytes,
                cpu_s=figures.cpu_s,
                connections=totals.connections,
                connections_refused=totals.refused,
                clients_cut_off=self.clients.cut_off,
                clients_timed_out=self.clients.timed_out,
                slow_readers_reset=totals.slow_readers,
                bytes_in=totals.bytes_in,
                bytes_out=totals.bytes_out,
            )
        for link in self.native.sessions:
            session = link.session
            if session is not None and session.statistics_due(now):
                session.push_statistics(self.node.statistics(now), now)
                session.push_events(self.node.event_ring.after(session.events_after))
                link.wake()
        if self.on_ready is not None and self.node.ready():
            on_ready, self.on_ready = self.on_ready, None
            on_ready()

    # Effects.

    def _execute(self, effect: Effect) -> None:
        if isinstance(effect, Send):
            if not self.links.send(effect):
                self.node.on_undelivered(effect, self.now)
        elif isinstance(effect, Persist):
            self._persist(effect)
        elif isinstance(effect, DiskWrite):
            self._disk.write(effect, self.now)
        elif isinstance(effect, Emit):
            self._log.log(_LEVELS[effect.severity], "%s: %s", effect.kind, effect.text)
        elif isinstance(effect, SetPeers):
            if self.node.cluster_id:
                self._disk.claim(self.node.cluster_id)
                self.identity.cluster_id = self.node.cluster_id
            self.identity.incarnation = self.node.incarnation
            self.links.set_peers(dict(effect.addresses))
        else:
            self.stop = effect

    def _persist(self, effect: Persist) -> None:
        try:
            self._records.save(effect.name, effect.payload)
        except OSError as error:
            # A promise that was not kept on disk must never be answered.
            text = f"can't write {effect.name} under {self.node.config.data_dir}: {error}"
            self.node.emit(Emit("disk.failed", text, Severity.ERROR))
            self.stop = Stop(text, 1)

    async def _shut_down(self) -> None:
        assert self.stop is not None
        self._log.info("stopping: %s", self.stop.reason)
        self.poller.stop_listening()
        if self._disk.stop is not None:
            self.poller.close()
            return
        self.clients.finish("the node stops")
        self.links.close()
        self.node.close()
        self._end_turn()
        self._disk.drain(self.now)
        until_s = time.monotonic() + _DRAIN_S
        while self.poller.connections_count and time.monotonic() < until_s:
            if not self.poller.turn():
                await self.poller.wait(until_s)
        self.poller.close()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _host_names(config: NodeConfig) -> tuple[str, ...]:
    """Values of the Host header, beside the loopback ones, that the HTTP door accepts."""
    addresses = [config.bind] if config.advertise is None else [config.bind, config.advertise]
    return tuple(entry.http for entry in addresses if entry.http)
