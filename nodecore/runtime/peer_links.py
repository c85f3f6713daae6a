"""Links of a node to its peers: two dialled ones to each (control and data), and those dialled here.

The caller dials: requests and one-way messages leave on the own link, replies return on the link
that brought the request. Frames of one wake-up leave in one send. Decides only when to dial again
(``transport.backoff``); who is a peer and what is sent is the node's.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final, Protocol, final

from nodecore.effects import Send
from nodecore.ids import NodeId, Now
from nodecore.runtime.credentials import NodeIdentity
from nodecore.runtime.faulted import FaultedConnection, PipeClock
from transport.backoff import Backoff
from transport.errors import ConnectFailed, ErrorCode, LinkRefused
from transport.events import Ended, Established, Received
from transport.faults import FaultBoard
from transport.messages import Lane, Message, Role
from transport.messages.replies import REPLIES
from transport.protocol import LinkProtocol
from transport.runtime.connection import Connection, Handler
from transport.runtime.dial import Dial
from transport.runtime.poller import Poller

SEED_PREFIX: Final = "seed:"
"""Peers known by address only are called ``seed:`` and a number."""

_ROLES: Final = {Lane.CONTROL: Role.PEER_CONTROL, Lane.DATA: Role.PEER_DATA}


_LASTING: Final = frozenset({ErrorCode.WRONG_CLUSTER, ErrorCode.TAKEN_ID})
"""Refusals that only an operator can change."""


class LinkEvents(Protocol):
    """What the node hears of its links."""

    def on_message(
        self, peer: NodeId, stream: int, lane: Lane, message: Message, now: Now
    ) -> None: ...
    def on_link(self, peer: NodeId, lane: Lane, up: bool, now: Now, reason: str) -> None: ...
    def on_refused(self, peer: NodeId, reason: str, now: Now) -> None: ...


@final
class DialledLink:
    """One own link to a peer on one lane, dialled again whenever it ends."""

    def __init__(self, links: PeerLinks, peer: NodeId, lane: Lane, address: str) -> None:
        self._links = links
        self.peer = peer
        self.lane = lane
        self.address = address
        self._backoff = Backoff(links.rng)
        self._dial: Dial | None = None
        self._faulted: FaultedConnection | None = None
        self._protocol: LinkProtocol | None = None
        self._buffer: list[bytes] = []
        self.up = False
        self.retry_at_s: float | None = None
        self._ended = False

    def start(self) -> None:
        """Dial now, unless a fault cuts the way."""
        self.retry_at_s = None
        links = self._links
        if links.refuses(self.peer, self.lane):
            self._retry("cut by a fault")
            return
        host, _, port = self.address.rpartition(":")
        self._dial = links.poller.connect(
            host.strip("[]"), int(port), self._on_connected, self._on_failed
        )

    def _on_connected(self, connection: Connection) -> Handler:
        self._dial = None
        links = self._links
        pipes = links.clock.pipes(links.identity.node_id, self.peer, self.lane, calling=True)
        self._faulted = FaultedConnection(connection, pipes, links.clock, self._deliver)
        identity = links.identity
        # A node that does not know its cluster yet introduces itself as a tool to learn it.
        role = _ROLES[self.lane] if identity.cluster_id else Role.CONSOLE
        self._protocol = LinkProtocol.dialler(
            identity.credentials(),
            role,
            links.now.mono_s,
            expected_node_id="" if self._is_seed else self.peer,
        )
        self._faulted.write(self._protocol.initial_bytes())
        return self

    @property
    def _is_seed(self) -> bool:
        """Dialled by address: who answers is learned from the handshake."""
        return self.peer.startswith(SEED_PREFIX)

    def _on_failed(self, error: ConnectFailed) -> None:
        self._dial = None
        self._retry(error.text)
        links = self._links
        links.node.on_link(self.peer, self.lane, False, links.now, error.text)

    def on_data(self, data: bytes) -> None:
        """Bytes from the socket."""
        assert self._faulted is not None
        self._faulted.received(data)

    def _deliver(self, data: bytes) -> None:
        protocol, links = self._protocol, self._links
        if protocol is None:
            return
        events = protocol.receive_data(data, links.now.mono_s)
        self._answer(protocol)
        for event in events:
            if isinstance(event, Received):
                links.node.on_message(self.peer, event.stream, self.lane, event.message, links.now)
            elif isinstance(event, Established):
                self._establish(event)
            else:
                reason = event.text or event.reason.value
                self._end(reason)
                if isinstance(event.error, LinkRefused) and event.error.code in _LASTING:
                    links.node.on_refused(self.peer, reason, links.now)
                return

    def _establish(self, event: Established) -> None:
        links = self._links
        if not links.identity.cluster_id:
            links.identity.cluster_id = event.peer.cluster_id
        if event.peer.role is Role.CONSOLE:
            self._end("the cluster id is known now")
            return
        self.up = True
        self._backoff.reset()
        links.node.on_link(self.peer, self.lane, True, links.now, "")

    def _answer(self, protocol: LinkProtocol) -> None:
        output = protocol.take_output()
        if output:
            self._buffer.append(output)
            self._links.pending[self] = None

    def send(self, message: Message, stream: int) -> bool:
        """Queue a frame for the end of the wake-up; False without an established link."""
        # A goodbye later in the same batch of frames has ended the protocol already.
        if not self.up or self._protocol is None or not self._protocol.established:
            return False
        self._buffer.append(self._protocol.send(message, stream))
        self._links.pending[self] = None
        return True

    def flush(self) -> None:
        """Write what was queued."""
        buffer, self._buffer = self._buffer, []
        if self._faulted is not None and buffer:
            self._faulted.write(b"".join(buffer))

    def on_time(self, now_s: float) -> None:
        """Deadlines of the handshake, of silence, and of the next dial."""
        if self.retry_at_s is not None:
            if now_s >= self.retry_at_s:
                self.start()
            return
        protocol = self._protocol
        if protocol is not None:
            for event in protocol.on_deadline(now_s):
                if isinstance(event, Ended):
                    self._end(event.text or event.reason.value)
                    return
            self._answer(protocol)

    def next_at_s(self) -> float | None:
        """When :meth:`on_time` has something to do."""
        if self.retry_at_s is not None:
            return self.retry_at_s
        return self._protocol.deadline_s() if self._protocol is not None else None

    def on_writable_drained(self) -> None:
        """Peers are bounded by their deadlines, not held back."""

    def on_closed(self, reason: str) -> None:
        """The socket is gone."""
        if self._protocol is not None:
            self._faulted = None
            self._end(reason)

    def _end(self, reason: str) -> None:
        was_up, self.up = self.up, False
        faulted, self._faulted, self._protocol = self._faulted, None, None
        self._buffer.clear()
        if faulted is not None:
            faulted.end()
            faulted.connection.abort(reason)
        if not self._ended:
            self._retry(reason)
        if was_up:
            self._links.node.on_link(self.peer, self.lane, False, self._links.now, reason)

    def _retry(self, reason: str) -> None:
        if self._ended:
            return
        links = self._links
        self.retry_at_s = links.now.mono_s + self._backoff.next_s()
        links.failures[self.peer] = reason

    def cut(self) -> None:
        """A fault wants the link gone now."""
        if self._faulted is not None:
            self._end("cut by a fault")

    def close(self) -> None:
        """End for good."""
        self._ended = True
        if self._dial is not None:
            self._dial.cancel()
        if self._faulted is not None:
            self._end("no longer a peer")


@final
class PeerLinks:
    """All links between this node and its peers."""

    def __init__(
        self,
        poller: Poller,
        clock: PipeClock,
        board: FaultBoard,
        identity: NodeIdentity,
        node: LinkEvents,
        rng: random.Random,
        now: Now,
    ) -> None:
        self.poller = poller
        self.clock = clock
        self.board = board
        self.identity = identity
        self.node = node
        self.rng = rng
        self.now = now
        self.pending: dict[DialledLink, None] = {}
        self._dialled: dict[tuple[NodeId, Lane], DialledLink] = {}
        self._incoming: dict[tuple[NodeId, Lane], ReplyPath] = {}
        self.failures: dict[NodeId, str] = {}
        """Why the last dial of a peer failed."""

    def set_peers(self, addresses: Mapping[NodeId, str]) -> None:
        """Links exist to exactly these peers; a changed address is dialled anew."""
        for (peer, lane), link in list(self._dialled.items()):
            if addresses.get(peer) != link.address:
                link.close()
                self.pending.pop(link, None)
                del self._dialled[(peer, lane)]
        for peer, address in addresses.items():
            for lane in Lane:
                if (peer, lane) not in self._dialled:
                    link = DialledLink(self, peer, lane, address)
                    self._dialled[(peer, lane)] = link
                    link.start()

    def send(self, effect: Send) -> bool:
        """Queue a message on the link it belongs to; False when there is none."""
        if effect.stream and type(effect.message) in REPLIES:
            path = self._incoming.get((effect.peer, effect.lane))
            return path is not None and path.send(effect.message, effect.stream)
        link = self._dialled.get((effect.peer, effect.lane))
        if link is not None:
            return link.send(effect.message, effect.stream)
        # A node that is no peer (any more) can be told things only on the link that it dialled.
        path = self._incoming.get((effect.peer, effect.lane))
        return path is not None and not effect.stream and path.send(effect.message, 0)

    def add_incoming(self, peer: NodeId, lane: Lane, path: ReplyPath) -> None:
        """A peer dialled us."""
        self._incoming[(peer, lane)] = path

    def remove_incoming(self, peer: NodeId, lane: Lane, path: ReplyPath) -> None:
        """Its link ended."""
        if self._incoming.get((peer, lane)) is path:
            del self._incoming[(peer, lane)]

    def refuses(self, peer: NodeId, lane: Lane) -> bool:
        """Whether a fault forbids this link."""
        return self.board.refuses(self.identity.node_id, peer, lane, self.rng)

    def flush(self) -> None:
        """Write every frame of the wake-up."""
        while self.pending:
            pending, self.pending = self.pending, {}
            for link in pending:
                link.flush()

    def on_time(self, now_s: float) -> None:
        """Run the deadlines of all links."""
        for link in list(self._dialled.values()):
            at = link.next_at_s()
            if at is not None and at <= now_s:
                link.on_time(now_s)

    def next_at_s(self) -> float | None:
        """The earliest of their deadlines."""
        times = [at for link in self._dialled.values() if (at := link.next_at_s()) is not None]
        return min(times) if times else None

    def apply_faults(self) -> None:
        """End the links that a fault cuts; they are dialled again once it is gone."""
        for link in self._dialled.values():
            if self.refuses(link.peer, link.lane):
                link.cut()

    def close(self) -> None:
        """End all links."""
        for link in self._dialled.values():
            link.close()
        self._dialled.clear()


class ReplyPath(Protocol):
    """A link that a peer dialled: the way back for replies."""

    def send(self, message: Message, stream: int) -> bool:
        """Queue a frame; False when the link is gone."""
