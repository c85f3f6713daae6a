"""The network between a simulated client and the RESP door of a simulated process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, final

from nodecore.doors.resp import RespSession
from nodecore.ids import NodeId
from nodecore.simulation.network import Network
from nodecore.simulation.sites import LOST_REPLY
from nodecore.simulation.world import World

if TYPE_CHECKING:
    from nodecore.simulation.process import SimProcess


@final
class SimConnection:
    """A client's connection: bytes both ways, in order, each with a delay."""

    def __init__(
        self,
        process: SimProcess,
        world: World,
        network: Network,
        on_output: Callable[[bytes], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._process = process
        self._world = world
        self._network = network
        self._on_output = on_output
        self._on_lost = on_lost
        self.session: RespSession | None = None
        self.open = True
        self._there_at_s = 0.0
        self._back_at_s = 0.0

    @property
    def node_id(self) -> NodeId:
        """Of the process at the other end."""
        return self._process.node_id

    @property
    def conditions(self) -> tuple[int, int]:
        """What the node's choice of owners depends on: its life, and changes seen in it. One whose clock
        is wrong leaves the choice to others: its conditions are never the same twice. A write that was
        left to another node had its choice, too: when too few could be asked there, the answer says so.
        """
        process = self._process
        if process.running and not process.node.clock.may_coordinate(process.clock.now()):
            return process.lives, -1 - self._world.events
        sloppy = process.node.coordinator.sloppy if process.running else 0
        return process.lives, process.conditions + sloppy

    def send(self, data: bytes) -> None:
        """From the client."""
        client, node = NodeId("client"), self._process.node_id
        at_s = self._world.now_s + self._network.delay_s(client, node)
        self._there_at_s = at_s = max(at_s, self._there_at_s)
        self._world.at(at_s, lambda: self._process.deliver(lambda: self._receive(data)))

    def _receive(self, data: bytes) -> None:
        session = self.session
        if session is None or not self.open:
            return
        now = self._process.clock.now()
        self._world.note("request", self._process.node_id, data)
        if session.gate_open:
            reply, consumed = self._process.node.table.serve(
                data, now.wall_ms, session.nil, session.gate_bits
            )
            if reply:
                self._reply(reply)
            data = data[consumed:]
        if data and self.open:
            session.receive(data, now)

    def flush(self) -> None:
        """Whatever the session has ready leaves."""
        session = self.session
        if session is None:
            return
        output = session.take_output()
        while output:
            self._reply(output)
            if not self.open:
                return
            session.resume(self._process.clock.now())
            output = session.take_output()
        if session.closing:
            self.break_off()

    def _reply(self, data: bytes) -> None:
        client, node = NodeId("client"), self._process.node_id
        if self._network.sites.fires(LOST_REPLY):
            self.break_off()
            return
        at_s = self._world.now_s + self._network.delay_s(node, client)
        self._back_at_s = at_s = max(at_s, self._back_at_s)
        self._world.note("reply", self._process.node_id, data)
        self._world.at(at_s, lambda: self._on_output(data))

    def break_off(self) -> None:
        """The process is gone, or ends the connection."""
        if self.open:
            self.close()
            at_s = max(self._back_at_s, self._world.now_s)
            self._world.at(at_s, self._on_lost)

    def close(self) -> None:
        """Either end hangs up."""
        if not self.open:
            return
        self.open = False
        session, self.session = self.session, None
        if session is not None:
            session.end(self._process.clock.now())
        self._process.forget(self)
