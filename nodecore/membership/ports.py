"""How membership reaches its node."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nodecore.effects import Emit
from nodecore.ids import Incarnation, NodeId, Now
from nodecore.membership.members import Status
from transport.messages import Lane, Message


class MembershipPorts(NamedTuple):
    """Callables that the node supplies; none may call back into membership, but for ``on_epoch``."""

    send: Callable[[NodeId, Lane, int, Message], None]
    emit: Callable[[Emit], None]
    epoch: Callable[[], int]
    """This node's epoch, told with every probe."""
    on_epoch: Callable[[NodeId, int, Now], None]
    """A peer told its epoch (see ``Chain.hear_epoch``)."""
    on_status_change: Callable[[NodeId, Status, Status, Now], None]
    """(member, old, new, now); ALIVE to ALIVE when only its incarnation is new."""
    on_incarnation: Callable[[Incarnation, Now], None]
    """This node raised its own incarnation to refute a claim."""
