"""One simulated process: a real :class:`Node` on a simulated clock, disk and network.

It executes effects exactly as the driver of the real process does: inputs, timers that are due, end
of turn, effects in order until there are none, then whatever sessions have to say. A crash forgets
everything but the disk; a paused process does nothing, and finds on waking what has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import final

from nodecore.config import NodeConfig
from nodecore.doors.resp import RespDoor
from nodecore.effects import DiskWrite, Effect, Emit, Persist, Send, SetPeers, Stop
from nodecore.ids import NodeId, Now
from nodecore.node import Node
from nodecore.simulation.clocks import SimClock
from nodecore.simulation.connection import SimConnection
from nodecore.simulation.disk import SimDisk
from nodecore.simulation.network import Network
from nodecore.simulation.sites import CRASH_AMONG_EFFECTS, LATE_TIMER
from nodecore.simulation.world import Event, World
from nodecore.storage.disk import DiskError
from nodecore.storage.eviction import make_policy
from nodecore.storage.tiered import make_store
from nodecore.strong.lives import BOOT_RECORD, LOST_RECORD
from nodecore.table import make_table
from transport.codec import unpack_plain
from transport.messages import Lane, Message
from transport.messages.replies import REPLIES

EFFECT_ROUNDS_MAX = 100
"""Effects that lead to effects, within one wake-up; more is a loop."""
_CONDITIONS = ("topology.", "member.", "link.", "breaker.", "slots.", "change.")
"""Kinds of events after which a node may ask other owners than before."""


@final
class SimProcess:
    """See the module.

    Args:
        world: time and chance.
        network: the links.
        config: of the node.
        clock: what it takes for the time.
        disk: what survives it.
    """

    def __init__(
        self, world: World, network: Network, config: NodeConfig, clock: SimClock, disk: SimDisk
    ) -> None:
        self._world = world
        self._network = network
        self.config = config
        self.clock = clock
        self.disk = disk
        self.node_id = NodeId(config.node_id)
        self.running = False
        self.paused = False
        self.lives = 0
        self.stopped: Stop | None = None
        """How the last life ended, when it ended itself."""
        self.events: list[tuple[float, Emit]] = []
        """What the node said, with the world's time."""
        self.rivals = False
        """Its node runs changes of strong keys itself, whoever the first owner is."""
        self.conditions = 0
        """Counts changes of topology, suspicion, links and breakers, as this node sees them."""
        self.on_ending: Callable[[SimProcess], None] = lambda _process: None
        """Told just before a life ends, while its node can still be asked."""
        self.may_die: Callable[[SimProcess], bool] = lambda _process: True
        """Asked before chance alone kills it."""
        self._node: Node | None = None
        self._door: RespDoor | None = None
        self._inbox: deque[Callable[[], None]] = deque()
        self._timer: Event | None = None
        self._sessions: dict[SimConnection, None] = {}

    @property
    def node(self) -> Node:
        """The node of the present life.

        Raises:
            LookupError: there is none.
        """
        if self._node is None or not self.running:
            raise LookupError(f"{self.node_id} is not running")
        return self._node

    @property
    def has_left(self) -> bool:
        """Whether this process ended itself in order."""
        return not self.running and self.stopped is not None and self.stopped.exit_code == 0

    # -- life --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life from what the disk holds.

        Raises:
            DamagedRecord: the disk is damaged; the process refuses to run.
        """
        assert not self.running, self.node_id
        persisted = {name: unpack_plain(body) for name, body in self.disk.load().items()}
        persisted[BOOT_RECORD] = str(self.disk.boots)
        persisted[LOST_RECORD] = self.disk.take_lost()
        self.lives += 1
        rng = self._world.rng(f"node:{self.node_id}:{self.lives}")
        config = self.config
        store = make_store(
            make_table(config.table),
            make_policy(config.eviction, config.maxmemory_bytes),
            config.maxmemory_bytes,
            self._world.rng(f"store:{self.node_id}:{self.lives}"),
            config.data_dir,
            config.disk_bytes_max,
        )
        node = Node(self.config, store, rng, self.clock.now(), persisted, self.disk)
        node.strong.requests.prefers_first = not self.rivals
        self._node = node
        self._door = RespDoor(node, resp_cluster=self.config.resp_cluster)
        self.running, self.paused, self.stopped = True, False, None
        self._inbox.clear()
        self._network.attach((self.config.advertise or self.config.bind).native, self)
        self._world.note("start", self.node_id, self.lives)
        self.deliver(lambda: node.start(self.clock.now()))

    def crash(self) -> None:
        """The process is killed: memory is gone, links and connections break."""
        if not self.running:
            return
        self.on_ending(self)
        self.running = self.paused = False
        self.conditions += 1
        self._world.note("crash", self.node_id)
        if self._timer is not None:
            self._timer.cancel()
        self._inbox.clear()
        self._network.detach(self)
        sessions, self._sessions = self._sessions, {}
        for connection in sessions:
            connection.break_off()
        self.disk.kill()
        self._node = self._door = None

    def pause(self) -> None:
        """As SIGSTOP does."""
        if self.running:
            self.paused = True
            self._world.note("pause", self.node_id)

    def resume(self) -> None:
        """As SIGCONT does: everything that waited is handled in one wake-up."""
        if not self.paused:
            return
        self.paused = False
        self._world.note("resume", self.node_id)
        inbox, self._inbox = self._inbox, deque()
        life = self.lives

        def run_inbox() -> None:
            for action in inbox:
                if self.running and self.lives == life:
                    action()

        self.deliver(run_inbox)

    # -- wake-ups ----------------------------------------------------------------------------

    def deliver(self, action: Callable[[], None]) -> None:
        """Wake up for ``action``; a paused process does it when it is resumed."""
        if not self.running:
            return
        if self.paused:
            self._inbox.append(action)
            return
        action()
        node = self._node
        if node is None:
            return
        now = self.clock.now()
        due_s = node.next_timer_at()
        if due_s is not None and due_s <= now.mono_s:
            node.note_loop_lag((now.mono_s - due_s) * 1e3)
            node.on_timer(now)
        self._finish_turn(node, now)

    def _finish_turn(self, node: Node, now: Now) -> None:
        node.end_of_turn(now)
        rounds = 0
        while effects := node.take_effects():
            rounds += 1
            assert rounds <= EFFECT_ROUNDS_MAX, f"{self.node_id}: effects without end"
            for effect in effects:
                self._execute(node, effect, now)
                if self._network.sites.fires(CRASH_AMONG_EFFECTS) and self.may_die(self):
                    self.crash()
                if not self.running:
                    return
            node.end_of_turn(now)
        for connection in list(self._sessions):
            connection.flush()
        self._set_timer(node)

    def _set_timer(self, node: Node) -> None:
        due_s = node.next_timer_at()
        if self._timer is not None:
            self._timer.cancel()
        if due_s is not None:
            # A hair later, so that rounding never wakes the node before its deadline.
            at_s = self.clock.world_time(due_s) + 1e-9
            if self._network.sites.fires(LATE_TIMER):
                at_s += self._network.sites.uniform(0.02, 0.5)
            self._timer = self._world.at(at_s, lambda: self.deliver(_nothing))

    def _execute(self, node: Node, effect: Effect, now: Now) -> None:
        match effect:
            case Send(peer, lane, stream, message):
                reply = bool(stream) and type(message) in REPLIES
                if not self._network.send(self, peer, lane, stream, message, reply=reply):
                    node.on_undelivered(effect, now)
            case Persist(name, payload):
                self.disk.save(name, payload)
                self._world.note("persist", self.node_id, name, payload)
            case DiskWrite():
                self._write_disk(node, effect, now)
            case SetPeers(addresses):
                self._network.set_peers(self, addresses)
            case Emit(kind, text):
                self.events.append((self._world.now_s, effect))
                self.conditions += kind.startswith(_CONDITIONS)
                self._world.note("event", self.node_id, kind, text)
            case Stop(reason, exit_code):
                self._world.note("stop", self.node_id, reason, exit_code)
                self.crash()
                self.stopped = effect

    def _write_disk(self, node: Node, effect: DiskWrite, now: Now) -> None:
        ticket, life = effect.ticket, self.lives
        self._world.note("disk", self.node_id, ticket, len(effect.records) + len(effect.synced))
        try:
            refused = self.disk.write(effect)
        except DiskError as error:
            self._disk_failed(error)
            return
        if refused:
            node.on_disk_refused(effect, refused, now)
        if not effect.synced:
            node.on_disk_done(ticket, now)
            return

        def landed() -> None:
            if self.lives != life or not self.running:
                return
            try:
                if self.disk.land(ticket):
                    self.deliver(lambda: node.on_disk_done(ticket, self.clock.now()))
            except DiskError as error:
                self._disk_failed(error)

        self._world.after(self.disk.fsync_s, landed)

    def _disk_failed(self, error: DiskError) -> None:
        """A promise can't be kept: the process ends, as a real one does."""
        self._world.note("disk-failed", self.node_id, str(error))
        self.crash()
        self.stopped = Stop(str(error), 1)

    # -- the network's calls -----------------------------------------------------------------

    def on_link_message(self, peer: NodeId, stream: int, lane: Lane, message: Message) -> None:
        """A message has come, within a wake-up."""
        self.node.on_message(peer, stream, lane, message, self.clock.now())

    def on_link_state(self, peer: NodeId, lane: Lane, up: bool, reason: str) -> None:
        """An own link has changed, within a wake-up."""
        self.node.on_link(peer, lane, up, self.clock.now(), reason)

    # -- clients -----------------------------------------------------------------------------

    def connect(
        self, on_output: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> SimConnection:
        """A client connection to the RESP door; the callbacks run at the client's end.

        Raises:
            LookupError: the process is not running.
        """
        if self._door is None or not self.running:
            raise LookupError(f"{self.node_id} refuses connections")
        connection = SimConnection(self, self._world, self._network, on_output, on_lost)
        connection.session = self._door.connect(lambda: self.deliver(_nothing))
        self._sessions[connection] = None
        return connection

    def forget(self, connection: SimConnection) -> None:
        """The connection has ended."""
        self._sessions.pop(connection, None)


def _nothing() -> None:
    """A wake-up without input."""
