"""Which messages are answers: with a stream number they return on the link that brought the request."""

from __future__ import annotations

from typing import Final

from transport.messages.base import Message
from transport.messages.control import (
    Accepted,
    Ack,
    AdminReply,
    JoinReply,
    Nack,
    Promise,
    TopologyDocument,
)
from transport.messages.data import Forwarded, PeerValues, PeerWritten, StrongTold
from transport.messages.link import ErrorReply

REPLIES: Final[frozenset[type[Message]]] = frozenset(
    {
        Accepted,
        Ack,
        AdminReply,
        ErrorReply,
        Forwarded,
        JoinReply,
        Nack,
        PeerValues,
        PeerWritten,
        Promise,
        StrongTold,
        TopologyDocument,
    }
)
"""Only ever asked for membership, so its order does not matter."""
