"""What a link tells its user: established, received, ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from transport.errors import TransportError
from transport.identity import PeerInfo
from transport.messages import Message


class EndReason(StrEnum):
    """How a link ended."""

    GOODBYE = "goodbye"
    """The other side said so; not a failure."""
    CLOSED = "closed"
    """This side said so."""
    REFUSED = "refused"
    """One side refused in or after the handshake."""
    PROTOCOL = "protocol error"
    TIMED_OUT = "timed out"
    LOST = "connection lost"


@dataclass(frozen=True, slots=True)
class Established:
    """The handshake is done; messages may be sent."""

    peer: PeerInfo


class Received(NamedTuple):
    """A message for the user of the link."""

    stream: int
    """Requests and their replies share it; 0 = one-way."""
    message: Message


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing follows."""

    reason: EndReason
    error: TransportError | None
    """None after a goodbye or an own close."""
    text: str = ""


Event: TypeAlias = Established | Received | Ended
