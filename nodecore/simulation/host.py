"""What the simulated network knows of a process: where messages go, and whether anybody reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from nodecore.ids import NodeId
from transport.messages import Lane, Message


class Host(Protocol):
    """A process, as the network sees it."""

    @property
    def node_id(self) -> NodeId: ...
    @property
    def running(self) -> bool:
        """Alive, even if paused."""

    @property
    def paused(self) -> bool: ...
    def deliver(self, action: Callable[[], None]) -> None:
        """Run ``action`` as a wake-up of this process, or when it is resumed."""

    def on_link_message(self, peer: NodeId, stream: int, lane: Lane, message: Message) -> None: ...
    def on_link_state(self, peer: NodeId, lane: Lane, up: bool, reason: str) -> None: ...
